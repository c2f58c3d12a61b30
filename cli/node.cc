// pairfs node move: a node under its name on another machine.
#include "cli/commands.h"
#include "cli/gather.h"
#include "cli/init_output.h"
#include "cli/map_change.h"
#include "common/codec.h"

namespace pairfs::cli {
namespace {

struct Wish {
  ClusterOptions cluster;
  std::string node, host;
  InitRequest request;
};

// Only the node's endpoints change, whatever else has changed in the map meanwhile.
Trouble register_move(const Picture& picture, const NodeInfo& before, const NodeInfo& after) {
  return change_map(picture, kClusterKey, [&](const auto& current, const auto&) -> Outcome<Bytes> {
    auto map = current ? decode<ClusterMap>(*current) : std::nullopt;
    if (!map) return failed("the cluster's map cannot be read");
    for (PairInfo& pair : map->pairs)
      for (NodeInfo& node : pair.nodes) {
        if (node.name != after.name) continue;
        if (node.endpoint != before.endpoint)
          return refused("somebody else moved node {} at this moment; look at pairfs status",
                         after.name.c_str());
        node = after;
        return encode(*map);
      }
    return refused("somebody else removed the pair of node {} at this moment", after.name.c_str());
  });
}

void say_what_to_do(const Wish& wish, const InitPlan& plan, const fs::path& output) {
  const PairInfo& pair = *plan.map.pair_of(wish.node);
  say(
      fmt::format("node {} is on {} from now on; its configuration is in {}\n\n"
                  "1. Give the host its file, in /etc/pairfs; what was changed in the old one is"
                  " not in it:",
                  wish.node, wish.host, output.string()));
  say_files_of(plan, output);
  std::vector<std::string> own;
  say("2. Mount disks there, and make these directories on them, one disk each:");
  for (const VolumeInfo& volume : pair.volumes)
    for (const ElementInfo& element : volume.elements) {
      const bool shared = element.reach == "dir";
      if (!shared && element.reach != "partner:" + wish.node) continue;
      if (!shared) own.emplace_back(element.id);
      say(fmt::format("     {}{}", element.path.c_str(),
                      shared ? ", which its partner has too" : ""));
    }
  say("3. Start it there:");
  say_starts_of(plan);
  if (own.empty()) return;
  say("4. When pairfs status shows it up, have its empty elements filled:");
  for (const std::string& id : own) say(fmt::format("     pairfs element replace {} --wait", id));
}

int move(const Wish& wish) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  if (reach->local)
    return report(
        refused("the cluster in {} is on one machine, which pairfs up runs; nodes of others are"
                " moved, found by --router",
                reach->local->directory.string()));
  const Picture picture = gather(*reach, std::chrono::seconds(1));
  if (!picture.map_live) return report(failed("none of the cluster's routers answers"));
  InitRequest request = wish.request;
  for (const std::string& endpoint : picture.map_endpoints())
    if (endpoint.starts_with("zookeeper://")) request.map = endpoint;
  InitPlan plan;
  plan.map = picture.map;
  auto node = plan_move(request, wish.node, wish.host, plan);
  if (!node.ok()) return report(node.problem());
  const NodeInfo& before = *picture.map.find_node(wish.node);
  if (picture.nodes.contains(wish.node))
    return report(
        refused("node {} still answers at {}; stop it first, so that there are not two of it",
                wish.node, before.endpoint.c_str()));
  const fs::path output = canonical_path(request.output);
  boost::system::error_code error;
  const bool was_there = fs::exists(output, error);
  if (Trouble trouble = claim_output(output)) return report(*trouble);
  Trouble trouble = write_node(request, plan, *node, output);
  if (!trouble) trouble = register_move(picture, before, *node);
  if (trouble) {
    give_up_output(output, was_there);
    return report(*trouble);
  }
  say_what_to_do(wish, plan, output);
  return kExitFine;
}

}  // namespace

void add_node(CLI::App& app, int& exit_code) {
  auto* group = app.add_subcommand("node", "Put a node on another machine");
  group->require_subcommand(1);
  auto wish = std::make_shared<Wish>();
  auto* moving = group->add_subcommand(
      "move", "Let a node that is stopped or lost go on under its name on another host");
  add_cluster_options(*moving, wish->cluster);
  moving->add_option("NODE", wish->node, "A node's name, as in pairfs status: 1a, 1b, 2a ...")
      ->required();
  moving->add_option("--host", wish->host, "The new machine's name or address")->required();
  moving->add_option("--out", wish->request.output, "Where to write its file; absent or empty")
      ->type_name("DIR")
      ->required();
  moving->add_option("--state-dir", wish->request.state_directory, "Where the node keeps its state")
      ->type_name("DIR")
      ->capture_default_str();
  moving->add_option("--port", wish->request.port, "The host's first port")->capture_default_str();
  moving->footer(
      "Its partner serves on meanwhile, and the clients with it. The new machine begins with an\n"
      "empty state directory, and catches up from its partner.\n\nExample:\n"
      "  pairfs node move 1a --host node5 --out node-1a --router router1:7400");
  moving->callback([=, &exit_code] { exit_code = move(*wish); });
}

}  // namespace pairfs::cli
