// Processes by identity: a pid together with the time it started and the boot it belongs to, so
// that a reused pid is never taken for the process that was meant. Any thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "cli/files.h"

namespace pairfs::cli {

struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/PID/stat
  friend bool operator==(const ProcessId&, const ProcessId&) = default;
};

// The process that has this pid now; nullopt when there is none, or only a zombie.
std::optional<ProcessId> identify(pid_t pid);
inline bool is_alive(const ProcessId& id) { return identify(id.pid) == id; }

// A pid file: "PID START_TICKS BOOT_ID". Reading gives the process only while it lives.
Trouble write_pid_file(const fs::path& path, const ProcessId& id);
std::optional<ProcessId> read_pid_file(const fs::path& path);

// Sends `signal` to that process and no other; false when it is gone.
bool send_signal(const ProcessId& id, int signal);
// Waits until all are gone, up to `timeout_ms`; gives those that are not.
std::vector<ProcessId> wait_gone(std::vector<ProcessId> ids, int timeout_ms);

struct Launch {
  fs::path program;
  std::vector<std::string> arguments;  // without the program's name
  fs::path log;                        // appended to: what it writes on stdout and stderr
  bool detach = false;                 // a session of its own, and not a child of this process
};
// Starts a program with stdin from /dev/null and no other descriptor. Gives its pid.
Outcome<pid_t> launch(const Launch& launch);

// Runs a program to its end, output thrown away; its exit code, -1 when it did not run or died.
int run_quietly(const fs::path& program, const std::vector<std::string>& arguments);

// Processes that use something at or below `path` (working directory, root, program, open files),
// as "name (pid)", at most `limit`; only those that this user may look at.
std::vector<std::string> users_of(const fs::path& path, size_t limit);

// The program of this name: beside the running executable, in the layout of a build tree or of an
// installation, or in PATH.
Outcome<fs::path> find_program(const std::string& name);

}  // namespace pairfs::cli
