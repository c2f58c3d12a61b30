#include "common/transport.h"

#include <fmt/core.h>
#include <unistd.h>
#include <zmq.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <stdexcept>

#include "common/ensure.h"

namespace pairfs {
namespace {

constexpr size_t kCopyMaxBytes = 4096;
constexpr size_t kMaxHops = 8;
constexpr int64_t kMaxMessageBytes = 64 << 20;
constexpr int kHighWaterMark = 20000;

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

 private:
  zmq_msg_t message_;
};

void set_option(void* socket, int option, int value) {
  ENSURE(zmq_setsockopt(socket, option, &value, sizeof value) == 0, "zmq option {}: {}", option,
         zmq_strerror(zmq_errno()));
}

void set_common_options(void* socket) {
  set_option(socket, ZMQ_LINGER, 0);
  set_option(socket, ZMQ_SNDHWM, kHighWaterMark);
  set_option(socket, ZMQ_RCVHWM, kHighWaterMark);
  set_option(socket, ZMQ_IPV6, 0);
  const int64_t max = kMaxMessageBytes;
  ENSURE(zmq_setsockopt(socket, ZMQ_MAXMSGSIZE, &max, sizeof max) == 0, "maxmsgsize");
}

void release_shared(void*, void* hint) { delete static_cast<SharedBytes*>(hint); }

bool send_frame(void* socket, const SharedBytes& bytes, bool more) {
  zmq_msg_t message;
  if (bytes.size() <= kCopyMaxBytes) {
    zmq_msg_init_size(&message, bytes.size());
    if (!bytes.empty()) std::memcpy(zmq_msg_data(&message), bytes.view().data(), bytes.size());
  } else {
    auto* keep = new SharedBytes(bytes);
    zmq_msg_init_data(&message, const_cast<char*>(keep->view().data()), keep->size(),
                      release_shared, keep);
  }
  if (zmq_msg_send(&message, socket, ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) < 0) {
    zmq_msg_close(&message);
    return false;
  }
  return true;
}

bool send_frame(void* socket, const Bytes& bytes, bool more) {
  return zmq_send(socket, bytes.data(), bytes.size(), ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0)) >= 0;
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
  if (endpoint.starts_with("ipc://")) ::unlink(endpoint.c_str() + 6);
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
  std::swap(dropped_, other.dropped_);
  return *this;
}

Socket::~Socket() {
  if (handle_ != nullptr && monitor_ != nullptr) zmq_socket_monitor(handle_, nullptr, 0);
  if (monitor_ != nullptr) zmq_close(monitor_);
  if (handle_ != nullptr) zmq_close(handle_);
}

bool Socket::send(const std::vector<Bytes>& envelope, SharedBytes head, SharedBytes bulk) {
  // Layout: [peer][hop]*[empty delimiter][head][bulk?]. A first frame that is refused sends
  // nothing; later frames of a message are never refused.
  for (const Bytes& hop : envelope)
    if (!send_frame(handle_, hop, true)) return false;
  if (!send_frame(handle_, Bytes(), true)) return false;
  if (!send_frame(handle_, head, !bulk.empty())) return false;
  return bulk.empty() || send_frame(handle_, bulk, false);
}

std::optional<Message> Socket::receive() {
  for (;;) {
    Message message;
    std::vector<std::shared_ptr<Frame>> payload;
    bool delimiter = false, malformed = false, more = true;
    for (size_t index = 0; more; ++index) {
      auto frame = std::make_shared<Frame>();
      if (zmq_msg_recv(frame->get(), handle_, ZMQ_DONTWAIT) < 0) {
        if (index == 0) return std::nullopt;
        malformed = true;
        break;
      }
      more = frame->more();
      if (delimiter) {
        payload.push_back(std::move(frame));
        malformed |= payload.size() > 2;
      } else if (frame->view().empty() && !(is_server_ && index == 0)) {
        delimiter = true;
      } else {
        message.envelope.emplace_back(frame->view());
        malformed |= message.envelope.size() > kMaxHops;
      }
    }
    if (malformed || payload.empty()) {
      ++dropped_;
      continue;
    }
    message.head = SharedBytes(payload[0], payload[0]->view());
    if (payload.size() == 2) message.bulk = SharedBytes(payload[1], payload[1]->view());
    return message;
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
  const long ms = timeout.count() < 0
                      ? -1
                      : static_cast<long>((timeout.count() + 999'999) / 1'000'000);
  zmq_poll(polled.data(), static_cast<int>(polled.size()), ms);
  for (size_t i = 0; i < items_.size(); ++i) items_[i].ready = polled[i].revents != 0;
}

bool Poller::fd_ready(int fd) const {
  return std::any_of(items_.begin(), items_.end(), [&](const Item& item) {
    return item.socket == nullptr && item.fd == fd && item.ready;
  });
}

}  // namespace pairfs
