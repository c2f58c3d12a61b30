// Message channels over ZeroMQ. transport.cc is the one file that includes zmq. A Socket belongs
// to one thread; a Context may be shared. Nothing here blocks except Poller::wait.
//
// Sending never blocks: a full or missing peer loses the message, and the caller's own timeouts
// and retries cover it, as ZeroMQ delivers at most once anyway.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/types.h"

namespace pairfs {

// One message: the routing envelope (only on a server socket: one frame per hop to go back
// through, outermost first), the head (header and body), and bulk data when there are any.
struct Message {
  std::vector<Bytes> envelope;
  SharedBytes head;
  SharedBytes bulk;
};

class Context {
 public:
  explicit Context(int io_threads = 1);
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  void* handle() const { return handle_; }

 private:
  void* handle_;
};

// Octets handed over for one peer and not yet given to its connection. Large frames only, as the
// number of messages bounds the small ones.
using SendQueue = std::shared_ptr<std::atomic<int64_t>>;
inline constexpr int64_t kSendQueueMaxBytes = 64 << 20;

// What a Poller and the socket's owner tell each other, so that a wake-up costs system calls only
// for the sockets that it concerns. `may_have` is false only when the ZeroMQ socket was seen empty
// and its file descriptor has not been readable since.
struct Readiness {
  void* socket = nullptr;  // null when it is closed
  int fd = -1;
  bool may_have = true;
  bool polled = false;  // by a Poller; else the socket is asked every time
};

class Socket {
 public:
  // Binds and receives from many peers. A request's envelope, kept whole, routes its reply.
  // `endpoint` may end in ":*" for any free port. Throws std::runtime_error with a sentence, also
  // when another process listens there.
  static Socket server(Context& context, const std::string& endpoint);
  // Connects to one peer, now and whenever it comes back. With IMMEDIATE nothing queues for a
  // peer that is not there: send() is false then.
  static Socket client(Context& context, const std::string& endpoint);

  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  // False when the peer is unknown, gone, or full: more than kSendQueueMaxBytes wait for it, or too
  // many messages. Frames above 1 KiB are not copied: the SharedBytes live until sent.
  bool send(const std::vector<Bytes>& envelope, const SharedBytes& head,
            const SharedBytes& bulk = {});
  // The next whole message, if one is there. Malformed frame counts (no head, more than two
  // frames after the empty delimiter, too many hops) are dropped and counted.
  std::optional<Message> receive();
  uint64_t dropped_count() const { return dropped_; }

  // The endpoint as bound, with the port that was chosen.
  const std::string& endpoint() const { return endpoint_; }

  // Client sockets: connected / disconnected events since the last call, oldest first. A Poller is
  // woken by them until they are taken. A peer that is silent for ten seconds, also to ZeroMQ's own
  // heartbeats, is disconnected; it is then connected again when it answers.
  enum class LinkEvent { kConnected, kDisconnected };
  std::vector<LinkEvent> link_events();

  // For Poller: the socket's own and, on client sockets, its monitor's.
  const std::shared_ptr<Readiness>& readiness() const { return readiness_; }
  const std::shared_ptr<Readiness>& monitor_readiness() const { return monitor_readiness_; }

 private:
  Socket() = default;
  static std::shared_ptr<Readiness> readiness_of(void* handle);
  const SendQueue& queue_of(const std::vector<Bytes>& envelope);

  void* handle_ = nullptr;
  void* monitor_ = nullptr;
  std::string endpoint_;
  bool is_server_ = false;
  uint64_t dropped_ = 0;
  bool connected_untold_ = false;  // inproc: connected from its making, and no event says so
  std::unordered_map<Bytes, SendQueue> queues_;  // by peer; of a client socket, one under ""
  std::shared_ptr<Readiness> readiness_, monitor_readiness_;
};

// Waits for sockets and file descriptors. One thread. A socket that is gone is forgotten. What was
// not taken from a socket makes the next wait() return at once.
//
// It is epoll over the sockets' own descriptors, as zmq_poll asks every socket at every wake-up.
// Such a descriptor tells only of changes: a socket that was used is asked once before sleeping.
class Poller {
 public:
  Poller();
  ~Poller();
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  void add(const Socket& socket);
  void add_fd(int fd);
  void remove(const Socket& socket);
  void remove_fd(int fd);
  // Returns when something is readable or after `timeout` (rounded up to 1 ms; a negative one, as of
  // a time that has passed, is zero). Spurious returns are possible. Ended early by a signal.
  void wait(Duration timeout);
  bool fd_ready(int fd) const;

 private:
  void add(const std::shared_ptr<Readiness>& readiness);
  void remove(const std::shared_ptr<Readiness>& readiness);

  int epoll_;
  std::vector<std::shared_ptr<Readiness>> sockets_;
  std::vector<int> ready_fds_;
};

}  // namespace pairfs
