// pairfs down: unmounts a local cluster and stops it; the data stay.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <thread>

#include "cli/commands.h"
#include "cli/find_cluster.h"
#include "cli/local_daemons.h"
#include "cli/mount_point.h"

namespace pairfs::cli {
namespace {

constexpr int kProbeMs = 2'000;
constexpr int kMountEndMs = 15'000;

bool anything_runs(const Cluster& cluster) {
  for (const Daemon& daemon : cluster.daemons())
    if (running(daemon)) return true;
  return running(cluster.mount()) || running_supervisor(cluster);
}

// A mount that is dead or silent has nobody left to keep waiting for: it is always taken away.
Trouble take_mount_away(const fs::path& mount, bool force) {
  const auto mounted = mount.empty() ? std::nullopt : mounted_at(mount);
  if (!mounted || !mounted->is_pairfs()) return std::nullopt;
  const Answer answer = probe(mount, kProbeMs);
  if (answer == Answer::kSilent && !force)
    return failed(
        "the mount {} does not answer, so what its users still write would be lost; wait,"
        " or use --force",
        mount.string());
  if (Trouble trouble = unmount(mount, answer == Answer::kDead ? Force::kAbort
                                       : force                 ? Force::kLazy
                                                               : Force::kNo))
    return trouble;
  say(fmt::format("unmounted {}", mount.string()));
  return std::nullopt;
}

// The supervisor stops the rest; this tells what is gone as it goes.
bool stop_through_supervisor(const Cluster& cluster, const ProcessId& supervisor) {
  std::vector<Daemon> left = cluster.daemons();
  left.push_back(cluster.mount());
  std::erase_if(left, [](const Daemon& daemon) { return !running(daemon); });
  send_signal(supervisor, SIGTERM);
  const auto tell = [&] {
    std::erase_if(left, [](const Daemon& daemon) {
      if (running(daemon)) return false;
      say(fmt::format("{} stopped", daemon.name));
      return true;
    });
  };
  while (is_alive(supervisor)) {
    tell();
    wait_gone({supervisor}, 50);
  }
  tell();
  return left.empty();
}

int bring_down(const fs::path& directory, bool force) {
  auto cluster = read_cluster(directory);
  if (!cluster.ok()) return report(cluster.problem());
  auto settings = read_supervisor_settings(*cluster);
  if (!settings.ok()) return report(settings.problem());
  auto lock = FileLock::try_take(cluster->lock());
  if (!lock.ok()) return report(lock.problem());
  if (!*lock)
    return report(refused("another pairfs up or down is at work on {}; wait for it",
                          cluster->directory.string()));
  const bool ran = anything_runs(*cluster);
  if (Trouble trouble = take_mount_away(settings->mount, force)) return report(*trouble);
  if (!ran) {
    say(fmt::format("nothing of the cluster in {} is running", cluster->directory.string()));
    return kExitFine;
  }
  // Unmounted, pairfs-mount ends by itself, after it has closed its session.
  if (const auto id = running(cluster->mount()); id && !force) wait_gone({*id}, kMountEndMs);
  bool clean = true;
  if (const auto supervisor = running_supervisor(*cluster))
    clean = stop_through_supervisor(*cluster, *supervisor);
  if (anything_runs(*cluster)) clean = stop_all(*cluster, *settings, say) && clean;
  if (!clean)
    return report(
        failed("the cluster is down, but not everything ended by itself; its data are found"
               " from the logs at the next pairfs up"));
  say(fmt::format("down; the data are in {}", cluster->directory.string()));
  return kExitFine;
}

}  // namespace

void add_down(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("down", "Unmount a cluster of this machine and stop it");
  auto where = std::make_shared<ClusterOptions>();
  auto force = std::make_shared<bool>(false);
  add_directory_option(*command, *where);
  command->add_flag("--force", *force, "Unmount also when the mount is busy or does not answer");
  command->footer(
      "Nothing is lost: pairfs up on the same directory finds the data again.\n\n"
      "Examples:\n  pairfs down\n  pairfs down --dir /srv/pairfs --force");
  command->callback([=, &exit_code] { exit_code = bring_down(chosen_directory(*where), *force); });
}

}  // namespace pairfs::cli
