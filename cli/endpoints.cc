#include "cli/endpoints.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

namespace pairfs::cli {
namespace {

constexpr std::string_view kLoopback = "tcp://127.0.0.1:";

// FNV-1a: a name, not a secret.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 14695981039346656037ULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return hash;
}

// A socket bound to that port of 127.0.0.1 (0: any free one); -1 when it is taken.
int bind_loopback(uint16_t port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int on = 1;
  ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

}  // namespace

fs::path runtime_directory_for(const fs::path& cluster_directory) {
  const std::string hash = fmt::format("{:016x}", hash_of(cluster_directory.string()));
  if (::geteuid() == 0 && ::access("/run", W_OK) == 0) return "/run/pairfs-" + hash;
  return fmt::format("/tmp/pairfs-{}-{}", ::geteuid(), hash);
}

Trouble prepare_runtime_directory(const fs::path& directory) {
  if (directory.empty()) return std::nullopt;
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    return refused("cannot make {} for the daemons' sockets: {}", directory.string(),
                   std::strerror(errno));
  struct stat found {};
  if (::lstat(directory.c_str(), &found) != 0 || !S_ISDIR(found.st_mode) ||
      found.st_uid != ::geteuid() || (found.st_mode & 077) != 0)
    return refused(
        "{} should be a directory of this user alone (mode 0700), for the daemons'"
        " sockets, but is not; remove it and try again",
        directory.string());
  return std::nullopt;
}

Outcome<std::vector<uint16_t>> choose_free_ports(size_t count) {
  std::vector<uint16_t> ports;
  std::vector<int> held;  // all at once, so that no port is chosen twice
  while (held.size() < count) {
    const int fd = bind_loopback(0);
    if (fd < 0) break;
    held.push_back(fd);
    sockaddr_in address{};
    socklen_t length = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length);
    ports.push_back(ntohs(address.sin_port));
  }
  for (const int fd : held) ::close(fd);
  if (ports.size() < count) return failed("there are not {} free ports on 127.0.0.1", count);
  return ports;
}

Trouble check_port_free(const std::string& endpoint, const std::string& owner) {
  if (!endpoint.starts_with(kLoopback)) return std::nullopt;
  const auto port = static_cast<uint16_t>(std::atoi(endpoint.c_str() + kLoopback.size()));
  const int fd = bind_loopback(port);
  const bool listening = fd >= 0 && ::listen(fd, 1) == 0;
  if (fd >= 0) ::close(fd);
  if (listening) return std::nullopt;
  return refused(
      "port {} of 127.0.0.1, where {} of this cluster listens, is in use by another"
      " program; stop that program and try again",
      port, owner);
}

}  // namespace pairfs::cli
