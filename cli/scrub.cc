// pairfs scrub: read everything, check it, mend what is bad.
#include <thread>

#include "cli/commands.h"
#include "cli/volumes.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::json;

struct Wish {
  ClusterOptions cluster;
  std::string volume;
  bool json = false, wait = false;
};

// Scrub progress by volume; a volume that nobody executes now is left out.
std::map<std::string, Json> progress_of(const Reach& reach, const std::string& volume) {
  std::map<std::string, Json> all;
  const Picture picture = gather(reach, std::chrono::seconds(1));
  auto volumes = executors_of(picture, volume);
  if (!volumes.ok()) return all;
  for (const VolumeAt& at : *volumes)
    if (const Json raid = raid_of(picture, at); raid.is_object() && raid.contains("scrub"))
      all[at.id] = raid["scrub"];
  return all;
}

int show(const Reach& reach, const Wish& wish) {
  Json out = Json::array();
  bool fine = true;
  for (auto& [id, scrub] : progress_of(reach, wish.volume)) {
    fine &= scrub.value("lost_blocks", uint64_t{0}) == 0;
    if (wish.json) {
      Json entry = {{"volume", id}};
      entry.update(scrub);
      out.push_back(entry);
      continue;
    }
    const std::string state = scrub.value("state", "");
    std::string line = fmt::format("volume {}: {}", id, state);
    if (state == "running") line += ", " + progress_text(scrub);
    if (state == "running" || scrub.value("finished_count", uint64_t{0}) > 0)
      line += fmt::format(
          "; {} blocks read, {} repaired, {} lost", scrub.value("checked_blocks", uint64_t{0}),
          scrub.value("repaired_blocks", uint64_t{0}), scrub.value("lost_blocks", uint64_t{0}));
    say(line);
  }
  if (wish.json) say(out.dump(2));
  return fine ? kExitFine : kExitFailed;
}

int status(const Wish& wish) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  auto volumes = executors_of(gather(*reach, std::chrono::seconds(1)), wish.volume);
  if (!volumes.ok()) return report(volumes.problem());
  return show(*reach, wish);
}

int change(const Wish& wish, const char* what) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  auto volumes = executors_of(gather(*reach, std::chrono::seconds(1)), wish.volume);
  if (!volumes.ok()) return report(volumes.problem());
  for (const VolumeAt& volume : *volumes)
    if (auto problem = ask_executor(*reach, volume.id, {{"what", what}})) return report(*problem);
  if (!wish.wait) return wish.json ? show(*reach, wish) : kExitFine;
  for (size_t done = 0; done < volumes->size();) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const auto all = progress_of(*reach, wish.volume);
    done = 0;
    for (const VolumeAt& volume : *volumes) {
      const auto found = all.find(volume.id);
      if (found == all.end()) continue;
      const std::string state = found->second.value("state", "");
      if (state == "paused") return report(failed("the scrub of volume {} was paused", volume.id));
      done += state == "idle";
    }
  }
  return show(*reach, wish);
}

}  // namespace

void add_scrub(CLI::App& app, int& exit_code) {
  auto* scrub =
      app.add_subcommand("scrub", "Read all data and metadata of volumes and mend what is bad");
  auto wish = std::make_shared<Wish>();
  const auto common = [wish](CLI::App* command) {
    add_cluster_options(*command, wish->cluster);
    command->add_option("--volume", wish->volume, "One volume only, as 1.0 (default: all)");
    command->add_flag("--json", wish->json, "For programs");
  };
  common(scrub);
  scrub->require_subcommand(0, 1);
  scrub->footer(
      "Without a word more: how far it is. Exit code 1: something is lost.\n\nExamples:\n"
      "  pairfs scrub start --wait\n  pairfs scrub status --volume 1.0\n  pairfs scrub pause");
  auto* start = scrub->add_subcommand("start", "Start it, or go on after a pause");
  common(start);
  start->add_flag("--wait", wish->wait, "Come back when it is done");
  start->callback([=, &exit_code] { exit_code = change(*wish, "scrub"); });
  auto* state = scrub->add_subcommand("status", "How far it is, and what it found");
  common(state);
  state->callback([=, &exit_code] { exit_code = status(*wish); });
  auto* pause = scrub->add_subcommand("pause", "Stop it for now; start goes on where it was");
  common(pause);
  pause->callback([=, &exit_code] { exit_code = change(*wish, "pause"); });
  scrub->callback([=, &exit_code] {
    if (scrub->get_subcommands().empty()) exit_code = status(*wish);
  });
}

}  // namespace pairfs::cli
