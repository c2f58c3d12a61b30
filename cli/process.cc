#include "cli/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sstream>

namespace pairfs::cli {
namespace {

std::string boot_id() {
  std::string id = read_file("/proc/sys/kernel/random/boot_id").value_or("?");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

std::vector<char*> as_argv(const std::string& program, const std::vector<std::string>& arguments) {
  std::vector<char*> argv{const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  return argv;
}

// In the child, between fork and exec: only async-signal-safe calls.
void become(const char* program, char* const* argv, int log_fd) {
  const int null_fd = ::open("/dev/null", O_RDWR);
  ::dup2(null_fd, 0);
  ::dup2(log_fd < 0 ? null_fd : log_fd, 1);
  ::dup2(log_fd < 0 ? null_fd : log_fd, 2);
  ::syscall(SYS_close_range, 3U, ~0U, 0U);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::execv(program, argv);
  ::_exit(127);
}

}  // namespace

std::optional<ProcessId> identify(pid_t pid) {
  const auto stat = read_file(fmt::format("/proc/{}/stat", pid));
  if (!stat) return std::nullopt;
  // The name in parentheses may hold anything, so fields are counted from its end.
  const size_t name_end = stat->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(stat->substr(name_end + 1));
  std::string field;
  fields >> field;
  if (field == "Z" || field == "X") return std::nullopt;
  for (int index = 4; index <= 22; ++index) fields >> field;
  return ProcessId{pid, std::strtoull(field.c_str(), nullptr, 10)};
}

Trouble write_pid_file(const fs::path& path, const ProcessId& id) {
  return write_file(path, fmt::format("{} {} {}\n", id.pid, id.start_ticks, boot_id()));
}

std::optional<ProcessId> read_pid_file(const fs::path& path) {
  const auto text = read_file(path);
  if (!text) return std::nullopt;
  std::istringstream in(*text);
  ProcessId id;
  std::string boot;
  if (!(in >> id.pid >> id.start_ticks >> boot) || boot != boot_id()) return std::nullopt;
  if (id.pid <= 0 || !is_alive(id)) return std::nullopt;
  return id;
}

bool send_signal(const ProcessId& id, int signal) {
  // The descriptor pins the process: once it is checked, the signal cannot reach a successor.
  const int fd = static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0));
  if (fd < 0) return false;
  const bool sent = is_alive(id) && ::syscall(SYS_pidfd_send_signal, fd, signal, nullptr, 0) == 0;
  ::close(fd);
  return sent;
}

std::vector<ProcessId> wait_gone(std::vector<ProcessId> ids, int timeout_ms) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeout_ms);
  for (;;) {
    std::erase_if(ids, [](const ProcessId& id) { return !is_alive(id); });
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
    if (ids.empty() || left.count() <= 0) return ids;
    pollfd waited{static_cast<int>(::syscall(SYS_pidfd_open, ids[0].pid, 0)), POLLIN, 0};
    if (waited.fd < 0) continue;
    ::poll(&waited, 1, static_cast<int>(std::min<int64_t>(left.count(), 200)));
    ::close(waited.fd);
  }
}

Outcome<pid_t> launch(const Launch& what) {
  const int log_fd = ::open(what.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log_fd < 0) return failed("cannot open {}: {}", what.log.string(), std::strerror(errno));
  const std::string program = what.program.string();
  const std::vector<char*> argv = as_argv(program, what.arguments);
  int channel[2];  // carries the grandchild's pid
  if (::pipe2(channel, O_CLOEXEC) != 0) {
    ::close(log_fd);
    return failed("cannot start {}: {}", program, std::strerror(errno));
  }
  const pid_t child = ::fork();
  if (child == 0) {
    if (what.detach) {
      ::setsid();
      const pid_t grandchild = ::fork();
      if (grandchild != 0) {
        const bool told = ::write(channel[1], &grandchild, sizeof grandchild) == sizeof grandchild;
        ::_exit(told && grandchild > 0 ? 0 : 1);
      }
      if (::chdir("/") != 0) ::_exit(127);
    }
    become(program.c_str(), argv.data(), log_fd);
  }
  ::close(log_fd);
  ::close(channel[1]);
  pid_t pid = child;
  if (child > 0 && what.detach) {
    if (::read(channel[0], &pid, sizeof pid) != sizeof pid) pid = -1;
    ::waitpid(child, nullptr, 0);
  }
  ::close(channel[0]);
  if (pid <= 0) return failed("cannot start {}: no process could be made", program);
  return pid;
}

int run_quietly(const fs::path& program, const std::vector<std::string>& arguments) {
  const std::string name = program.string();
  const std::vector<char*> argv = as_argv(name, arguments);
  const pid_t child = ::fork();
  if (child == 0) become(name.c_str(), argv.data(), -1);
  int status = 0;
  if (child < 0 || ::waitpid(child, &status, 0) != child || !WIFEXITED(status)) return -1;
  return WEXITSTATUS(status);
}

std::vector<std::string> users_of(const fs::path& path, size_t limit) {
  std::vector<std::string> users;
  const std::string root = path.string();
  const auto points_inside = [&](const fs::path& link) {
    char target[4096];
    const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
    const std::string_view view(target, length < 0 ? 0 : static_cast<size_t>(length));
    return view.starts_with(root) && (view.size() == root.size() || view[root.size()] == '/');
  };
  const auto uses = [&](const fs::path& process) {
    for (const char* link : {"cwd", "root", "exe"})
      if (points_inside(process / link)) return true;
    boost::system::error_code error;
    for (fs::directory_iterator fd(process / "fd", error), end; !error && fd != end;
         fd.increment(error))
      if (points_inside(fd->path())) return true;
    return false;
  };
  boost::system::error_code error;
  for (fs::directory_iterator entry("/proc", error), end;
       !error && entry != end && users.size() < limit; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos || !uses(entry->path())) continue;
    std::string comm = read_file(entry->path() / "comm").value_or("?\n");
    if (!comm.empty()) comm.pop_back();
    users.push_back(fmt::format("{} ({})", comm, name));
  }
  return users;
}

Outcome<fs::path> find_program(const std::string& name) {
  boost::system::error_code error;
  const fs::path own = fs::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<fs::path> places = {own, own.parent_path() / "libexec" / "pairfs"};
  for (const char* part : {"cli", "router", "node", "fuse"})
    places.push_back(own.parent_path() / part);
  if (const char* path = std::getenv("PATH")) {
    std::istringstream in(path);
    for (std::string place; std::getline(in, place, ':');)
      if (!place.empty()) places.emplace_back(place);
  }
  for (const fs::path& place : places) {
    const fs::path candidate = place / name;
    if (fs::is_regular_file(candidate, error) && ::access(candidate.c_str(), X_OK) == 0)
      return canonical_path(candidate);
  }
  return refused(
      "the program {} was found neither beside pairfs ({}) nor in PATH; build it with"
      " ./dev build, or install all of pairfs",
      name, own.string());
}

}  // namespace pairfs::cli
