// Stream sockets without ZeroMQ, for garbage and for broken connections. All for one thread,
// blocking with a limit of ten seconds.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/ensure.h"
#include "common/types.h"

namespace pairfs::test {

class RawSocket {
 public:
  explicit RawSocket(int fd = -1) : fd_(fd) {}
  ~RawSocket() { close(); }
  RawSocket(RawSocket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RawSocket& operator=(RawSocket&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }

  // "tcp://127.0.0.1:PORT" or "ipc:///path".
  static RawSocket connect(const std::string& endpoint) {
    sockaddr_storage address{};
    const socklen_t length = parse(endpoint, &address);
    RawSocket out(::socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ENSURE(::connect(out.fd_, reinterpret_cast<sockaddr*>(&address), length) == 0, "{}: {}",
           endpoint, std::strerror(errno));
    return out;
  }
  // Listens on a free port of the loopback; `endpoint` is where.
  static RawSocket listen(std::string* endpoint) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    RawSocket out(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    socklen_t length = sizeof address;
    ENSURE(::bind(out.fd_, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
               ::listen(out.fd_, 16) == 0 &&
               ::getsockname(out.fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0,
           "listen: {}", std::strerror(errno));
    *endpoint = "tcp://127.0.0.1:" + std::to_string(ntohs(address.sin_port));
    return out;
  }
  RawSocket accept() const { return RawSocket(::accept4(fd_, nullptr, nullptr, SOCK_CLOEXEC)); }

  // False when the other end has closed it.
  bool send(BytesView bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(n));
    }
    return true;
  }
  int fd() const { return fd_; }
  void close() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
  }

 private:
  static socklen_t parse(const std::string& endpoint, sockaddr_storage* out) {
    if (endpoint.starts_with("ipc://")) {
      auto* address = reinterpret_cast<sockaddr_un*>(out);
      address->sun_family = AF_UNIX;
      const std::string path = endpoint.substr(6);
      ENSURE(path.size() < sizeof address->sun_path, "{}", path);
      std::memcpy(address->sun_path, path.c_str(), path.size() + 1);
      return sizeof *address;
    }
    auto* address = reinterpret_cast<sockaddr_in*>(out);
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address->sin_port =
        htons(static_cast<uint16_t>(std::stoul(endpoint.substr(endpoint.rfind(':') + 1))));
    return sizeof *address;
  }
  int fd_;
};

// Passes bytes between its callers and `target` in a thread. cut() breaks the connections of the
// callers, while the target goes on seeing its own ends open and silent, as when a network parts.
class CuttableProxy {
 public:
  explicit CuttableProxy(std::string target) : target_(std::move(target)) {
    listener_ = RawSocket::listen(&endpoint_);
    ENSURE(::pipe(wake_) == 0, "pipe");
    thread_ = std::thread([this] { run(); });
  }
  ~CuttableProxy() {
    command('q');
    thread_.join();
    ::close(wake_[0]);
    ::close(wake_[1]);
  }
  const std::string& endpoint() const { return endpoint_; }
  void cut() { command('c'); }

 private:
  struct Connection {
    RawSocket caller, target;
  };

  void command(char c) { ENSURE(::write(wake_[1], &c, 1) == 1, "pipe"); }

  void run() {
    for (;;) {
      std::vector<pollfd> polled{{wake_[0], POLLIN, 0}, {listener_.fd(), POLLIN, 0}};
      for (const Connection& c : connections_) {
        polled.push_back({c.caller.fd(), POLLIN, 0});
        polled.push_back({c.target.fd(), POLLIN, 0});
      }
      ::poll(polled.data(), polled.size(), -1);
      if (polled[0].revents != 0) {
        char c = 0;
        ENSURE(::read(wake_[0], &c, 1) == 1, "pipe");
        if (c == 'q') return;
        for (Connection& connection : connections_) connection.caller.close();
        continue;
      }
      for (size_t i = 0; i < connections_.size(); ++i) {
        if (polled[2 + 2 * i].revents != 0) pass(connections_[i].caller, connections_[i].target);
        if (polled[3 + 2 * i].revents != 0) pass(connections_[i].target, connections_[i].caller);
      }
      if (polled[1].revents != 0)
        connections_.push_back({listener_.accept(), RawSocket::connect(target_)});
    }
  }
  static void pass(RawSocket& from, RawSocket& to) {
    char buffer[65536];
    const ssize_t n = ::read(from.fd(), buffer, sizeof buffer);
    if (n > 0 && to.fd() >= 0) {
      to.send({buffer, static_cast<size_t>(n)});
    } else if (n <= 0) {
      from.close();
    }
  }

  const std::string target_;
  std::string endpoint_;
  RawSocket listener_;
  std::vector<Connection> connections_;
  int wake_[2];
  std::thread thread_;
};

}  // namespace pairfs::test
