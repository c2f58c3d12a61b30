// pairfs fsck: looks at everything that volumes keep, while they serve or while the cluster is
// stopped.
#include "cli/commands.h"
#include "cli/fsck_namespace.h"
#include "cli/fsck_offline.h"
#include "cli/volumes.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::json;

constexpr int kExitRepaired = 3;
constexpr int kExitDamaged = 4;
constexpr auto kLimit = std::chrono::hours(24);

struct Wish {
  ClusterOptions cluster;
  std::string volume;
  bool json = false, repair = false;
};

// What was found of one volume; gives the exit code that it deserves.
int show(const Wish& wish, const std::string& volume, const Json& findings) {
  int exit_code = kExitFine;
  for (const Json& finding : findings) {
    const bool repaired = finding.value("repaired", false);
    exit_code = std::max(exit_code, repaired ? kExitRepaired : kExitDamaged);
    if (!wish.json)
      say(fmt::format("volume {}: {}: {}{}", volume, finding.value("kind", ""),
                      finding.value("where", ""), repaired ? " (repaired)" : ""));
  }
  if (!wish.json && findings.empty()) say(fmt::format("volume {}: sound", volume));
  return exit_code;
}

int check(const Wish& wish) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  const bool offline = reach->local && !is_running(*reach->local);
  std::optional<FileLock> lock;  // so that nobody starts it meanwhile
  if (offline) {
    auto taken = FileLock::try_take(reach->local->lock());
    if (!taken.ok()) return report(taken.problem());
    if (!*taken)
      return report(refused("another pairfs command is at work on this cluster; try again"));
    lock = std::move(*taken);
    if (!wish.json) say("the cluster is stopped; its volumes are checked as they lie");
  }
  Picture picture = gather(*reach, std::chrono::seconds(1));
  if (offline) picture.map_live = picture.map_version > 0;
  auto volumes = executors_of(picture, wish.volume);
  if (!volumes.ok()) return report(volumes.problem());
  Json out = Json::array();
  int exit_code = kExitFine;
  for (const VolumeAt& volume : *volumes) {
    Json findings = Json::array();
    if (offline) {
      auto found = check_volume_offline(*reach->local, picture, volume.volume, wish.repair);
      if (!found.ok()) return report(found.problem());
      findings = *found;
    } else {
      Json answer;
      if (auto problem =
              ask_executor(*reach, volume.id, {{"repair", wish.repair}}, "fsck", &answer, kLimit))
        return report(*problem);
      if (answer.is_object()) findings = answer.value("findings", Json::array());
    }
    exit_code = std::max(exit_code, show(wish, volume.id, findings));
    out.push_back({{"volume", volume.id}, {"findings", findings}});
  }
  if (wish.json) say(out.dump(2, ' ', false, Json::error_handler_t::replace));
  return exit_code;
}

}  // namespace

void add_fsck(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "fsck", "Check volumes, while they serve or while the cluster is stopped, and mend them");
  auto wish = std::make_shared<Wish>();
  add_cluster_options(*command, wish->cluster);
  command->add_option("--volume", wish->volume, "One volume only, as 1.0 (default: all)");
  command->add_flag("--repair", wish->repair,
                    "Mend what is good elsewhere, and rows that can be counted anew");
  command->add_flag("--json", wish->json, "For programs");
  auto tree = std::make_shared<bool>(false);
  command->add_flag("--namespace", *tree,
                    "The tree over all pairs instead: names, inodes, link counts, loops");
  command->footer(
      "Superblocks, metadata files, every extent, checksum and parity block, what is counted, and "
      "the\n"
      "tree of directories, as of the last consistency point. Of a stopped cluster also the logs. "
      "Exit\n"
      "codes: 0 sound, 3 damage found and\n"
      "all of it repaired, 4 damage left, 1 it could not be checked, 2 wrong usage.\n\n"
      "Examples:\n  pairfs fsck\n  pairfs fsck --repair --volume 1.0\n  pairfs fsck --namespace");
  command->callback([=, &exit_code] {
    if (!*tree) {
      exit_code = check(*wish);
    } else if (wish->repair || !wish->volume.empty()) {
      exit_code =
          report(refused("--namespace checks all volumes and repairs nothing:"
                         " leave out --repair and --volume"));
    } else {
      NamespaceCheck whole;
      whole.cluster = wish->cluster;
      whole.json = wish->json;
      exit_code = check_namespace(whole);
    }
  });
}

}  // namespace pairfs::cli
