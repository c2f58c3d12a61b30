// pairfs rebalance: gives every volume its share of the slices, while clients go on.
#include "cli/rebalance.h"

#include <algorithm>
#include <chrono>
#include <thread>

#include "cli/commands.h"
#include "cli/gather.h"
#include "cli/map_change.h"
#include "common/slice_plan.h"

namespace pairfs::cli {
namespace {

struct Wish {
  ClusterOptions cluster;
  bool wait = false, json = false;
  int timeout_seconds = 86'400;
};

const char* state_name(const ClusterPolicy& policy) {
  switch (policy.rebalance) {
    case ClusterPolicy::kRunning:
      return "running";
    case ClusterPolicy::kPaused:
      return "paused";
    default:
      return "idle";
  }
}

nlohmann::ordered_json report_of(const Picture& picture) {
  nlohmann::ordered_json report;
  report["state"] = state_name(picture.policy);
  report["slices_to_move"] = plan_moves(picture.map, picture.policy).size();
  uint64_t moved = 0, rows = 0, bytes = 0, aborted = 0, freeze = 0;
  nlohmann::ordered_json volumes = nlohmann::ordered_json::array();
  for (const PairInfo& pair : picture.map.pairs)
    for (const VolumeInfo& volume : pair.volumes) {
      nlohmann::ordered_json entry = {{"id", to_string(volume.id)},
                                      {"slices", picture.map.slices_of(volume.id).size()},
                                      {"draining", picture.policy.is_draining(pair.id)},
                                      {"moving", 0}};
      for (const auto& [name, node] : picture.nodes)
        for (const auto& status : node["volumes"]) {
          if (status.value("id", "") != to_string(volume.id) || !status.contains("slices"))
            continue;
          const auto& slices = status["slices"];
          entry["moving"] = slices.value("moving", uint64_t{0});
          moved += slices.value("moved", uint64_t{0});
          aborted += slices.value("aborted_moves", uint64_t{0});
          rows += slices.value("moved_rows", uint64_t{0});
          bytes += slices.value("moved_bytes", uint64_t{0});
          freeze = std::max(freeze, slices.value("longest_freeze_ms", uint64_t{0}));
        }
      volumes.push_back(std::move(entry));
    }
  report["slices_moved"] = moved;
  report["moves_begun_again"] = aborted;
  report["rows_moved"] = rows;
  report["bytes_moved"] = bytes;
  report["longest_freeze_ms"] = freeze;
  report["volumes"] = std::move(volumes);
  return report;
}

Outcome<Picture> live_picture(const ClusterOptions& cluster) {
  auto reach = find_cluster(cluster);
  if (!reach.ok()) return reach.problem();
  Picture picture = gather(*reach, std::chrono::seconds(1));
  if (!picture.map_live) return failed("none of the cluster's routers answers");
  return picture;
}

int status(const Wish& wish) {
  auto picture = live_picture(wish.cluster);
  if (!picture.ok()) return report(picture.problem());
  const auto found = report_of(*picture);
  if (wish.json) {
    say(found.dump(2));
    return kExitFine;
  }
  say(fmt::format("rebalance is {}; {} of {} slices are still to be moved",
                  found["state"].get<std::string>(), found["slices_to_move"].get<size_t>(),
                  kSliceCount));
  for (const auto& volume : found["volumes"])
    say(fmt::format("  volume {}  {} slices{}{}", volume["id"].get<std::string>(),
                    volume["slices"].get<size_t>(),
                    volume["moving"].get<size_t>() == 0
                        ? ""
                        : fmt::format(", {} on their way", volume["moving"].get<size_t>()),
                    volume["draining"].get<bool>() ? ", being drained" : ""));
  say(fmt::format(
      "moved by the executors of today: {} slices, {} rows, {} bytes; a slice stood still for"
      " at most {} ms",
      found["slices_moved"].get<uint64_t>(), found["rows_moved"].get<uint64_t>(),
      found["bytes_moved"].get<uint64_t>(), found["longest_freeze_ms"].get<uint64_t>()));
  return kExitFine;
}

int set(const Wish& wish, ClusterPolicy::Rebalance state) {
  auto picture = live_picture(wish.cluster);
  if (!picture.ok()) return report(picture.problem());
  Trouble trouble =
      change_policy(*picture, [&](ClusterPolicy& policy) { policy.rebalance = state; });
  if (trouble) return report(*trouble);
  if (state == ClusterPolicy::kPaused) {
    say("paused; slices that were on their way arrive first");
    return kExitFine;
  }
  if (wish.wait) return wait_for_rebalance(wish.cluster, wish.timeout_seconds);
  say(fmt::format("started; {} slices are to be moved, pairfs rebalance status shows how far it is",
                  plan_moves(picture->map, picture->policy).size()));
  return kExitFine;
}

}  // namespace

int wait_for_rebalance(const ClusterOptions& cluster, int timeout_seconds) {
  using Clock = std::chrono::steady_clock;
  const auto limit = Clock::now() + std::chrono::seconds(timeout_seconds);
  auto told = Clock::now() - std::chrono::hours(1);
  for (;;) {
    auto picture = live_picture(cluster);
    if (picture.ok()) {
      const size_t left = plan_moves(picture->map, picture->policy).size();
      if (left == 0) break;
      if (picture->policy.rebalance == ClusterPolicy::kPaused)
        return report(failed("somebody paused it; pairfs rebalance start goes on"));
      if (Clock::now() - told > std::chrono::seconds(1)) {
        told = Clock::now();
        say(fmt::format("{} slices are still to be moved", left));
      }
    }
    if (Clock::now() > limit) {
      if (!picture.ok()) return report(picture.problem());
      return report(failed("it is not done within {} s; it goes on", timeout_seconds));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  say("done: every volume has its share");
  return kExitFine;
}

void add_rebalance(CLI::App& app, int& exit_code) {
  auto* group = app.add_subcommand("rebalance", "Share the data evenly over all volumes, online");
  group->require_subcommand(0, 1);
  auto wish = std::make_shared<Wish>();
  add_cluster_options(*group, wish->cluster);
  const auto add = [&](const char* name, const char* what, auto run) {
    auto* command = group->add_subcommand(name, what);
    command->fallthrough();
    command->callback([=, &exit_code] { exit_code = run(*wish); });
    return command;
  };
  auto* start = add("start", "Begin, or go on",
                    [](const Wish& w) { return set(w, ClusterPolicy::kRunning); });
  start->add_flag("--wait", wish->wait, "Wait until it is done, and show how far it is");
  start->add_option("--timeout", wish->timeout_seconds, "Give up waiting after this many seconds");
  auto* shown = add("status", "Show how far it is", status);
  shown->add_flag("--json", wish->json, "As JSON");
  add("pause", "Begin no more moves", [](const Wish& w) { return set(w, ClusterPolicy::kPaused); });
  group->footer(
      "Clients go on meanwhile; a slice stands still for some milliseconds when it goes over.\n\n"
      "Examples:\n  pairfs rebalance start --wait\n  pairfs rebalance status --json");
  group->callback([=, &exit_code] {
    if (group->get_subcommands().empty()) exit_code = status(*wish);
  });
}

}  // namespace pairfs::cli
