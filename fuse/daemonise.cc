#include "fuse/daemonise.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "common/config.h"

namespace pairfs {
namespace {

// What the child says is one line: empty means ready. Nothing at all: it died.
[[noreturn]] void wait_for_child(int fd, pid_t child) {
  std::string text;
  char buffer[1024];
  for (;;) {
    const ssize_t length = ::read(fd, buffer, sizeof buffer);
    if (length < 0 && errno == EINTR) continue;
    if (length <= 0) break;
    text.append(buffer, static_cast<size_t>(length));
    if (text.ends_with('\n')) break;
  }
  if (text == "\n") ::_exit(0);
  if (text.empty()) {
    ::waitpid(child, nullptr, 0);
    text = "it died while starting\n";
  }
  fmt::print(stderr, "pairfs-mount: {}", text);
  std::fflush(stderr);
  ::_exit(kExitUsage);
}

}  // namespace

StartReport::StartReport(bool background) {
  if (!background) return;
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return;
  const pid_t child = ::fork();
  if (child > 0) {
    ::close(ends[1]);
    wait_for_child(ends[0], child);
  }
  ::close(ends[0]);
  if (child < 0) {
    ::close(ends[1]);
    return;  // goes on in the foreground
  }
  fd_ = ends[1];
  ::setsid();
}

StartReport::~StartReport() {
  if (fd_ >= 0) ::close(fd_);
}

void StartReport::tell(const std::string& text) {
  const std::string line = text + "\n";
  size_t sent = 0;
  while (sent < line.size()) {
    const ssize_t length = ::write(fd_, line.data() + sent, line.size() - sent);
    if (length < 0 && errno != EINTR) break;
    if (length > 0) sent += static_cast<size_t>(length);
  }
  ::close(fd_);
  fd_ = -1;
}

void StartReport::ready() {
  if (fd_ < 0) return;
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd <= 2 && null >= 0; ++fd) ::dup2(null, fd);
  if (null > 2) ::close(null);
  if (::chdir("/") != 0) std::abort();
  tell("");
}

void StartReport::failed(const std::string& sentence) {
  if (fd_ < 0)
    fmt::print(stderr, "pairfs-mount: {}\n", sentence);
  else
    tell(sentence);
}

}  // namespace pairfs
