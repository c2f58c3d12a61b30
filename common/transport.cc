#include "common/transport.h"

#include <algorithm>
#include <atomic>
#include <random>

#include "common/event_set.h"
#include "common/socket_impl.h"

namespace pairfs {
namespace {

uint64_t next_scope() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

std::unique_ptr<SocketImpl> make_socket(Context& context, const std::string& endpoint,
                                        bool is_server) {
  return endpoint.starts_with("tcp://") ? make_zeromq_socket(context, endpoint, is_server)
                                        : make_stream_socket(context, endpoint, is_server);
}

}  // namespace

Bytes random_identity() {
  std::random_device random;
  Bytes id = "C";
  for (int i = 0; i < 4; ++i) {
    const uint32_t word = random();
    id.append(reinterpret_cast<const char*>(&word), sizeof word);
  }
  return id;
}

Context::Context(ResolveHost resolve)
    : scope_(next_scope()),
      names_(std::make_shared<NameLookup>(std::move(resolve))),
      zeromq_(make_zeromq_context()) {}

Socket::Socket(std::unique_ptr<SocketImpl> impl) : impl_(std::move(impl)) {}
Socket::Socket(Socket&& other) noexcept = default;
Socket& Socket::operator=(Socket&& other) noexcept = default;
Socket::~Socket() = default;

Socket Socket::server(Context& context, const std::string& endpoint) {
  return Socket(make_socket(context, endpoint, true));
}
Socket Socket::client(Context& context, const std::string& endpoint) {
  return Socket(make_socket(context, endpoint, false));
}

bool Socket::send(const std::vector<Bytes>& envelope, const SharedBytes& head,
                  const SharedBytes& bulk) {
  return impl_->send(envelope, head, bulk);
}
std::optional<Message> Socket::receive() { return impl_->receive(); }
void Socket::work() { impl_->work(); }
uint64_t Socket::dropped_count() const { return impl_->dropped(); }
const std::string& Socket::endpoint() const { return impl_->endpoint(); }
std::vector<Socket::LinkEvent> Socket::link_events() { return impl_->take_link_events(); }

Poller::Poller() : events_(std::make_shared<EventSet>()) { events_->driven = true; }
Poller::~Poller() { events_->driven = false; }

void Poller::add(const Socket& socket) { socket.impl_->move_to(events_); }
void Poller::remove(const Socket& socket) { socket.impl_->move_to(std::make_shared<EventSet>()); }
void Poller::add_fd(int fd) { events_->watch_plain(fd); }
void Poller::remove_fd(int fd) { events_->forget(fd); }
void Poller::wait(Duration timeout) { events_->wait(timeout); }
bool Poller::fd_ready(int fd) const {
  const auto& ready = events_->ready_fds();
  return std::find(ready.begin(), ready.end(), fd) != ready.end();
}

}  // namespace pairfs
