#include "common/stop_signal.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/ensure.h"

namespace pairfs {

StopSignal::StopSignal() {
  ::signal(SIGPIPE, SIG_IGN);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ENSURE(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0, "pthread_sigmask");
  fd_ = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  ENSURE(fd_ >= 0, "signalfd: {}", std::strerror(errno));
}

StopSignal::~StopSignal() { ::close(fd_); }

bool StopSignal::requested() {
  signalfd_siginfo info;
  if (::read(fd_, &info, sizeof info) == sizeof info) requested_ = true;
  return requested_;
}

}  // namespace pairfs
