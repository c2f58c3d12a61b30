#include "cli/local_daemons.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "cli/mount_point.h"

namespace pairfs::cli {
namespace {

constexpr int kMountStopMs = 15'000;
constexpr int kNodeStopMs = 60'000;
constexpr int kRouterStopMs = 10'000;
constexpr int kProbeMs = 500;

Outcome<ProcessId> start(const Daemon& daemon, const std::vector<std::string>& arguments) {
  auto program = find_program(daemon.program);
  if (!program.ok()) return program.problem();
  ::unlink(daemon.ready_file().c_str());
  ::unlink(daemon.last_exit().c_str());
  auto pid = launch({*program, arguments, daemon.log(), false});
  if (!pid.ok()) return pid.problem();
  // One that has ended already is a zombie until it is waited for; its number is enough then.
  const ProcessId id = identify(*pid).value_or(ProcessId{*pid, 0});
  if (Trouble trouble = write_pid_file(daemon.pid_file(), id)) return *trouble;
  return id;
}

// Stops these with SIGTERM, then SIGKILL after `timeout_ms`; false when that was needed.
bool stop(const std::vector<Daemon>& daemons, int timeout_ms,
          const std::function<void(const std::string&)>& told) {
  std::vector<ProcessId> ids;
  for (const Daemon& daemon : daemons)
    if (const auto id = running(daemon)) {
      send_signal(*id, SIGTERM);
      ids.push_back(*id);
    }
  const std::vector<ProcessId> left = wait_gone(ids, timeout_ms);
  for (const ProcessId& id : left) send_signal(id, SIGKILL);
  wait_gone(left, 5'000);
  for (const Daemon& daemon : daemons) {
    const auto id = read_file(daemon.pid_file());
    if (!id) continue;
    const bool killed = std::any_of(left.begin(), left.end(), [&](const ProcessId& one) {
      return id->starts_with(std::to_string(one.pid) + " ");
    });
    told(killed ? fmt::format("{} did not end within {} s and was killed", daemon.name,
                              timeout_ms / 1000)
                : fmt::format("{} stopped", daemon.name));
    if (!running(daemon)) ::unlink(daemon.pid_file().c_str());
  }
  return left.empty();
}

}  // namespace

Outcome<ProcessId> start_daemon(const Daemon& daemon) {
  return start(daemon, {"--config", daemon.config().string()});
}

Outcome<ProcessId> start_mount(const Cluster& cluster, const SupervisorSettings& settings) {
  if (const auto mounted = mounted_at(settings.mount)) {
    if (!mounted->is_pairfs() || probe(settings.mount, kProbeMs) == Answer::kAlive)
      return refused("{} is a mount point of something else ({})", settings.mount.string(),
                     mounted->type);
    if (Trouble trouble = unmount(settings.mount, Force::kAbort)) return *trouble;
  }
  return start(cluster.mount(), {"--foreground", "--config", cluster.mount().config().string()});
}

bool is_ready(const Daemon& daemon) {
  const auto id = running(daemon);
  const auto text = read_file(daemon.ready_file());
  if (!id || !text) return false;
  const auto json = nlohmann::json::parse(*text, nullptr, false);
  return json.is_object() && json.contains("pid") && json["pid"] == id->pid;
}

bool stop_all(const Cluster& cluster, const SupervisorSettings& settings,
              const std::function<void(const std::string&)>& told) {
  if (!settings.mount.empty()) {
    const auto mounted = mounted_at(settings.mount);
    if (mounted && mounted->is_pairfs() && unmount(settings.mount, Force::kNo))
      unmount(settings.mount, Force::kLazy);
  }
  bool clean = stop({cluster.mount()}, kMountStopMs, told);
  std::vector<Daemon> nodes, routers;
  for (const Daemon& daemon : cluster.daemons())
    (daemon.kind == Daemon::Kind::kNode ? nodes : routers).push_back(daemon);
  clean = stop(nodes, kNodeStopMs, told) && clean;
  return stop(routers, kRouterStopMs, told) && clean;
}

}  // namespace pairfs::cli
