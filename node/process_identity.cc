#include "node/process_identity.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

namespace pairfs {
namespace {

struct Stat {
  char state = 0;
  uint64_t start_ticks = 0;
};

// Fields 3 and 22 of /proc/PID/stat; nullopt when there is no such process.
std::optional<Stat> stat_of(uint32_t pid) {
  std::ifstream file(fmt::format("/proc/{}/stat", pid));
  std::string line;
  if (!std::getline(file, line)) return std::nullopt;
  std::istringstream fields(line.substr(line.rfind(')') + 1));
  Stat stat;
  std::string field;
  fields >> stat.state;
  for (int index = 4; index <= 22; ++index) fields >> field;
  stat.start_ticks = std::strtoull(field.c_str(), nullptr, 10);
  return stat;
}

uint64_t boot_number() {
  std::string id = read_boot_id();
  std::erase(id, '-');
  return std::strtoull(id.substr(0, 16).c_str(), nullptr, 16);
}

}  // namespace

std::string read_boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

ProcessIdentity own_process() {
  ProcessIdentity self;
  const auto stat = stat_of(static_cast<uint32_t>(::getpid()));
  struct ::stat space {};
  if (!stat || ::stat("/proc/self/ns/pid", &space) != 0) return self;
  self.kernel = boot_number();
  self.pid_namespace = space.st_ino;
  self.pid = static_cast<uint32_t>(::getpid());
  self.start_ticks = stat->start_ticks;
  return self;
}

bool surely_dead(const ProcessIdentity& process) {
  static const ProcessIdentity self = own_process();
  if (process.pid == 0 || self.kernel == 0 || process.kernel != self.kernel ||
      process.pid_namespace != self.pid_namespace)
    return false;
  const auto now = stat_of(process.pid);
  if (!now) return ::access("/proc/self/stat", R_OK) == 0;
  return now->start_ticks != process.start_ticks || now->state == 'Z' || now->state == 'X';
}

}  // namespace pairfs
