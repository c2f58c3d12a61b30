// A socket of libzmq, for tcp. The one file of the product that includes zmq.
#include <arpa/inet.h>
#include <fmt/core.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <random>
#include <stdexcept>
#include <unordered_map>

#include "common/ensure.h"
#include "common/map_store.h"
#include "common/socket_impl.h"

namespace pairfs {
namespace {

constexpr size_t kCopyMaxBytes = 1024;  // longer frames are shared, and counted until sent
constexpr size_t kMaxHops = 8;
constexpr int64_t kMaxMessageBytes = 64 << 20;
constexpr int kSocketsMax = 4096;
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
constexpr int kReconnectMs = 20, kReconnectMaxMs = 200;
constexpr size_t kIdleCountersMax = 1024;
constexpr Duration kLookAtAnswerMax = std::chrono::milliseconds(16);
constexpr Duration kAskAgain = std::chrono::milliseconds(250);  // while it is not connected

// Octets handed over for one peer and not yet given to its connection. Large frames only, as the
// number of messages bounds the small ones.
using SendQueue = std::shared_ptr<std::atomic<int64_t>>;

class Frame {
 public:
  Frame() { zmq_msg_init(&message_); }
  ~Frame() { zmq_msg_close(&message_); }
  Frame(const Frame&) = delete;
  Frame& operator=(const Frame&) = delete;
  zmq_msg_t* get() { return &message_; }
  BytesView view() {
    return {static_cast<const char*>(zmq_msg_data(&message_)), zmq_msg_size(&message_)};
  }
  bool more() { return zmq_msg_more(&message_) != 0; }
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

// A socket's descriptor tells only of changes: `may_have` is false only when the socket was seen
// empty and its descriptor has not been readable since.
struct Source final : Watched {
  explicit Source(void* of) : socket(of) {
    size_t size = sizeof fd;
    ENSURE(zmq_getsockopt(socket, ZMQ_FD, &fd, &size) == 0, "zmq fd: {}",
           zmq_strerror(zmq_errno()));
  }
  void on_events(uint32_t) override { may_have = true; }
  bool ask() {
    if (!may_have) return false;
    uint32_t events = 0;
    size_t size = sizeof events;
    may_have =
        zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size) != 0 || (events & ZMQ_POLLIN) != 0;
    return may_have;
  }
  void* socket;
  int fd = -1;
  bool may_have = true;
};

// A peer that is known by a host's name. libzmq would look that up in the thread that moves the
// messages of all sockets; it is told addresses only.
struct NamedPeer {
  std::string host, port;
  std::string endpoint;  // with the address that libzmq was told last
  std::shared_ptr<const NameLookup::Question> question;
  Duration patience{};  // until the answer is looked for next
};

// nullopt: it has an address in it, or is no endpoint, as libzmq will say.
std::optional<NamedPeer> named_peer(const std::string& endpoint) {
  constexpr std::string_view kScheme = "tcp://";
  const size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with(kScheme) || colon < kScheme.size()) return std::nullopt;
  NamedPeer peer;
  peer.host = endpoint.substr(kScheme.size(), colon - kScheme.size());
  peer.port = endpoint.substr(colon + 1);
  const auto of_name = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  };
  const bool port_fits = !peer.port.empty() && peer.port.size() <= 5 &&
                         std::all_of(peer.port.begin(), peer.port.end(), ::isdigit) &&
                         std::stoi(peer.port) >= 1 && std::stoi(peer.port) <= 65535;
  in_addr address{};
  if (!port_fits || peer.host.empty() ||
      !std::all_of(peer.host.begin(), peer.host.end(), of_name) ||
      ::inet_pton(AF_INET, peer.host.c_str(), &address) == 1)
    return std::nullopt;
  return peer;
}

class ZeroMqSocket final : public SocketImpl {
 public:
  ZeroMqSocket(Context& context, const std::string& endpoint, bool is_server)
      : context_(context.zeromq()),
        names_(context.names()),
        is_server_(is_server),
        events_(std::make_shared<EventSet>()) {
    socket_ = zmq_socket(context_.get(), is_server ? ZMQ_ROUTER : ZMQ_DEALER);
    ENSURE(socket_ != nullptr, "zmq_socket: {}", zmq_strerror(zmq_errno()));
    set_options();
    const bool done = is_server ? zmq_bind(socket_, endpoint.c_str()) == 0 : connect(endpoint);
    if (!done) {
      const int error = zmq_errno();
      close();
      throw std::runtime_error(fmt::format("cannot {} {}: {}",
                                           is_server ? "listen on" : "connect to", endpoint,
                                           zmq_strerror(error)));
    }
    endpoint_ = endpoint;
    if (is_server) {
      char bound[1024];
      size_t length = sizeof bound;
      zmq_getsockopt(socket_, ZMQ_LAST_ENDPOINT, bound, &length);
      endpoint_ = bound;
    }
    source_ = std::make_unique<Source>(socket_);
    if (monitor_ != nullptr) monitor_source_ = std::make_unique<Source>(monitor_);
    join();
  }
  ~ZeroMqSocket() override {
    leave();
    close();
  }

  bool send(const std::vector<Bytes>& envelope, const SharedBytes& head,
            const SharedBytes& bulk) override;
  std::optional<Message> receive() override;
  std::vector<LinkEvent> take_link_events() override;
  void work() override { follow_name(boot_now()); }  // libzmq's own thread does the rest
  uint64_t dropped() const override { return dropped_; }
  const std::string& endpoint() const override { return endpoint_; }
  void move_to(std::shared_ptr<EventSet> events) override {
    leave();
    events_ = std::move(events);
    join();
  }

  // ---- EventSource ----
  bool before_wait(Instant now) override {
    if (peer_ && peer_->question != nullptr && peer_->question->done) follow_name(now);
    const bool message = source_->ask();
    return (monitor_source_ != nullptr && monitor_source_->ask()) || message;
  }
  void after_wait() override {}
  Instant next_tick() const override { return follow_at_; }
  void tick(Instant now, bool) override { follow_name(now); }

 private:
  void set_options();
  bool connect(const std::string& endpoint);
  void follow_name(Instant now);
  void join();
  void leave();
  void close();
  const SendQueue& queue_of(const std::vector<Bytes>& envelope);

  const std::shared_ptr<void> context_;
  const std::shared_ptr<NameLookup> names_;
  const bool is_server_;
  std::shared_ptr<EventSet> events_;
  void* socket_ = nullptr;
  void* monitor_ = nullptr;
  std::unique_ptr<Source> source_, monitor_source_;
  std::string endpoint_;
  std::optional<NamedPeer> peer_;
  Instant follow_at_ = Instant::max();
  bool connected_ = false;  // as the events say that were taken
  uint64_t dropped_ = 0;
  std::unordered_map<Bytes, SendQueue> queues_;  // by peer; of a client socket, one under ""
};

void ZeroMqSocket::set_options() {
  set_option(socket_, ZMQ_LINGER, 0);
  set_option(socket_, ZMQ_SNDHWM, kSendHighWaterMark);
  set_option(socket_, ZMQ_RCVHWM, kReceiveHighWaterMark);
  set_option(socket_, ZMQ_IPV6, 0);
  set_option(socket_, ZMQ_HEARTBEAT_IVL, kHeartbeatMs);
  set_option(socket_, ZMQ_HEARTBEAT_TIMEOUT, kHeartbeatTimeoutMs);
  set_option(socket_, ZMQ_HANDSHAKE_IVL, kHandshakeTimeoutMs);
  ENSURE(zmq_setsockopt(socket_, ZMQ_MAXMSGSIZE, &kMaxMessageBytes, sizeof kMaxMessageBytes) == 0,
         "maxmsgsize");
  if (!is_server_) return;
  set_option(socket_, ZMQ_ROUTER_MANDATORY, 1);
  // A peer that comes back before its old connection was found dead is the same peer: without this
  // its new connection would be ignored. Ids are random, so that nobody else has the same.
  set_option(socket_, ZMQ_ROUTER_HANDOVER, 1);
}

bool ZeroMqSocket::connect(const std::string& endpoint) {
  set_option(socket_, ZMQ_IMMEDIATE, 1);
  set_option(socket_, ZMQ_RECONNECT_IVL, kReconnectMs);
  set_option(socket_, ZMQ_RECONNECT_IVL_MAX, kReconnectMaxMs);
  set_option(socket_, ZMQ_CONNECT_TIMEOUT, kConnectTimeoutMs);
  const Bytes id = random_identity();
  zmq_setsockopt(socket_, ZMQ_ROUTING_ID, id.data(), id.size());
  const std::string address = fmt::format("inproc://monitor-{}", socket_);
  zmq_socket_monitor(socket_, address.c_str(),
                     ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED);
  monitor_ = zmq_socket(context_.get(), ZMQ_PAIR);
  ENSURE(monitor_ != nullptr, "zmq_socket: {}", zmq_strerror(zmq_errno()));
  set_option(monitor_, ZMQ_LINGER, 0);
  zmq_connect(monitor_, address.c_str());
  peer_ = named_peer(endpoint);
  if (!peer_) return zmq_connect(socket_, endpoint.c_str()) == 0;
  follow_name(boot_now());
  return true;
}

// Asks until it is connected, also later: a machine that comes back may have another address.
void ZeroMqSocket::follow_name(Instant now) {
  if (!peer_ || connected_) {
    follow_at_ = Instant::max();
    return;
  }
  NamedPeer& peer = *peer_;
  if (peer.question == nullptr) {
    if (follow_at_ != Instant::max() && now < follow_at_) return;
    peer.question = names_->ask(peer.host);
    peer.patience = std::chrono::milliseconds(1);
  }
  if (!peer.question->done.load(std::memory_order_acquire)) {
    follow_at_ = now + peer.patience;
    peer.patience = std::min(2 * peer.patience, kLookAtAnswerMax);
    return;
  }
  std::vector<std::string> endpoints;
  for (const std::string& address : peer.question->addresses)
    endpoints.push_back(fmt::format("tcp://{}:{}", address, peer.port));
  peer.question.reset();
  follow_at_ = now + kAskAgain;
  if (endpoints.empty() ||
      std::find(endpoints.begin(), endpoints.end(), peer.endpoint) != endpoints.end())
    return;
  if (!peer.endpoint.empty()) zmq_disconnect(socket_, peer.endpoint.c_str());
  peer.endpoint = zmq_connect(socket_, endpoints.front().c_str()) == 0 ? endpoints.front() : "";
}

void ZeroMqSocket::join() {
  events_->add(*this);
  for (Source* source : {source_.get(), monitor_source_.get()}) {
    if (source == nullptr) continue;
    events_->watch(source->fd, EPOLLIN, *source);
    source->may_have = true;
  }
}
void ZeroMqSocket::leave() {
  events_->remove(*this);
  for (Source* source : {source_.get(), monitor_source_.get()})
    if (source != nullptr) events_->forget(source->fd);
}
void ZeroMqSocket::close() {
  if (monitor_ != nullptr) {
    zmq_socket_monitor(socket_, nullptr, 0);
    zmq_close(monitor_);
  }
  zmq_close(socket_);
}

const SendQueue& ZeroMqSocket::queue_of(const std::vector<Bytes>& envelope) {
  static const Bytes kOnlyPeer;
  SendQueue& queue = queues_[is_server_ && !envelope.empty() ? envelope.front() : kOnlyPeer];
  if (queue != nullptr) return queue;
  queue = std::make_shared<std::atomic<int64_t>>(0);
  if (queues_.size() > kIdleCountersMax)
    std::erase_if(queues_, [&queue](const auto& item) {
      return item.second != queue && item.second->load() == 0;
    });
  return queue;
}

bool ZeroMqSocket::send(const std::vector<Bytes>& envelope, const SharedBytes& head,
                        const SharedBytes& bulk) {
  const SendQueue queue = queue_of(envelope);
  if (queue->load() > static_cast<int64_t>(kSendQueueMaxBytes)) return false;
  if (!events_->driven) follow_name(boot_now());
  source_->may_have = true;  // sending takes in what came, without a further sign of it
  // Layout: [peer][hop]*[empty delimiter][head][bulk?]. A first frame that is refused sends
  // nothing. A later one is refused only when the connection is lost meanwhile: ZeroMQ then waits
  // for the rest of the message, to drop it, and would take the next message for that rest.
  bool first = true, sent = true;
  const auto refused_at_first = [&](bool accepted) {
    sent &= accepted;
    return std::exchange(first, false) && !accepted;
  };
  for (const Bytes& hop : envelope)
    if (refused_at_first(send_frame(socket_, hop))) return false;
  if (refused_at_first(send_frame(socket_, Bytes()))) return false;
  sent &= send_frame(socket_, head, queue, !bulk.empty());
  if (!bulk.empty()) sent &= send_frame(socket_, bulk, queue, false);
  return sent;
}

std::optional<Message> ZeroMqSocket::receive() {
  if (!events_->driven) follow_name(boot_now());
  if (events_->driven && !source_->may_have) return std::nullopt;
  for (;;) {
    Message message;
    size_t payload_frames = 0;
    bool delimiter = false, malformed = false, more = true;
    for (size_t index = 0; more; ++index) {
      Frame frame;
      if (zmq_msg_recv(frame.get(), socket_, ZMQ_DONTWAIT) < 0) {
        if (index == 0) {
          source_->may_have = false;
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

std::vector<Socket::LinkEvent> ZeroMqSocket::take_link_events() {
  std::vector<LinkEvent> events;
  if (!events_->driven) follow_name(boot_now());
  if (monitor_ == nullptr || (events_->driven && !monitor_source_->may_have)) return events;
  for (;;) {
    Frame first;
    if (zmq_msg_recv(first.get(), monitor_, ZMQ_DONTWAIT) < 0) {
      monitor_source_->may_have = false;
      return events;
    }
    uint16_t kind = 0;
    if (first.view().size() >= sizeof kind) std::memcpy(&kind, first.view().data(), sizeof kind);
    while (first.more()) {
      Frame address;
      if (zmq_msg_recv(address.get(), monitor_, 0) < 0 || !address.more()) break;
    }
    connected_ = kind != ZMQ_EVENT_DISCONNECTED;
    if (!connected_) follow_at_ = boot_now();
    events.push_back(connected_ ? LinkEvent::kConnected : LinkEvent::kDisconnected);
  }
}

}  // namespace

std::shared_ptr<void> make_zeromq_context() {
  void* context = zmq_ctx_new();
  ENSURE(context != nullptr, "zmq_ctx_new: {}", zmq_strerror(zmq_errno()));
  zmq_ctx_set(context, ZMQ_MAX_SOCKETS, kSocketsMax);
  return {context, [](void* ended) { zmq_ctx_term(ended); }};
}

std::unique_ptr<SocketImpl> make_zeromq_socket(Context& context, const std::string& endpoint,
                                               bool is_server) {
  return std::make_unique<ZeroMqSocket>(context, endpoint, is_server);
}

}  // namespace pairfs
