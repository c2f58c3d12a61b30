// pairfs element: the storage elements of volumes, as their executors know them.
#include <thread>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/volumes.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::json;

struct Wish {
  ClusterOptions cluster;
  std::string volume, id, path;
  bool json = false, wait = false;
};

std::string size_text(uint64_t bytes) {
  if (bytes < 1 << 20) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  if (bytes < 1 << 30) return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
  return fmt::format("{:.1f} GiB", static_cast<double>(bytes) / (1 << 30));
}

// "1.0-e2" is of volume 1.0.
std::string volume_of(const std::string& id) {
  const size_t dash = id.rfind('-');
  return dash == std::string::npos ? "" : id.substr(0, dash);
}

int list(const Wish& wish) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  const Picture picture = gather(*reach, std::chrono::seconds(1));
  auto volumes = executors_of(picture, wish.volume);
  if (!volumes.ok()) return report(volumes.problem());
  Json out = Json::array();
  bool fine = true;
  for (const VolumeAt& volume : *volumes) {
    const Json raid = raid_of(picture, volume);
    if (raid.is_null()) {
      if (!wish.json) say(fmt::format("volume {}: nobody executes it now", volume.id));
      out.push_back({{"volume", volume.id}, {"state", "unknown"}, {"elements", Json::array()}});
      fine = false;
      continue;
    }
    Json entry = {{"volume", volume.id}};
    entry.update(raid);
    out.push_back(entry);
    fine &= raid.value("state", "") == "optimal";
    if (wish.json) continue;
    say(fmt::format("volume {}: RAID {}, {}", volume.id, raid.value("level", ""),
                    raid.value("state", "")));
    for (const char* kind : {"elements", "spares"})
      for (const Json& e : raid.value(kind, Json::array()))
        say(fmt::format("  {:<10} {:<10} {:>12} used  {:>6} repaired  {} ({})", e.value("id", ""),
                        e.value("state", ""), size_text(e.value("used_bytes", uint64_t{0})),
                        e.value("repaired_blocks", uint64_t{0}), e.value("path", ""),
                        e.value("reach", "")));
    const Json rebuild = raid.value("rebuild", Json::object());
    if (rebuild.value("state", "") == "running") say("  rebuilding " + progress_text(rebuild));
  }
  if (wish.json) say(out.dump(2, ' ', false, Json::error_handler_t::replace));
  return fine ? kExitFine : kExitFailed;
}

int change(const Wish& wish, const char* what) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  const std::string id = wish.volume.empty() ? volume_of(wish.id) : wish.volume;
  if (id.empty())
    return report(
        refused("\"{}\" is not an element's id; pairfs element list shows them", wish.id));
  Json arguments = {{"what", what}, {"id", wish.id}};
  if (!wish.path.empty()) arguments["path"] = canonical_path(wish.path).string();
  if (auto problem = ask_executor(*reach, id, arguments)) return report(*problem);
  bool rebuilt = false;
  while (wish.wait && !rebuilt) {
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    const Picture picture = gather(*reach, std::chrono::seconds(1));
    auto volumes = executors_of(picture, id);
    if (!volumes.ok()) continue;
    const Json raid = raid_of(picture, volumes->front());
    for (const Json& e : raid.is_object() ? raid.value("elements", Json::array()) : Json::array())
      if (e.value("id", "") == wish.id) {
        const std::string state = e.value("state", "");
        rebuilt = state == "ok";
        if (state == "failed" || state == "missing")
          return report(failed("{} is {}: the rebuild did not come to its end", wish.id, state));
      }
  }
  if (wish.json) say(Json{{"volume", id}, {"done", what}}.dump());
  return kExitFine;
}

}  // namespace

void add_element(CLI::App& app, int& exit_code) {
  auto* element = app.add_subcommand("element", "Show and change the storage elements of volumes");
  element->require_subcommand(1);
  auto wish = std::make_shared<Wish>();
  const auto common = [wish](CLI::App* command) {
    add_cluster_options(*command, wish->cluster);
    command->add_flag("--json", wish->json, "For programs");
  };
  const auto with_id = [wish](CLI::App* command) {
    command->add_option("ID", wish->id, "An element, as pairfs element list names it: 1.0-e2")
        ->required();
  };
  auto* show =
      element->add_subcommand("list", "Every element, its state, and how far a rebuild is");
  common(show);
  show->add_option("--volume", wish->volume, "Of one volume only, as 1.0");
  show->footer(
      "Exit code 0: all groups are optimal; 1: one is not.\n\nExample:\n  pairfs element list "
      "--volume 1.0");
  show->callback([=, &exit_code] { exit_code = list(*wish); });

  auto* fail = element->add_subcommand("fail", "Use an element no longer, until it is replaced");
  common(fail);
  with_id(fail);
  fail->footer(
      "Refused when its volume cannot do without it. A spare, if there is one, takes its place.\n\n"
      "Example:\n  pairfs element fail 1.0-e2");
  fail->callback([=, &exit_code] { exit_code = change(*wish, "fail"); });

  auto* replace = element->add_subcommand(
      "replace", "Put another directory in an element's place and rebuild it");
  common(replace);
  with_id(replace);
  replace->add_option("PATH", wish->path, "The new directory (default: the same one again)");
  replace->add_flag("--wait", wish->wait, "Come back when it is rebuilt");
  replace->footer(
      "The volume serves on. Both nodes of the pair must reach the path.\n\nExample:\n"
      "  pairfs element replace 1.0-e2 /disks/new --wait");
  replace->callback([=, &exit_code] { exit_code = change(*wish, "replace"); });

  auto* add =
      element->add_subcommand("add", "Give a volume a spare, which steps in for a failed element");
  common(add);
  add->add_option("PATH", wish->path, "The spare's directory")->required();
  add->add_option("--volume", wish->volume, "The volume, as 1.0")->required();
  add->footer("Example:\n  pairfs element add /disks/spare --volume 1.0");
  add->callback([=, &exit_code] { exit_code = change(*wish, "add"); });

  auto* remove = element->add_subcommand("remove", "Take a spare away again");
  common(remove);
  with_id(remove);
  remove->footer("Example:\n  pairfs element remove 1.0-s0");
  remove->callback([=, &exit_code] { exit_code = change(*wish, "remove"); });
}

}  // namespace pairfs::cli
