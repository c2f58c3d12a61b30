// Starting and stopping the daemons of a local cluster: what the supervisor does all the time, and
// what `down` does itself when the supervisor is dead. One thread.
#pragma once

#include <functional>

#include "cli/cluster.h"
#include "cli/process.h"

namespace pairfs::cli {

// Starts one daemon, which becomes a child of this process, and writes its pid file. Refused when
// its program is not there.
Outcome<ProcessId> start_daemon(const Daemon& daemon);
// The same for the mount. Takes a dead mount away from the path first.
Outcome<ProcessId> start_mount(const Cluster& cluster, const SupervisorSettings& settings);

// Its process, if it runs.
inline std::optional<ProcessId> running(const Daemon& daemon) {
  return read_pid_file(daemon.pid_file());
}
// Whether it has announced that it serves, in this life.
bool is_ready(const Daemon& daemon);
// The supervisor, if it runs.
inline std::optional<ProcessId> running_supervisor(const Cluster& cluster) {
  return read_pid_file(cluster.supervisor_pid());
}

// Stops the mount, then the nodes, then the routers, each with SIGTERM and time to finish; kills
// what does not end. `told` gets a line per step. False when something had to be killed.
bool stop_all(const Cluster& cluster, const SupervisorSettings& settings,
              const std::function<void(const std::string&)>& told);

}  // namespace pairfs::cli
