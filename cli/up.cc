// pairfs up: makes a cluster if there is none, starts what is down, waits until all of it serves.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/add_pair.h"
#include "cli/commands.h"
#include "cli/endpoints.h"
#include "cli/gather.h"
#include "cli/local_daemons.h"
#include "cli/mount_config.h"
#include "cli/up_plan.h"
#include "cli/wait_ready.h"

namespace pairfs::cli {
namespace {

// The cluster's directory and the lock on it. A directory that was made for this goes again unless
// the creation succeeds.
class Workplace {
 public:
  static Outcome<Workplace> open(const fs::path& directory) {
    Workplace place;
    boost::system::error_code error;
    place.directory_ = directory;
    place.made_ = !fs::exists(directory, error);
    if (place.made_) {
      if (!directory.parent_path().empty()) fs::create_directories(directory.parent_path(), error);
      if (::mkdir(directory.c_str(), 0700) != 0)
        return refused("cannot make the directory {}: {}", directory.string(),
                       std::strerror(errno));
    }
    if (::access(directory.c_str(), W_OK | X_OK) != 0)
      return refused("cannot write in {}: {}", directory.string(), std::strerror(errno));
    auto lock = FileLock::try_take(directory / "lock");
    if (!lock.ok()) return lock.problem();
    if (!*lock)
      return refused("another pairfs up or down is at work on {}; wait for it", directory.string());
    place.lock_ = std::move(**lock);
    return place;
  }
  void undo() {
    boost::system::error_code error;
    ::unlink((directory_ / "lock").c_str());
    if (made_) fs::remove_all(directory_, error);
  }

 private:
  fs::path directory_;
  bool made_ = false;
  std::optional<FileLock> lock_;
};

// Of a cluster whose routers are down, so that nobody of it can be the one who listens.
Trouble check_ports(const Cluster& cluster) {
  const auto map = stored_map(cluster);
  if (cluster.transport != "tcp" || !map) return std::nullopt;
  std::vector<std::pair<std::string, std::string>> wanted;  // endpoint, daemon
  for (const RouterInfo& router : map->routers) {
    wanted.emplace_back(router.endpoint, router.name);
    wanted.emplace_back(router.map_endpoint, router.name);
  }
  for (const PairInfo& pair : map->pairs)
    for (const NodeInfo& node : pair.nodes) {
      wanted.emplace_back(node.endpoint, node.name);
      wanted.emplace_back(node.link_endpoint, node.name);
    }
  for (const auto& [endpoint, name] : wanted) {
    if (running({Daemon::Kind::kNode, name, "", cluster.directory / name})) continue;
    if (Trouble trouble = check_port_free(endpoint, name)) return trouble;
  }
  return std::nullopt;
}

Trouble make_mount_point(const fs::path& mount) {
  if (mount.empty() || ::mkdir(mount.c_str(), 0755) == 0 || errno == EEXIST || errno == ENOTCONN)
    return std::nullopt;
  return refused("cannot make the mount point {}: {}", mount.string(), std::strerror(errno));
}

// What earlier lives left behind says nothing about those that start now.
void forget_earlier_lives(const Cluster& cluster) {
  std::vector<Daemon> all = cluster.daemons();
  all.push_back(cluster.mount());
  for (const Daemon& daemon : all)
    if (!running(daemon)) {
      ::unlink(daemon.last_exit().c_str());
      ::unlink(daemon.ready_file().c_str());
    }
}

// Starts the supervisor, or tells the one that runs to look again. Gives a new one's process.
Outcome<std::optional<ProcessId>> start_supervisor(const Cluster& cluster) {
  if (const auto id = running_supervisor(cluster)) {
    send_signal(*id, SIGHUP);
    return std::optional<ProcessId>();
  }
  boost::system::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  auto pid = launch(
      {self, {"supervise", "--dir", cluster.directory.string()}, cluster.supervisor_log(), true});
  if (!pid.ok()) return pid.problem();
  const auto id = identify(*pid);
  if (!id)
    return failed("the supervisor ended at once; its words are in {}",
                  cluster.supervisor_log().string());
  return id;
}

// What this command has started half is stopped again.
void undo_start(const Cluster& cluster, const SupervisorSettings& settings,
                const ProcessId& supervisor) {
  send_signal(supervisor, SIGTERM);
  wait_gone({supervisor}, 100'000);
  stop_all(cluster, settings, [](const std::string&) {});
}

void say_what_to_try(const Cluster& cluster, const SupervisorSettings& settings) {
  const std::string directory = cluster.directory.string();
  if (settings.mount.empty()) {
    say(fmt::format("\nThe cluster is up. Mount it with:\n  pairfs mount {} PATH",
                    cluster.router_endpoints.front()));
    return;
  }
  boost::system::error_code error;
  const fs::path self = fs::read_symlink("/proc/self/exe", error);
  say(
      fmt::format("\npairfs is mounted at {0}\n\n"
                  "Try:\n"
                  "  echo hello > '{0}/hello' && cat '{0}/hello'\n"
                  "  '{1}' status --dir '{2}'\n"
                  "  '{1}' down --dir '{2}'      (the data stay; up finds them again)",
                  settings.mount.string(), self.string(), directory));
}

int bring_up(const UpRequest& request) {
  auto up = check_up(request);
  if (!up.ok()) return report(up.problem());
  auto place = Workplace::open(request.plan.directory);
  if (!place.ok()) return report(place.problem());
  if (!up->cluster) {
    if (look_at(request.plan.directory) == DirectoryKind::kCluster)
      return report(refused("{} was made a cluster by somebody else just now; try again",
                            request.plan.directory.string()));
    auto created = create_cluster(request.plan);
    if (!created.ok()) {
      place->undo();
      return report(created.problem());
    }
    up->cluster = *created;
    say(fmt::format("made a cluster of {} pairs in {}", request.plan.pairs,
                    request.plan.directory.string()));
  }
  const Cluster& cluster = *up->cluster;
  if (Trouble trouble = prepare_runtime_directory(cluster.runtime_directory))
    return report(*trouble);
  if (Trouble trouble = check_ports(cluster)) return report(*trouble);
  if (Trouble trouble = make_mount_point(up->settings.mount)) return report(*trouble);
  if (Trouble trouble = write_mount_config(cluster, up->settings)) return report(*trouble);
  if (Trouble trouble = write_supervisor_settings(cluster, up->settings)) return report(*trouble);
  forget_earlier_lives(cluster);
  auto fresh = start_supervisor(cluster);
  if (!fresh.ok()) return report(fresh.problem());
  const auto undone = [&](const Problem& problem) {
    if (*fresh) undo_start(cluster, up->settings, **fresh);
    return report(problem);
  };
  if (Trouble trouble = wait_for_daemons(cluster)) return undone(*trouble);
  // A volume that cannot be opened keeps nobody from the others; it is tried again.
  if (Trouble trouble = wait_for_volumes(cluster)) return report(*trouble);
  if (Trouble trouble = wait_for_mount(cluster, up->settings)) return undone(*trouble);
  const size_t pairs = cluster.nodes.size() / 2;
  for (size_t more = pairs; request.gave_pairs && more < request.plan.pairs; ++more)
    if (Trouble trouble = add_local_pair(cluster.directory, up->settings)) return report(*trouble);
  if (request.gave_pairs && pairs < request.plan.pairs)
    say("the new pairs have nothing yet; pairfs rebalance start gives them their share");
  say_what_to_try(cluster, up->settings);
  return kExitFine;
}

}  // namespace

void add_up(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("up", "Start a cluster on this machine and mount it");
  auto where = std::make_shared<ClusterOptions>();
  auto request = std::make_shared<UpRequest>();
  add_directory_option(*command, *where);
  command
      ->add_option("--mount", request->mount_text,
                   "Where to mount it (default: as before, else $PAIRFS_MOUNT, else ./mnt)")
      ->type_name("PATH");
  command->add_option("-o", request->mount_options, "Mount options, as of pairfs mount")
      ->type_name("OPTION[,OPTION...]");
  command->add_flag("--no-mount", request->no_mount, "Start the servers only");
  auto* pairs =
      command->add_option("--pairs", request->plan.pairs, "Pairs of nodes")->capture_default_str();
  auto* routers =
      command->add_option("--routers", request->plan.routers, "Routers")->capture_default_str();
  auto* elements = command->add_option(
      "--elements", request->plan.elements,
      "Storage elements of each volume (default: 2 for levels 0 and 1, else 4)");
  auto* raid = command
                   ->add_option("--raid", request->plan.raid_level,
                                "RAID level of the volumes: 0, 1, 5, 6 or 10")
                   ->type_name("LEVEL")
                   ->capture_default_str();
  auto* transport = command
                        ->add_option("--transport", request->plan.transport,
                                     "How the daemons talk: ipc (short paths) or tcp (free ports"
                                     " of 127.0.0.1)")
                        ->check(CLI::IsMember({"ipc", "tcp"}))
                        ->capture_default_str();
  auto* link = command
                   ->add_option("--link", request->plan.link,
                                "How a node copies commands to its partner: shm (memory that both"
                                " map) or zmq (messages)")
                   ->check(CLI::IsMember({"shm", "zmq"}))
                   ->capture_default_str();
  auto* reach =
      command
          ->add_option(
              "--reach", request->plan.reach,
              "Which elements a node reaches: dir (all of them, on shared disks) or partner"
              " (half, and the other half through its partner)")
          ->check(CLI::IsMember({"dir", "partner"}))
          ->capture_default_str();
  auto* no_restart = command->add_flag_function(
      "--no-restart", [](int64_t) {}, "Do not start daemons again that die");
  command->footer(
      "A directory that holds a cluster already is started as it is: its data are found again, "
      "what\n"
      "is down is started, and a dead mount is replaced.\n\n"
      "Examples:\n"
      "  pairfs up                                  cluster in ./var, mounted at ./mnt\n"
      "  pairfs up --dir /srv/pairfs --mount /mnt/files --pairs 1\n"
      "  pairfs up --no-mount --transport tcp       servers only, on ports of 127.0.0.1\n"
      "  pairfs up --raid 6 --elements 6            each volume survives the loss of two elements");
  command->callback([=, &exit_code] {
    request->plan.directory = chosen_directory(*where);
    request->restart = no_restart->count() == 0;
    request->gave_pairs = pairs->count() != 0;
    request->gave_routers = routers->count() != 0;
    request->gave_elements = elements->count() != 0;
    request->gave_raid = raid->count() != 0;
    request->gave_reach = reach->count() != 0;
    if (!request->gave_elements)
      request->plan.elements = default_elements(request->plan.raid_level);
    request->gave_transport = transport->count() != 0;
    request->gave_link = link->count() != 0;
    exit_code = bring_up(*request);
  });
}

}  // namespace pairfs::cli
