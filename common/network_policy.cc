#include "common/network_policy.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <charconv>

namespace pairfs {
namespace {

// sockaddr_un holds 108 bytes with the final NUL.
constexpr size_t kIpcPathMaxBytes = 107;

bool is_port(const std::string& text) {
  if (text == "*") return true;
  unsigned port = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, port);
  return error == std::errc() && rest == end && port >= 1 && port <= 65535;
}

bool is_loopback(const std::string& host) {
  in_addr address{};
  return inet_pton(AF_INET, host.c_str(), &address) == 1 && (ntohl(address.s_addr) >> 24) == 127;
}

}  // namespace

std::optional<std::string> refuse_listen(const std::string& endpoint, bool insecure_network) {
  if (endpoint.starts_with("inproc://") && endpoint.size() > 9) return std::nullopt;
  if (endpoint.starts_with("ipc://")) {
    const std::string path = endpoint.substr(6);
    if (!path.starts_with("/"))
      return fmt::format("{}: expected an absolute path, as in ipc:///run/pairfs/r1", endpoint);
    if (path.size() >= kIpcPathMaxBytes)
      return fmt::format("{}: the path has {} bytes, but a socket's path must have fewer than {}",
                         endpoint, path.size(), kIpcPathMaxBytes);
    return std::nullopt;
  }
  const size_t colon = endpoint.rfind(':');
  if (!endpoint.starts_with("tcp://") || colon <= 6 || !is_port(endpoint.substr(colon + 1)))
    return fmt::format(
        "{}: expected tcp://ADDRESS:PORT (PORT from 1 to 65535, or * for any free "
        "one) or ipc:///ABSOLUTE/PATH",
        endpoint);
  const std::string host = endpoint.substr(6, colon - 6);
  if (insecure_network || is_loopback(host)) return std::nullopt;
  return fmt::format(
      "{}: {} is not a loopback address (127.0.0.1), and there is no authentication: "
      "whoever reaches the port can read and change all files. Listen on "
      "tcp://127.0.0.1:{} or ipc://, or set insecure_network = true on a network "
      "that you trust",
      endpoint, host, endpoint.substr(colon + 1));
}

}  // namespace pairfs
