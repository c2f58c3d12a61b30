#include "fuse/interrupts.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>

#include <fmt/core.h>

#include "fuse/fuse_request.h"

namespace pairfs {
namespace {

constexpr Duration kLookPeriod = std::chrono::milliseconds(100);
constexpr uint64_t kExitingFlag = 0x4;  // PF_EXITING, include/linux/sched.h

std::string read_proc(pid_t thread, const char* name) {
  const int fd = ::open(fmt::format("/proc/{}/{}", thread, name).c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  char text[4096];
  const ssize_t length = ::read(fd, text, sizeof text);
  ::close(fd);
  return length > 0 ? std::string(text, static_cast<size_t>(length)) : std::string();
}

uint64_t mask_in(const std::string& status, const char* field) {
  const size_t at = status.find(field);
  if (at == std::string::npos) return 0;
  return std::strtoull(status.c_str() + at + std::strlen(field), nullptr, 16);
}

constexpr uint64_t bit_of(int signal) { return uint64_t{1} << (signal - 1); }

// Their default is not to end the process.
constexpr uint64_t kHarmless = bit_of(SIGCHLD) | bit_of(SIGCONT) | bit_of(SIGSTOP) |
                               bit_of(SIGTSTP) | bit_of(SIGTTIN) | bit_of(SIGTTOU) |
                               bit_of(SIGURG) | bit_of(SIGWINCH);

}  // namespace

bool is_killed(pid_t thread) {
  if (thread <= 0) return false;
  const std::string status = read_proc(thread, "status");
  const uint64_t pending = mask_in(status, "\nSigPnd:\t") | mask_in(status, "\nShdPnd:\t");
  const uint64_t survived = mask_in(status, "\nSigBlk:\t") | mask_in(status, "\nSigIgn:\t") |
                            mask_in(status, "\nSigCgt:\t");
  return (pending & ~survived & ~kHarmless) != 0 || is_exiting(thread);
}

bool is_exiting(pid_t thread) {
  if (thread <= 0) return false;
  // proc(5): the name in parentheses may hold anything, the flags are the 7th field behind it.
  const std::string stat = read_proc(thread, "stat");
  size_t at = stat.rfind(')');
  for (int field = 0; field < 7 && at != std::string::npos; ++field) at = stat.find(' ', at + 1);
  if (at == std::string::npos) return false;
  return (std::strtoull(stat.c_str() + at, nullptr, 10) & kExitingFlag) != 0;
}

void Interrupts::interrupted(const std::shared_ptr<FuseRequest>& request) {
  requests_.push_back(request);
  next_look_ = Instant{};
}

Instant Interrupts::next_wake() const { return requests_.empty() ? Instant::max() : next_look_; }

void Interrupts::wake(Instant now) {
  if (requests_.empty() || now < next_look_) return;
  next_look_ = now + kLookPeriod;
  std::vector<std::weak_ptr<FuseRequest>> left;
  for (const auto& weak : requests_) {
    const auto request = weak.lock();
    if (!request || request->answered()) continue;
    if (is_killed(request->thread())) {
      request->abandon();
      continue;
    }
    if (request->blocking_lock()) request->cancel_lock();
    left.push_back(weak);
  }
  requests_ = std::move(left);
}

}  // namespace pairfs
