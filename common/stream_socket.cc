// A socket of streams of our own: local paths, and names inside the process.
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "common/ensure.h"
#include "common/event_set.h"
#include "common/socket_impl.h"
#include "common/stream_connection.h"
#include "common/stream_endpoint.h"

namespace pairfs {
namespace {

constexpr size_t kWriteNowBytes = 64 << 10;  // else when the thread goes to sleep
constexpr size_t kPeersUngreetedMax = 1024;
constexpr Duration kTickPeriod = std::chrono::seconds(1);
constexpr Duration kRetryFirst = std::chrono::milliseconds(20);
constexpr Duration kRetryMax = std::chrono::milliseconds(200);

class StreamSocket final : public SocketImpl {
 public:
  StreamSocket(Context& context, const std::string& endpoint, bool is_server)
      : endpoint_(endpoint, context.scope()),
        is_server_(is_server),
        identity_(is_server ? Bytes() : random_identity()),
        events_(std::make_shared<EventSet>()) {
    events_->add(*this);
    if (!is_server) {
      connect(events_->now());
      return;
    }
    listening_.fd = endpoint_.listen();
    events_->watch(listening_.fd, EPOLLIN, listening_);
  }
  ~StreamSocket() override {
    for (const auto& [link, owned] : links_)
      if (link->connection.ready()) link->connection.write();
    leave(*events_);
    if (listening_.fd < 0) return;
    endpoint_.forget_path();
    ::close(listening_.fd);
  }

  bool send(const std::vector<Bytes>& envelope, const SharedBytes& head,
            const SharedBytes& bulk) override;
  std::optional<Message> receive() override;
  std::vector<LinkEvent> take_link_events() override;
  void work() override;
  uint64_t dropped() const override { return dropped_; }
  const std::string& endpoint() const override { return endpoint_.text(); }
  void move_to(std::shared_ptr<EventSet> events) override;

  // ---- EventSource ----
  bool before_wait(Instant now) override;
  void after_wait() override;
  Instant next_tick() const override { return std::min(tick_at_, retry_at_); }
  void tick(Instant now, bool stood_still) override;

 private:
  struct Link final : Watched {
    Link(StreamSocket& owner_impl, int fd, bool connecting, Bytes identity, Instant now)
        : owner(owner_impl), connection(fd, connecting, std::move(identity), now) {}
    void on_events(uint32_t events) override {
      if ((events & EPOLLOUT) != 0) owner.writable_.push_back(this);
      if ((events & ~static_cast<uint32_t>(EPOLLOUT)) != 0) owner.note_readable(*this);
    }
    StreamSocket& owner;
    StreamConnection connection;
    bool readable = false;  // in readable_
    bool gathered = false;  // in gathered_
    bool is_peer = false;   // it greeted: `name` is who it is
    Bytes name;
    uint32_t watched_events = EPOLLIN;
  };
  struct Listening final : Watched {
    void on_events(uint32_t) override { waiting = true; }
    int fd = -1;
    bool waiting = false;
  };

  void drive() {
    if (!events_->driven) events_->wait(Duration::zero());
  }
  void pump();
  void accept();
  void connect(Instant now);
  void add_link(int fd, bool connecting, Instant now);
  void note_readable(Link& link);
  void greet(Link& link);
  void look_at(Link& link);
  void write(Link& link);
  void drop(Link& link);
  void leave(EventSet& events);

  StreamEndpoint endpoint_;
  const bool is_server_;
  const Bytes identity_;
  std::shared_ptr<EventSet> events_;
  Listening listening_;
  std::unordered_map<Link*, std::unique_ptr<Link>> links_;
  std::unordered_map<Bytes, Link*>
      peers_;  // those that greeted, by identity; a client's one under ""
  std::deque<Link*> readable_;
  std::vector<Link*> writable_;
  std::vector<Link*> gathered_;  // with something to send
  std::deque<Message> incoming_;
  std::vector<LinkEvent> link_events_;
  size_t ungreeted_ = 0;
  uint64_t dropped_ = 0;
  uint64_t unnamed_ = 0;  // peers that gave no identity
  Instant tick_at_ = Instant::max();
  Instant retry_at_ = Instant::max();
  Duration retry_after_ = kRetryFirst;
};

// ---- connections ------------------------------------------------------------------------------

void StreamSocket::add_link(int fd, bool connecting, Instant now) {
  auto link = std::make_unique<Link>(*this, fd, connecting, identity_, now);
  Link* at = link.get();
  links_.emplace(at, std::move(link));
  ++ungreeted_;
  at->watched_events = connecting ? EPOLLIN | EPOLLOUT : EPOLLIN;
  events_->watch(fd, at->watched_events, *at);
  tick_at_ = std::min(tick_at_, now + kTickPeriod);
  if (!connecting) write(*at);
}

void StreamSocket::connect(Instant now) {
  retry_at_ = Instant::max();
  if (int fd = -1; endpoint_.connect(&fd)) {
    add_link(fd, true, now);
    return;
  }
  retry_at_ = now + retry_after_;
  retry_after_ = std::min(2 * retry_after_, kRetryMax);
}

// Too many who connect and say nothing are turned away; who has something to say comes again.
void StreamSocket::accept() {
  listening_.waiting = false;
  for (int fd; (fd = endpoint_.accept(listening_.fd)) >= 0;) {
    if (ungreeted_ < kPeersUngreetedMax)
      add_link(fd, false, events_->now());
    else
      ::close(fd);
  }
}

void StreamSocket::drop(Link& link) {
  const auto peer = peers_.find(link.name);
  const bool was_peer = link.is_peer && peer != peers_.end() && peer->second == &link;
  if (was_peer) peers_.erase(peer);
  if (!link.is_peer) --ungreeted_;
  std::erase(readable_, &link);
  std::erase(writable_, &link);
  std::erase(gathered_, &link);
  events_->forget(link.connection.fd());
  links_.erase(&link);
  if (is_server_) return;
  if (was_peer) link_events_.push_back(LinkEvent::kDisconnected);
  retry_at_ = events_->now() + retry_after_;
  retry_after_ = std::min(2 * retry_after_, kRetryMax);
}

void StreamSocket::greet(Link& link) {
  if (link.is_peer || !link.connection.greeted()) return;
  link.is_peer = true;
  --ungreeted_;
  if (is_server_) {
    link.name = link.connection.peer_identity();
    if (link.name.empty()) link.name = Bytes("\0", 1) + std::to_string(++unnamed_);
  } else {
    retry_after_ = kRetryFirst;
    link_events_.push_back(LinkEvent::kConnected);
  }
  // A peer that comes back before its old connection was found dead is the same peer.
  if (const auto old = peers_.find(link.name); old != peers_.end()) drop(*old->second);
  peers_[link.name] = &link;
}

// After anything that may have changed a connection's state. It may be gone then.
void StreamSocket::look_at(Link& link) {
  const StreamConnection& connection = link.connection;
  if (connection.broken()) {
    drop(link);
    return;
  }
  const uint32_t wanted = connection.wants_writable() ? EPOLLIN | EPOLLOUT : EPOLLIN;
  if (wanted == link.watched_events) return;
  link.watched_events = wanted;
  events_->change(connection.fd(), wanted, link);
}

void StreamSocket::note_readable(Link& link) {
  if (std::exchange(link.readable, true)) return;
  readable_.push_back(&link);
}

void StreamSocket::write(Link& link) {
  link.connection.write();
  look_at(link);
}

void StreamSocket::move_to(std::shared_ptr<EventSet> events) {
  leave(*events_);
  events_ = std::move(events);
  events_->add(*this);
  if (listening_.fd >= 0) events_->watch(listening_.fd, EPOLLIN, listening_);
  for (const auto& [link, owned] : links_)
    events_->watch(link->connection.fd(), link->watched_events, *link);
}

void StreamSocket::leave(EventSet& events) {
  events.remove(*this);
  if (listening_.fd >= 0) events.forget(listening_.fd);
  for (const auto& [link, owned] : links_) events.forget(link->connection.fd());
}

// ---- messages ---------------------------------------------------------------------------------

bool StreamSocket::send(const std::vector<Bytes>& envelope, const SharedBytes& head,
                        const SharedBytes& bulk) {
  if (is_server_ && envelope.empty()) return false;
  static const Bytes kOnlyPeer;
  if (!events_->driven) work();
  const auto peer = peers_.find(is_server_ ? envelope.front() : kOnlyPeer);
  if (peer == peers_.end()) return false;
  Link& link = *peer->second;
  StreamConnection& connection = link.connection;
  if (connection.broken()) return false;
  if (connection.waiting_bytes() > kSendQueueMaxBytes) {
    if (!events_->driven) write(link);
    return false;
  }
  const size_t own = is_server_ ? 1 : 0;
  connection.queue(envelope.data() + own, envelope.size() - own, head, bulk);
  if (events_->driven && connection.waiting_bytes() < kWriteNowBytes) {
    if (!std::exchange(link.gathered, true)) gathered_.push_back(&link);
    return true;
  }
  if (!connection.wants_writable()) connection.write();
  // One that broke just now stays until it is looked at: the caller may hold what came from it.
  if (connection.broken())
    note_readable(link);
  else
    look_at(link);
  return true;
}

std::optional<Message> StreamSocket::receive() {
  work();
  if (incoming_.empty()) return std::nullopt;
  Message message = std::move(incoming_.front());
  incoming_.pop_front();
  return message;
}

void StreamSocket::work() {
  drive();
  pump();
}

std::vector<Socket::LinkEvent> StreamSocket::take_link_events() {
  work();
  return std::exchange(link_events_, {});
}

// Reads from each connection that has something, in turn, until there is a message. Who has just
// connected is greeted all the same.
void StreamSocket::pump() {
  if (listening_.waiting) accept();
  for (size_t turns = readable_.size(); turns > 0 && !readable_.empty(); --turns) {
    Link& link = *readable_.front();
    readable_.pop_front();
    if (!incoming_.empty() && link.is_peer) {
      readable_.push_back(&link);
      continue;
    }
    link.readable = false;
    const size_t before = incoming_.size();
    const bool more = link.connection.read(incoming_, &dropped_, events_->now());
    greet(link);
    if (is_server_)
      for (size_t i = before; i < incoming_.size(); ++i)
        incoming_[i].envelope.insert(incoming_[i].envelope.begin(), link.name);
    if (more) note_readable(link);
    // A greeting, or the answer to a sign of life.
    if (link.connection.waiting_bytes() > 0 && !link.connection.wants_writable())
      link.connection.write();
    look_at(link);
  }
}

// ---- the thread goes to sleep, and wakes ------------------------------------------------------

bool StreamSocket::before_wait(Instant) {
  for (Link* link : std::exchange(gathered_, {})) {
    link->gathered = false;
    if (link->connection.wants_writable()) continue;
    write(*link);
  }
  // A client's connection is read here too, as its owner may only ask for link events.
  if (!is_server_ && !readable_.empty()) pump();
  return !incoming_.empty() || !link_events_.empty() || !readable_.empty() || listening_.waiting;
}

void StreamSocket::after_wait() {
  for (Link* link : std::exchange(writable_, {})) write(*link);
}

void StreamSocket::tick(Instant now, bool stood_still) {
  if (now >= retry_at_) connect(now);
  if (now < tick_at_) return;
  std::vector<Link*> all;
  for (const auto& [link, owned] : links_) all.push_back(link);
  tick_at_ = all.empty() ? Instant::max() : now + kTickPeriod;
  for (Link* link : all) {
    if (links_.count(link) == 0) continue;
    if (stood_still) link->connection.forgive(now);
    // Of what can be read, its owner has not heard yet.
    if (link->readable) continue;
    link->connection.tick(now);
    if (!link->connection.wants_writable() && link->connection.waiting_bytes() > 0)
      link->connection.write();
    look_at(*link);
  }
}

}  // namespace

std::unique_ptr<SocketImpl> make_stream_socket(Context& context, const std::string& endpoint,
                                               bool is_server) {
  return std::make_unique<StreamSocket>(context, endpoint, is_server);
}

}  // namespace pairfs
