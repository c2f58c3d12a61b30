// pairfs fsck: looks at everything that volumes keep, while they serve.
#include "cli/commands.h"
#include "cli/fsck_namespace.h"
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

int check(const Wish& wish) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  auto volumes = executors_of(gather(*reach, std::chrono::seconds(1)), wish.volume);
  if (!volumes.ok()) return report(volumes.problem());
  Json out = Json::array();
  int exit_code = kExitFine;
  for (const VolumeAt& volume : *volumes) {
    Json answer;
    if (auto problem = ask_executor(*reach, volume.id, {{"repair", wish.repair}}, "fsck", &answer, kLimit))
      return report(*problem);
    const Json findings = answer.is_object() ? answer.value("findings", Json::array()) : Json::array();
    for (const Json& finding : findings) {
      const bool repaired = finding.value("repaired", false);
      exit_code = std::max(exit_code, repaired ? kExitRepaired : kExitDamaged);
      if (!wish.json)
        say(fmt::format("volume {}: {}: {}{}", volume.id, finding.value("kind", ""),
                        finding.value("where", ""), repaired ? " (repaired)" : ""));
    }
    if (!wish.json && findings.empty()) say(fmt::format("volume {}: sound", volume.id));
    out.push_back({{"volume", volume.id}, {"findings", findings}});
  }
  if (wish.json) say(out.dump(2, ' ', false, Json::error_handler_t::replace));
  return exit_code;
}

}  // namespace

void add_fsck(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("fsck", "Check volumes while they serve, and mend them");
  auto wish = std::make_shared<Wish>();
  add_cluster_options(*command, wish->cluster);
  command->add_option("--volume", wish->volume, "One volume only, as 1.0 (default: all)");
  command->add_flag("--repair", wish->repair, "Mend what is good elsewhere, and rows that can be counted anew");
  command->add_flag("--json", wish->json, "For programs");
  auto tree = std::make_shared<bool>(false);
  command->add_flag("--namespace", *tree,
                    "The tree over all pairs instead: names, inodes, link counts, loops");
  command->footer(
      "Superblocks, metadata files, every extent, checksum and parity block, what is counted, and the\n"
      "tree of directories, as of the last consistency point. Exit codes: 0 sound, 3 damage found and\n"
      "all of it repaired, 4 damage left, 1 it could not be checked, 2 wrong usage.\n\n"
      "Examples:\n  pairfs fsck\n  pairfs fsck --repair --volume 1.0\n  pairfs fsck --namespace");
  command->callback([=, &exit_code] {
    if (!*tree) {
      exit_code = check(*wish);
    } else if (wish->repair || !wish->volume.empty()) {
      exit_code = report(refused("--namespace checks all volumes and repairs nothing:"
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
