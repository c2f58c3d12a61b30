#include "common/stream_endpoint.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <thread>

namespace pairfs {
namespace {

constexpr int kBacklog = 1024;
// A local stream's messages of a megabyte pass in one go. TCP sizes its buffers itself.
constexpr int kLocalSendBufferBytes = 4 << 20;

void prepare(int fd, bool tcp) {
  const int on = 1;
  if (tcp) {
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return;
  }
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kLocalSendBufferBytes, sizeof(int)) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kLocalSendBufferBytes, sizeof(int));
}

bool somebody_listens(const sockaddr_storage& address, socklen_t length) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool connected =
      ::connect(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0 ||
      errno == EAGAIN;  // its backlog is full
  ::close(fd);
  return connected;
}

std::optional<uint16_t> parse_port(const std::string& text) {
  if (text == "*") return uint16_t{0};
  uint32_t port = 0;
  if (text.empty() || text.size() > 5) return std::nullopt;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    port = port * 10 + static_cast<uint32_t>(c - '0');
  }
  if (port > 0xffff) return std::nullopt;
  return static_cast<uint16_t>(port);
}

}  // namespace

struct StreamEndpoint::LookUp {
  std::atomic<bool> done = false;
  bool found = false;
  in_addr host{};
};

StreamEndpoint::StreamEndpoint(std::string text, uint64_t scope)
    : text_(std::move(text)), scope_(scope) {
  const auto refuse = [&](const char* why) {
    throw std::runtime_error(fmt::format("{} is no endpoint: {}", text_, why));
  };
  if (text_.starts_with("tcp://")) {
    kind_ = Kind::kTcp;
    std::string host, port;
    if (!parse_tcp(&host, &port)) refuse("expected tcp://HOST:PORT");
  } else if (text_.starts_with("ipc://") || text_.starts_with("inproc://")) {
    kind_ = text_.starts_with("ipc://") ? Kind::kPath : Kind::kInProcess;
    const std::string path = text_.substr(text_.find("://") + 3);
    if (path.empty() || path.find('\0') != std::string::npos) refuse("a name is missing");
    if (path.size() + 40 * in_process() >= sizeof sockaddr_un{}.sun_path) refuse("File name too long");
  } else {
    refuse("expected tcp://, ipc:// or inproc://");
  }
}

bool StreamEndpoint::parse_tcp(std::string* host, std::string* port) const {
  const std::string rest = text_.substr(6);
  const size_t colon = rest.rfind(':');
  if (colon == std::string::npos || colon == 0) return false;
  *host = rest.substr(0, colon);
  *port = rest.substr(colon + 1);
  return parse_port(*port).has_value();
}

StreamEndpoint::Address StreamEndpoint::local_address() const {
  Address out;
  auto& address = reinterpret_cast<sockaddr_un&>(out.bytes);
  address.sun_family = AF_UNIX;
  std::string path = text_.substr(text_.find("://") + 3);
  // A first octet of zero: a name of the kernel's, not of a filesystem.
  if (in_process()) path = fmt::format("{}pairfs/{}/{}/{}", '\0', ::getpid(), scope_, path);
  std::memcpy(address.sun_path, path.data(), path.size());
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + !in_process());
  return out;
}

int StreamEndpoint::listen() {
  const auto refuse = [&](const std::string& why) {
    throw std::runtime_error(fmt::format("cannot listen on {}: {}", text_, why));
  };
  const bool tcp = kind_ == Kind::kTcp;
  Address address;
  if (tcp) {
    std::string host, port;
    parse_tcp(&host, &port);
    auto& in = reinterpret_cast<sockaddr_in&>(address.bytes);
    in.sin_family = AF_INET;
    in.sin_port = htons(*parse_port(port));
    in.sin_addr.s_addr = htonl(INADDR_ANY);
    if (host != "*" && ::inet_pton(AF_INET, host.c_str(), &in.sin_addr) != 1) {
      addrinfo hints{}, *found = nullptr;
      hints.ai_family = AF_INET;
      if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) != 0)
        refuse("its host is not known here");
      in.sin_addr = reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr;
      ::freeaddrinfo(found);
    }
    address.length = sizeof in;
  } else {
    address = local_address();
    if (!in_process() && somebody_listens(address.bytes, address.length))
      refuse("another process listens there");
  }
  const int fd = ::socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) refuse(std::strerror(errno));
  const int on = 1;
  if (tcp) ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (kind_ == Kind::kPath) ::unlink(text_.c_str() + 6);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address.bytes), address.length) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    refuse(std::strerror(error));
  }
  if (tcp) {
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address.bytes), &address.length);
    const auto& in = reinterpret_cast<sockaddr_in&>(address.bytes);
    char host[INET_ADDRSTRLEN] = {};
    ::inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
    text_ = fmt::format("tcp://{}:{}", host, ntohs(in.sin_port));
  } else if (struct stat status{}; ::stat(text_.c_str() + 6, &status) == 0) {
    bound_inode_ = status.st_ino;
  }
  return fd;
}

int StreamEndpoint::accept(int listening) const {
  for (;;) {
    const int fd = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return -1;
    prepare(fd, kind_ == Kind::kTcp);
    ucred peer{};
    socklen_t length = sizeof peer;
    // Such a name is everybody's on this machine.
    if (in_process() && (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 ||
                         peer.pid != ::getpid())) {
      ::close(fd);
      continue;
    }
    return fd;
  }
}

void StreamEndpoint::forget_path() const {
  struct stat status {};
  if (kind_ == Kind::kPath && ::stat(text_.c_str() + 6, &status) == 0 &&
      status.st_ino == bound_inode_)
    ::unlink(text_.c_str() + 6);
}

StreamEndpoint::Attempt StreamEndpoint::connect(int* connecting) {
  const bool tcp = kind_ == Kind::kTcp;
  Address address;
  if (tcp) {
    std::string host, port;
    parse_tcp(&host, &port);
    auto& in = reinterpret_cast<sockaddr_in&>(address.bytes);
    in.sin_family = AF_INET;
    in.sin_port = htons(*parse_port(port));
    address.length = sizeof in;
    if (::inet_pton(AF_INET, host.c_str(), &in.sin_addr) != 1) {
      if (look_up_ == nullptr) {
        look_up_ = std::make_shared<LookUp>();
        std::thread([host, look_up = look_up_] {
          addrinfo hints{}, *found = nullptr;
          hints.ai_family = AF_INET;
          hints.ai_socktype = SOCK_STREAM;
          if (::getaddrinfo(host.c_str(), nullptr, &hints, &found) == 0) {
            look_up->host = reinterpret_cast<sockaddr_in*>(found->ai_addr)->sin_addr;
            look_up->found = true;
            ::freeaddrinfo(found);
          }
          look_up->done.store(true, std::memory_order_release);
        }).detach();
      }
      if (!look_up_->done.load(std::memory_order_acquire)) return Attempt::kPending;
      const auto looked_up = std::exchange(look_up_, nullptr);
      if (!looked_up->found) return Attempt::kFailed;
      in.sin_addr = looked_up->host;
    }
  } else {
    address = local_address();
  }
  const int fd = ::socket(tcp ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return Attempt::kFailed;
  prepare(fd, tcp);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address.bytes), address.length) != 0 &&
      errno != EINPROGRESS) {
    ::close(fd);
    return Attempt::kFailed;
  }
  *connecting = fd;
  return Attempt::kStarted;
}

}  // namespace pairfs
