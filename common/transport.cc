#include "common/transport.h"

#include <fmt/core.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <climits>
#include <cstring>
#include <random>
#include <stdexcept>

#include "common/ensure.h"

namespace pairfs {
namespace {

constexpr size_t kCopyMaxBytes = 1024;  // longer frames are shared, and counted until sent
constexpr size_t kMaxHops = 8;
constexpr int64_t kMaxMessageBytes = 64 << 20;
// Messages. What waits to be sent is bounded by bytes as well; what was received and not yet taken
// only by this, so that it is the lower one: a full queue makes the sender's queue grow instead.
constexpr int kSendHighWaterMark = 10000;
constexpr int kReceiveHighWaterMark = 256;
// A dead machine sends no reset: without these a connection to it would look alive for ever, and
// connecting would be tried again only as seldom as the kernel does.
constexpr int kHeartbeatMs = 2000;
constexpr int kHeartbeatTimeoutMs = 10000;
constexpr int kConnectTimeoutMs = 2000;
constexpr int kHandshakeTimeoutMs = 5000;
constexpr size_t kIdleCountersMax = 1024;
constexpr int kEventsMax = 64;  // taken per wake-up; the rest is there at the next one

class Frame {
 public:
  Frame() { zmq_msg_init(&message_); }
  ~Frame() { zmq_msg_close(&message_); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  zmq_msg_t* get() { return &message_; }
  BytesView view() const {
    auto* m = const_cast<zmq_msg_t*>(&message_);
    return {static_cast<const char*>(zmq_msg_data(m)), zmq_msg_size(m)};
  }
  bool more() const { return zmq_msg_more(const_cast<zmq_msg_t*>(&message_)) != 0; }
  // Its octets, which live on without this object.
  SharedBytes share() {
    auto owner = std::make_shared<Frame>();
    zmq_msg_move(owner->get(), get());
    const BytesView octets = owner->view();
    return {std::move(owner), octets};
  }

 private:
  zmq_msg_t message_;
};

void set_option(void* socket, int option, int value) {
  ENSURE(zmq_setsockopt(socket, option, &value, sizeof value) == 0, "zmq option {}: {}", option,
         zmq_strerror(zmq_errno()));
}

void set_common_options(void* socket) {
  set_option(socket, ZMQ_LINGER, 0);
  set_option(socket, ZMQ_SNDHWM, kSendHighWaterMark);
  set_option(socket, ZMQ_RCVHWM, kReceiveHighWaterMark);
  set_option(socket, ZMQ_IPV6, 0);
  set_option(socket, ZMQ_HEARTBEAT_IVL, kHeartbeatMs);
  set_option(socket, ZMQ_HEARTBEAT_TIMEOUT, kHeartbeatTimeoutMs);
  set_option(socket, ZMQ_HANDSHAKE_IVL, kHandshakeTimeoutMs);
  const int64_t max = kMaxMessageBytes;
  ENSURE(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) == 0, "maxmsgsize");
}

struct InFlight {
  SharedBytes bytes;
  SendQueue queue;
};
void release_in_flight(void*, void* hint) {
  auto* in_flight = static_cast<InFlight*>(hint);
  in_flight->queue->fetch_sub(static_cast<int64_t>(in_flight->bytes.size()));
  delete in_flight;
}

bool send_frame(void* socket, const SharedBytes& bytes, const SendQueue& queue, bool more) {
  zmq_msg_t message;
  if (bytes.size() <= kCopyMaxBytes) {
    zmq_msg_init_size(&message, bytes.size());
    if (!bytes.empty()) std::memcpy(zmq_msg_data(&message), bytes.view().data(), bytes.size());
  } else {
    auto* in_flight = new InFlight{bytes, queue};
    queue->fetch_add(static_cast<int64_t>(bytes.size()));
    zmq_msg_init_data(&message, const_cast<char*>(bytes.view().data()), bytes.size(),
                      release_in_flight, in_flight);
  }
  if (zmq_msg_send(&message, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) < 0) {
    zmq_msg_close(&message);
    return false;
  }
  return true;
}

bool send_frame(void* socket, const Bytes& bytes) {
  return zmq_send(socket, bytes.data(), bytes.size(), ZMQ_DONTWAIT | ZMQ_SNDMORE) >= 0;
}

// ZeroMQ would take the path away from a process that listens there.
bool somebody_listens(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return false;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool connected =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 ||
      errno == EAGAIN;  // its backlog is full
  ::close(fd);
  return connected;
}

}  // namespace

Context::Context(int io_threads) : handle_(zmq_ctx_new()) {
  zmq_ctx_set(handle_, ZMQ_IO_THREADS, io_threads);
  zmq_ctx_set(handle_, ZMQ_MAX_SOCKETS, 4096);
}
Context::~Context() { zmq_ctx_term(handle_); }

Socket Socket::server(Context& context, const std::string& endpoint) {
  Socket s;
  s.is_server_ = true;
  s.handle_ = zmq_socket(context.handle(), ZMQ_ROUTER);
  ENSURE(s.handle_ != nullptr, "zmq_socket: {}", zmq_strerror(zmq_errno()));
  set_common_options(s.handle_);
  set_option(s.handle_, ZMQ_ROUTER_MANDATORY, 1);
  // A peer that comes back before its old connection was found dead is the same peer: without this
  // its new connection would be ignored. Ids are random, so that nobody else has the same.
  set_option(s.handle_, ZMQ_ROUTER_HANDOVER, 1);
  if (endpoint.starts_with("ipc://") && somebody_listens(endpoint.substr(6)))
    throw std::runtime_error(
        fmt::format("cannot listen on {}: another process listens there", endpoint));
  if (zmq_bind(s.handle_, endpoint.c_str()) != 0)
    throw std::runtime_error(
        fmt::format("cannot listen on {}: {}", endpoint, zmq_strerror(zmq_errno())));
  char last[1024];
  size_t length = sizeof last;
  zmq_getsockopt(s.handle_, ZMQ_LAST_ENDPOINT, last, &length);
  s.endpoint_ = last;
  s.readiness_ = readiness_of(s.handle_);
  return s;
}

Socket Socket::client(Context& context, const std::string& endpoint) {
  Socket s;
  s.handle_ = zmq_socket(context.handle(), ZMQ_DEALER);
  ENSURE(s.handle_ != nullptr, "zmq_socket: {}", zmq_strerror(zmq_errno()));
  set_common_options(s.handle_);
  set_option(s.handle_, ZMQ_IMMEDIATE, 1);
  set_option(s.handle_, ZMQ_RECONNECT_IVL, 20);
  set_option(s.handle_, ZMQ_RECONNECT_IVL_MAX, 200);
  set_option(s.handle_, ZMQ_CONNECT_TIMEOUT, kConnectTimeoutMs);
  // A fresh routing id per life, so that a server never takes this socket for a predecessor.
  std::random_device random;
  Bytes id = "C";
  for (int i = 0; i < 4; ++i) {
    const uint32_t word = random();
    id.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  zmq_setsockopt(s.handle_, ZMQ_ROUTING_ID, id.data(), id.size());
  const std::string address = fmt::format("inproc://monitor-{}", s.handle_);
  zmq_socket_monitor(s.handle_, address.c_str(), ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
  s.monitor_ = zmq_socket(context.handle(), ZMQ_PAIR);
  set_option(s.monitor_, ZMQ_LINGER, 0);
  zmq_connect(s.monitor_, address.c_str());
  if (zmq_connect(s.handle_, endpoint.c_str()) != 0)
    throw std::runtime_error(
        fmt::format("cannot connect to {}: {}", endpoint, zmq_strerror(zmq_errno())));
  s.endpoint_ = endpoint;
  s.readiness_ = readiness_of(s.handle_);
  s.monitor_readiness_ = readiness_of(s.monitor_);
  s.connected_untold_ = endpoint.starts_with("inproc://");
  return s;
}

std::shared_ptr<Readiness> Socket::readiness_of(void* handle) {
  int fd = -1;
  size_t size = sizeof fd;
  ENSURE(zmq_getsockopt(handle, ZMQ_FD, &fd, &size) == 0, "zmq fd: {}", zmq_strerror(zmq_errno()));
  return std::make_shared<Readiness>(Readiness{.socket = handle, .fd = fd});
}

Socket::Socket(Socket&& other) noexcept { *this = std::move(other); }

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(monitor_, other.monitor_);
  std::swap(endpoint_, other.endpoint_);
  std::swap(is_server_, other.is_server_);
  std::swap(queues_, other.queues_);
  std::swap(readiness_, other.readiness_);
  std::swap(monitor_readiness_, other.monitor_readiness_);
  std::swap(dropped_, other.dropped_);
  std::swap(connected_untold_, other.connected_untold_);
  return *this;
}

Socket::~Socket() {
  if (readiness_ != nullptr) readiness_->socket = nullptr;
  if (monitor_readiness_ != nullptr) monitor_readiness_->socket = nullptr;
  if (handle_ != nullptr && monitor_ != nullptr) zmq_socket_monitor(handle_, nullptr, 0);
  if (monitor_ != nullptr) zmq_close(monitor_);
  if (handle_ != nullptr) zmq_close(handle_);
}

const SendQueue& Socket::queue_of(const std::vector<Bytes>& envelope) {
  static const Bytes kOnlyPeer;
  const Bytes& peer = is_server_ && !envelope.empty() ? envelope.front() : kOnlyPeer;
  SendQueue& queue = queues_[peer];
  if (queue != nullptr) return queue;
  if (queues_.size() > kIdleCountersMax)
    std::erase_if(queues_, [](const auto& item) {
      return item.second != nullptr && item.second->load() == 0;
    });
  return queues_[peer] = std::make_shared<std::atomic<int64_t>>(0);
}

bool Socket::send(const std::vector<Bytes>& envelope, const SharedBytes& head,
                  const SharedBytes& bulk) {
  const SendQueue queue = queue_of(envelope);
  if (queue->load() > kSendQueueMaxBytes) return false;
  readiness_->may_have = true;  // sending takes in what came, without a further sign of it
  // Layout: [peer][hop]*[empty delimiter][head][bulk?]. A first frame that is refused sends
  // nothing. A later one is refused only when the connection is lost meanwhile: ZeroMQ then waits
  // for the rest of the message, to drop it, and would take the next message for that rest.
  bool first = true, sent = true;
  const auto frame = [&](bool accepted) {
    sent &= accepted;
    return std::exchange(first, false) && !accepted;  // true: nothing was sent, stop here
  };
  for (const Bytes& hop : envelope)
    if (frame(send_frame(handle_, hop))) return false;
  if (frame(send_frame(handle_, Bytes()))) return false;
  frame(send_frame(handle_, head, queue, !bulk.empty()));
  if (!bulk.empty()) frame(send_frame(handle_, bulk, queue, false));
  return sent;
}

std::optional<Message> Socket::receive() {
  if (readiness_->polled && !readiness_->may_have) return std::nullopt;
  for (;;) {
    Message message;
    size_t payload_frames = 0;
    bool delimiter = false, malformed = false, more = true;
    for (size_t index = 0; more; ++index) {
      Frame frame;
      if (zmq_msg_recv(frame.get(), handle_, ZMQ_DONTWAIT) < 0) {
        if (index == 0) {
          readiness_->may_have = false;
          return std::nullopt;
        }
        malformed = true;
        break;
      }
      more = frame.more();
      if (malformed) continue;  // take the rest of it away
      if (delimiter) {
        if (++payload_frames > 2) {
          malformed = true;
        } else {
          (payload_frames == 1 ? message.head : message.bulk) = frame.share();
        }
      } else if (frame.view().empty() && !(is_server_ && index == 0)) {
        delimiter = true;
      } else if (message.envelope.size() == kMaxHops) {
        malformed = true;
      } else {
        message.envelope.emplace_back(frame.view());
      }
    }
    if (!malformed && payload_frames > 0) return message;
    ++dropped_;
  }
}

std::vector<Socket::LinkEvent> Socket::link_events() {
  std::vector<LinkEvent> events;
  if (monitor_ == nullptr) return events;
  if (std::exchange(connected_untold_, false)) events.push_back(LinkEvent::kConnected);
  if (monitor_readiness_->polled && !monitor_readiness_->may_have) return events;
  for (;;) {
    Frame first;
    if (zmq_msg_recv(first.get(), monitor_, ZMQ_DONTWAIT) < 0) {
      monitor_readiness_->may_have = false;
      return events;
    }
    uint16_t kind = 0;
    if (first.view().size() >= sizeof kind) std::memcpy(&kind, first.view().data(), sizeof kind);
    while (first.more()) {
      Frame address;
      if (zmq_msg_recv(address.get(), monitor_, 0) < 0 || !address.more()) break;
    }
    events.push_back(kind == ZMQ_EVENT_DISCONNECTED ? LinkEvent::kDisconnected
                                                    : LinkEvent::kConnected);
  }
}

Poller::Poller() : epoll_(::epoll_create1(EPOLL_CLOEXEC)) {
  ENSURE(epoll_ >= 0, "epoll_create1: {}", std::strerror(errno));
}
Poller::~Poller() {
  for (const auto& readiness : sockets_) readiness->polled = false;
  ::close(epoll_);
}

void Poller::add(const Socket& socket) {
  add(socket.readiness());
  if (socket.monitor_readiness() != nullptr) add(socket.monitor_readiness());
}
void Poller::add(const std::shared_ptr<Readiness>& readiness) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = reinterpret_cast<uintptr_t>(readiness.get());
  ENSURE(::epoll_ctl(epoll_, EPOLL_CTL_ADD, readiness->fd, &event) == 0, "epoll_ctl: {}",
         std::strerror(errno));
  readiness->polled = true;
  readiness->may_have = true;
  sockets_.push_back(readiness);
}
void Poller::remove(const Socket& socket) {
  remove(socket.readiness());
  if (socket.monitor_readiness() != nullptr) remove(socket.monitor_readiness());
}
void Poller::remove(const std::shared_ptr<Readiness>& readiness) {
  const auto known = std::find(sockets_.begin(), sockets_.end(), readiness);
  if (known == sockets_.end()) return;
  sockets_.erase(known);
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, readiness->fd, nullptr);
  readiness->polled = false;
}

// Descriptors are told from the addresses of Readiness, which are even, by their lowest bit.
void Poller::add_fd(int fd) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = (static_cast<uint64_t>(fd) << 1) | 1;
  ENSURE(::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0, "epoll_ctl: {}",
         std::strerror(errno));
}
void Poller::remove_fd(int fd) {
  ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
  std::erase(ready_fds_, fd);
}

void Poller::wait(Duration timeout) {
  ready_fds_.clear();
  bool at_once = false;
  std::erase_if(sockets_, [](const auto& readiness) { return readiness->socket == nullptr; });
  for (const auto& readiness : sockets_) {
    if (!readiness->may_have) continue;
    uint32_t events = 0;
    size_t size = sizeof events;
    readiness->may_have = zmq_getsockopt(readiness->socket, ZMQ_EVENTS, &events, &size) != 0 ||
                          (events & ZMQ_POLLIN) != 0;
    at_once |= readiness->may_have;
  }
  const int64_t rounded_up_ms = timeout.count() / 1'000'000 + (timeout.count() % 1'000'000 > 0);
  epoll_event events[kEventsMax];
  const int count =
      ::epoll_wait(epoll_, events, kEventsMax,
                   at_once ? 0 : static_cast<int>(std::clamp<int64_t>(rounded_up_ms, 0, INT_MAX)));
  for (int i = 0; i < count; ++i) {
    const uint64_t data = events[i].data.u64;
    if ((data & 1) != 0) {
      ready_fds_.push_back(static_cast<int>(data >> 1));
    } else {
      reinterpret_cast<Readiness*>(static_cast<uintptr_t>(data))->may_have = true;
    }
  }
}

bool Poller::fd_ready(int fd) const {
  return std::find(ready_fds_.begin(), ready_fds_.end(), fd) != ready_fds_.end();
}

}  // namespace pairfs
