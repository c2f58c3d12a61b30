// Loaded into daemons by LD_PRELOAD, so that a test can stop one at a chosen point and stand
// between two of them, without anything in the product that serves tests. PAIRFS_SHIM_DIR is a
// directory of small files; NAME is the daemon's ("1a", "r1": the directory of its --config):
//
//   NAME.crash      holds a number N: the N-th call from now on that changes a file or makes it
//                   durable kills the process before it is carried out; the file is taken away
//   NAME.trace      exists: those calls are written to it, one per line
//   NAME.route/     a socket of the same base name in it is connected to instead of the one meant
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <string>

namespace {

template <class F>
F real(const char* name) {
  return reinterpret_cast<F>(::dlsym(RTLD_NEXT, name));
}

struct Self {
  std::string files;  // DIR/NAME; empty: nothing is done to this process
  Self() {
    const char* directory = ::getenv("PAIRFS_SHIM_DIR");
    FILE* file = ::fopen("/proc/self/cmdline", "r");
    char buffer[8192] = {};
    const size_t bytes = file != nullptr ? ::fread(buffer, 1, sizeof buffer - 1, file) : 0;
    if (file != nullptr) ::fclose(file);
    std::string previous;
    for (size_t at = 0; directory != nullptr && at < bytes; at += ::strlen(buffer + at) + 1) {
      if (previous == "--config") {
        std::string path = buffer + at;
        path.resize(path.rfind('/'));
        files = std::string(directory) + "/" + path.substr(path.rfind('/') + 1);
      }
      previous = buffer + at;
    }
  }
};

const Self& self() {
  static const Self the_self;
  return the_self;
}

// One call that changes a file is about to happen.
void before(const char* what) {
  static std::mutex mutex;
  static long left = 0;
  if (self().files.empty()) return;
  const std::lock_guard lock(mutex);
  const std::string trace = self().files + ".trace", crash = self().files + ".crash";
  if (const int fd = ::open(trace.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC); fd >= 0) {
    [[maybe_unused]] const ssize_t n = ::write(fd, what, ::strlen(what)) + ::write(fd, "\n", 1);
    ::close(fd);
  }
  if (left == 0) {
    const int fd = ::open(crash.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    char text[32] = {};
    [[maybe_unused]] const ssize_t n = ::read(fd, text, sizeof text - 1);
    ::close(fd);
    left = ::atol(text);
    if (left <= 0) {
      left = 0;
      return;
    }
  }
  if (--left > 0) return;
  ::unlink(crash.c_str());
  ::kill(::getpid(), SIGKILL);
}

}  // namespace

extern "C" {

int fdatasync(int fd) {
  before("fdatasync");
  static const auto call = real<int (*)(int)>("fdatasync");
  return call(fd);
}

int fsync(int fd) {
  before("fsync");
  static const auto call = real<int (*)(int)>("fsync");
  return call(fd);
}

int rename(const char* from, const char* to) noexcept {
  before("rename");
  static const auto call = real<int (*)(const char*, const char*)>("rename");
  return call(from, to);
}

int renameat(int from_fd, const char* from, int to_fd, const char* to) noexcept {
  before("renameat");
  static const auto call = real<int (*)(int, const char*, int, const char*)>("renameat");
  return call(from_fd, from, to_fd, to);
}

int linkat(int from_fd, const char* from, int to_fd, const char* to, int flags) noexcept {
  before("linkat");
  static const auto call = real<int (*)(int, const char*, int, const char*, int)>("linkat");
  return call(from_fd, from, to_fd, to, flags);
}

int mkdirat(int fd, const char* name, mode_t mode) noexcept {
  before("mkdirat");
  static const auto call = real<int (*)(int, const char*, mode_t)>("mkdirat");
  return call(fd, name, mode);
}

int unlinkat(int fd, const char* name, int flags) noexcept {
  before("unlinkat");
  static const auto call = real<int (*)(int, const char*, int)>("unlinkat");
  return call(fd, name, flags);
}

ssize_t pwritev(int fd, const iovec* vectors, int count, off_t offset) {
  before("pwritev");
  static const auto call = real<ssize_t (*)(int, const iovec*, int, off_t)>("pwritev");
  return call(fd, vectors, count, offset);
}

int connect(int fd, const sockaddr* address, socklen_t length) {
  static const auto call = real<int (*)(int, const sockaddr*, socklen_t)>("connect");
  if (address->sa_family != AF_UNIX || self().files.empty()) return call(fd, address, length);
  const std::string path = reinterpret_cast<const sockaddr_un*>(address)->sun_path;
  const std::string other = self().files + ".route/" + path.substr(path.rfind('/') + 1);
  sockaddr_un instead{};
  if (::access(other.c_str(), F_OK) != 0 || other.size() >= sizeof instead.sun_path)
    return call(fd, address, length);
  instead.sun_family = AF_UNIX;
  ::memcpy(instead.sun_path, other.c_str(), other.size() + 1);
  return call(fd, reinterpret_cast<const sockaddr*>(&instead), sizeof instead);
}

}  // extern "C"
