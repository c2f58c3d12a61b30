#include "common/stream_endpoint.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace pairfs {
namespace {

constexpr int kBacklog = 1024;
constexpr int kSendBufferBytes = 4 << 20;  // messages of a megabyte pass in one go

void prepare(int fd) {
  if (::setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &kSendBufferBytes, sizeof(int)) != 0)
    ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &kSendBufferBytes, sizeof(int));
}

bool somebody_listens(const sockaddr_storage& address, socklen_t length) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), length) == 0 ||
                         errno == EAGAIN;  // its backlog is full
  ::close(fd);
  return connected;
}

}  // namespace

StreamEndpoint::StreamEndpoint(std::string text, uint64_t scope)
    : text_(std::move(text)), scope_(scope) {
  const auto refuse = [&](const char* why) {
    throw std::runtime_error(fmt::format("{} is no endpoint: {}", text_, why));
  };
  if (text_.starts_with("ipc://") || text_.starts_with("inproc://")) {
    kind_ = text_.starts_with("ipc://") ? Kind::kPath : Kind::kInProcess;
    const std::string path = text_.substr(text_.find("://") + 3);
    if (path.empty() || path.find('\0') != std::string::npos) refuse("a name is missing");
    if (path.size() + 40 * in_process() >= sizeof sockaddr_un{}.sun_path)
      refuse("File name too long");
  } else {
    refuse("expected tcp://HOST:PORT, ipc:///PATH or inproc://NAME");
  }
}

StreamEndpoint::Address StreamEndpoint::local_address() const {
  Address out;
  auto& address = reinterpret_cast<sockaddr_un&>(out.bytes);
  address.sun_family = AF_UNIX;
  std::string path = text_.substr(text_.find("://") + 3);
  // A first octet of zero: a name of the kernel's, not of a filesystem.
  if (in_process()) path = fmt::format("{}pairfs/{}/{}/{}", '\0', ::getpid(), scope_, path);
  std::memcpy(address.sun_path, path.data(), path.size());
  out.length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + !in_process());
  return out;
}

int StreamEndpoint::listen() {
  const auto refuse = [&](const std::string& why) {
    throw std::runtime_error(fmt::format("cannot listen on {}: {}", text_, why));
  };
  Address address = local_address();
  if (!in_process() && somebody_listens(address.bytes, address.length))
    refuse("another process listens there");
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) refuse(std::strerror(errno));
  if (kind_ == Kind::kPath) ::unlink(text_.c_str() + 6);
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address.bytes), address.length) != 0 ||
      ::listen(fd, kBacklog) != 0) {
    const int error = errno;
    ::close(fd);
    refuse(std::strerror(error));
  }
  if (struct stat status{}; ::stat(text_.c_str() + 6, &status) == 0) {
    bound_inode_ = status.st_ino;
  }
  return fd;
}

int StreamEndpoint::accept(int listening) const {
  for (;;) {
    const int fd = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EINTR || errno == ECONNABORTED)) continue;
    if (fd < 0) return -1;
    prepare(fd);
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

bool StreamEndpoint::connect(int* connecting) const {
  Address address = local_address();
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return false;
  prepare(fd);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address.bytes), address.length) != 0 &&
      errno != EINPROGRESS) {
    ::close(fd);
    return false;
  }
  *connecting = fd;
  return true;
}

}  // namespace pairfs
