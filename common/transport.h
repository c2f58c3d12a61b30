// Message channels. Between machines (tcp://) they are libzmq's sockets; on one machine (ipc://,
// inproc://) they are streams of our own that speak the same protocol, so that no thread stands
// between a loop and the kernel (docs/decisions/0030). A server is a ROUTER, a client a DEALER, and
// any ZeroMQ program may be the other end. A Socket belongs to one thread. Nothing here blocks
// except Poller::wait.
//
// Sending never blocks: a full or missing peer loses the message, and the caller's own timeouts
// and retries cover it, as a connection that breaks loses what was on its way anyway.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "common/name_lookup.h"
#include "common/types.h"

namespace pairfs {

// One message: the routing envelope (only on a server socket: one frame per hop to go back
// through, outermost first), the head (header and body), and bulk data when there are any.
struct Message {
  std::vector<Bytes> envelope;
  SharedBytes head;
  SharedBytes bulk;
};

// The sockets of one Context reach each other by inproc:// names, and share what looks up hosts.
class Context {
 public:
  explicit Context(ResolveHost resolve = resolve_by_system);
  uint64_t scope() const { return scope_; }
  const std::shared_ptr<void>& zeromq() const { return zeromq_; }
  const std::shared_ptr<NameLookup>& names() const { return names_; }

 private:
  const uint64_t scope_;
  const std::shared_ptr<NameLookup> names_;
  const std::shared_ptr<void> zeromq_;
};

inline constexpr size_t kSendQueueMaxBytes = 64 << 20;

class EventSet;
class SocketImpl;

class Socket {
 public:
  // Binds and receives from many peers. A request's envelope, kept whole, routes its reply.
  // `endpoint` may end in ":*" for any free port. Throws std::runtime_error with a sentence, also
  // when another process listens there.
  static Socket server(Context& context, const std::string& endpoint);
  // Connects to one peer, now and whenever it comes back, also at another address of its name.
  // Nothing queues for a peer that is not
  // there: send() is false then. Throws std::runtime_error: not an endpoint.
  static Socket client(Context& context, const std::string& endpoint);

  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  // False when the peer is unknown, gone, or full: more than kSendQueueMaxBytes wait for it.
  // Frames of more than a few KiB are not copied: the SharedBytes live until sent. With a Poller,
  // small messages go out together, when it waits.
  bool send(const std::vector<Bytes>& envelope, const SharedBytes& head,
            const SharedBytes& bulk = {});
  // The next whole message, if one is there. Malformed frame counts (no head, more than two
  // frames after the empty delimiter, too many hops) are dropped and counted.
  std::optional<Message> receive();
  uint64_t dropped_count() const;
  // Goes on with what is under way. Every call here does, and a Poller; for who calls nothing else.
  void work();

  // The endpoint as bound, with the port that was chosen.
  const std::string& endpoint() const;

  // Client sockets: connected / disconnected events since the last call, oldest first. A Poller is
  // woken by them until they are taken. A peer that gives no sign of life for ten seconds is
  // disconnected; it is then connected again when it answers.
  enum class LinkEvent { kConnected, kDisconnected };
  std::vector<LinkEvent> link_events();

 private:
  friend class Poller;
  explicit Socket(std::unique_ptr<SocketImpl> impl);
  std::unique_ptr<SocketImpl> impl_;
};

// Waits for sockets and file descriptors. One thread, that of its sockets. A socket that is gone is
// forgotten. What was not taken from a socket makes the next wait() return at once.
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
  // Returns when something is readable or after `timeout` (rounded up to 1 ms; a negative one, as
  // of a time that has passed, is zero). Spurious returns are possible. Ended early by a signal.
  void wait(Duration timeout);
  bool fd_ready(int fd) const;

 private:
  std::shared_ptr<EventSet> events_;
};

}  // namespace pairfs
