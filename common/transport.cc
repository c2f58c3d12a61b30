#include "common/transport.h"

#include <fmt/core.h>
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
  return s;
}

Socket::Socket(Socket&& other) noexcept { *this = std::move(other); }

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(handle_, other.handle_);
  std::swap(monitor_, other.monitor_);
  std::swap(endpoint_, other.endpoint_);
  std::swap(is_server_, other.is_server_);
  std::swap(queues_, other.queues_);
  std::swap(dropped_, other.dropped_);
  return *this;
}

Socket::~Socket() {
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
  for (;;) {
    Message message;
    size_t payload_frames = 0;
    bool delimiter = false, malformed = false, more = true;
    for (size_t index = 0; more; ++index) {
      Frame frame;
      if (zmq_msg_recv(frame.get(), handle_, ZMQ_DONTWAIT) < 0) {
        if (index == 0) return std::nullopt;
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
  for (;;) {
    Frame first;
    if (zmq_msg_recv(first.get(), monitor_, ZMQ_DONTWAIT) < 0) return events;
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

void Poller::add(const Socket& socket) {
  items_.push_back({socket.handle(), -1, false});
  if (socket.monitor_handle() != nullptr) items_.push_back({socket.monitor_handle(), -1, false});
}
void Poller::add_fd(int fd) { items_.push_back({nullptr, fd, false}); }
void Poller::remove(const Socket& socket) {
  std::erase_if(items_, [&](const Item& item) {
    return item.socket != nullptr &&
           (item.socket == socket.handle() || item.socket == socket.monitor_handle());
  });
}
void Poller::remove_fd(int fd) {
  std::erase_if(items_, [&](const Item& item) { return item.socket == nullptr && item.fd == fd; });
}

void Poller::wait(Duration timeout) {
  std::vector<zmq_pollitem_t> polled;
  polled.reserve(items_.size());
  for (const Item& item : items_) polled.push_back({item.socket, item.fd, ZMQ_POLLIN, 0});
  const int64_t rounded_up_ms = timeout.count() / 1'000'000 + (timeout.count() % 1'000'000 > 0);
  zmq_poll(polled.data(), static_cast<int>(polled.size()),
           std::clamp<int64_t>(rounded_up_ms, 0, INT_MAX));
  for (size_t i = 0; i < items_.size(); ++i) items_[i].ready = polled[i].revents != 0;
}

bool Poller::fd_ready(int fd) const {
  return std::any_of(items_.begin(), items_.end(), [&](const Item& item) {
    return item.socket == nullptr && item.fd == fd && item.ready;
  });
}

}  // namespace pairfs
