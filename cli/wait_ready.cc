#include "cli/wait_ready.h"

#include <chrono>
#include <map>
#include <set>
#include <thread>

#include "cli/commands.h"
#include "cli/gather.h"
#include "cli/local_daemons.h"
#include "cli/mount_point.h"
#include "cli/status_report.h"

namespace pairfs::cli {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kPatience = std::chrono::seconds(60);
constexpr auto kLookEvery = std::chrono::milliseconds(50);
constexpr int kProbeMs = 5'000;
constexpr size_t kLivesMax = 4;
constexpr const char* kRefusedToStart = "ended with exit code 2\n";

class Waiting {
 public:
  explicit Waiting(const Cluster& cluster) : cluster_(cluster), last_progress_(Clock::now()) {}

  Trouble wait_for_daemons() {
    std::vector<Daemon> waited = cluster_.daemons();
    while (!waited.empty()) {
      if (Trouble trouble = check(waited)) return trouble;
      std::erase_if(waited, [&](const Daemon& daemon) {
        return is_ready(daemon) && progress(fmt::format("{} is ready", daemon.name));
      });
      if (!waited.empty()) std::this_thread::sleep_for(kLookEvery);
    }
    return std::nullopt;
  }

  Trouble wait_for_volumes() {
    const Reach reach{cluster_.router_endpoints, cluster_};
    std::set<std::string> said;
    for (;;) {
      const auto report = report_json(gather(reach, std::chrono::seconds(1)));
      for (const auto& pair : report["pairs"])
        for (const auto& volume : pair["volumes"])
          if (volume["serving"] == true && volume["mode"] == "paired" &&
              said.insert(volume["id"].get<std::string>()).second)
            progress(fmt::format(
                "volume {} is executed by {} and logged by {}", volume["id"].get<std::string>(),
                volume["executor"].get<std::string>(), volume["logger"].get<std::string>()));
      if (report["takeover_possible"] == true) return std::nullopt;
      if (Clock::now() - last_progress_ > kPatience)
        return failed("the cluster runs, but {}; see pairfs status and the logs in {}",
                      report["takeover_obstacle"].get<std::string>(), cluster_.directory.string());
      std::this_thread::sleep_for(kLookEvery);
    }
  }

  Trouble wait_for_mount(const fs::path& path) {
    const Daemon mount = cluster_.mount();
    for (;;) {
      if (Trouble trouble = check({mount})) return trouble;
      const auto mounted = mounted_at(path);
      if (is_ready(mount) && mounted && mounted->is_pairfs() &&
          probe(path, kProbeMs) == Answer::kAlive)
        return std::nullopt;
      std::this_thread::sleep_for(kLookEvery);
    }
  }

 private:
  bool progress(const std::string& line) {
    last_progress_ = Clock::now();
    say(line);
    return true;
  }

  // A daemon that refuses its configuration will refuse it again, and one that died often will die
  // again; everything else has a minute.
  Trouble check(const std::vector<Daemon>& waited) {
    for (const Daemon& daemon : waited) {
      const auto last_exit = read_file(daemon.last_exit());
      if (last_exit == kRefusedToStart)
        return Problem{kExitRefused, fmt::format("{} does not start: {}", daemon.name,
                                                 last_lines(daemon.log(), 1))};
      if (const auto id = running(daemon)) lives_[daemon.name].insert(id->pid);
      if (lives_[daemon.name].size() > kLivesMax)
        return failed("{} dies again and again; the end of {} is:\n{}", daemon.name,
                      daemon.log().string(), last_lines(daemon.log(), 5));
    }
    if (Clock::now() - last_progress_ < kPatience) return std::nullopt;
    std::string names;
    for (const Daemon& daemon : waited) names += (names.empty() ? "" : ", ") + daemon.name;
    return failed("{} did not get ready; the end of {} is:\n{}", names,
                  waited.front().log().string(), last_lines(waited.front().log(), 5));
  }

  const Cluster& cluster_;
  Clock::time_point last_progress_;
  std::map<std::string, std::set<pid_t>> lives_;  // of those that are not ready
};

}  // namespace

Trouble wait_for_daemons(const Cluster& cluster) { return Waiting(cluster).wait_for_daemons(); }

Trouble wait_for_volumes(const Cluster& cluster) { return Waiting(cluster).wait_for_volumes(); }

Trouble wait_for_mount(const Cluster& cluster, const SupervisorSettings& settings) {
  if (settings.mount.empty()) return std::nullopt;
  return Waiting(cluster).wait_for_mount(settings.mount);
}

Trouble wait_until_ready(const Cluster& cluster, const SupervisorSettings& settings) {
  if (Trouble trouble = wait_for_daemons(cluster)) return trouble;
  if (Trouble trouble = wait_for_volumes(cluster)) return trouble;
  return wait_for_mount(cluster, settings);
}

}  // namespace pairfs::cli
