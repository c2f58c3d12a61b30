// One connection of a Socket: greets, takes ZMTP frames apart into messages, and keeps what waits
// to be sent. Owns its descriptor. The thread of its Socket; nothing blocks.
#pragma once

#include <deque>
#include <memory>
#include <optional>

#include "common/transport.h"
#include "common/zmtp.h"

namespace pairfs {

class StreamConnection {
 public:
  // `fd`: connected, or connecting (then writable when that has ended). `own_identity`: of a
  // client's socket; empty: of a server's, whose peers say who they are.
  StreamConnection(int fd, bool connecting, Bytes own_identity, Instant now);
  ~StreamConnection();
  StreamConnection(const StreamConnection&) = delete;
  StreamConnection& operator=(const StreamConnection&) = delete;

  int fd() const { return fd_; }
  bool ready() const { return state_ == State::kReady; }  // greeted on both sides
  bool broken() const { return state_ == State::kBroken; }
  bool greeted() const { return greeted_; }  // it was ready once, or still is
  // As the other end said in its greeting; maybe empty.
  const Bytes& peer_identity() const { return peer_identity_; }

  // Reads what has come, up to a portion; whole messages go to `out`, those of wrong form are
  // counted in `dropped`. Returns true when there may be more to read.
  bool read(std::deque<Message>& out, uint64_t* dropped, Instant now);
  // Writes what waits. A connection that breaks is only marked, for its owner to find.
  void write();
  // Puts a message behind what waits. Frames of more than a few KiB are not copied.
  void queue(const Bytes* hops, size_t count, const SharedBytes& head, const SharedBytes& bulk);
  size_t waiting_bytes() const { return waiting_bytes_; }
  // The kernel's buffer is full: write() again when the descriptor is writable.
  bool wants_writable() const { return state_ == State::kConnecting || blocked_; }

  // Asks a silent peer for a sign of life; breaks when it gives none, or does not greet in time.
  void tick(Instant now);
  // This process stood still: silence until now says nothing about the peer.
  void forgive(Instant now) { heard_at_ = begun_at_ = now; }
  void fail() { state_ = State::kBroken; }

 private:
  enum class State { kConnecting, kGreeting, kAwaitingReady, kReady, kBroken };
  struct Piece {  // of what waits to be sent: either octets of its own, or shared ones
    Bytes own;
    SharedBytes shared;
    BytesView view() const { return shared.empty() ? BytesView(own) : shared.view(); }
  };
  void begin();
  Bytes& own_bytes();
  void parse(std::deque<Message>& out, uint64_t* dropped);
  bool take_greeting();
  void take_command(BytesView body);
  void take_frame(SharedBytes frame, bool more, std::deque<Message>& out, uint64_t* dropped);
  void make_room(size_t wanted);

  int fd_;
  State state_;
  const Bytes own_identity_;
  Bytes peer_identity_;
  bool greeted_ = false;
  Instant begun_at_, heard_at_;

  // Received and not yet taken apart: [in_begin_, in_end_).
  std::unique_ptr<char[]> in_;
  size_t in_begin_ = 0, in_end_ = 0;
  // A frame that is longer than what was read at once goes straight to its place.
  std::shared_ptr<char[]> large_;
  size_t large_bytes_ = 0, large_read_ = 0;
  bool large_more_ = false;
  // The message under way.
  Message message_;
  size_t frames_ = 0, payload_frames_ = 0;
  uint64_t message_bytes_ = 0;
  bool delimiter_ = false, malformed_ = false;

  std::deque<Piece> out_;
  Bytes spare_;          // a sent piece's room, used again
  size_t out_done_ = 0;  // of the first piece
  size_t waiting_bytes_ = 0;
  bool blocked_ = false;
};

}  // namespace pairfs
