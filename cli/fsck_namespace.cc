#include "cli/fsck_namespace.h"

#include <algorithm>
#include <set>
#include <thread>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/gather.h"
#include "common/namespace_graph.h"

namespace pairfs::cli {
namespace {

constexpr Duration kAskMax = std::chrono::seconds(10);
constexpr auto kBetweenPasses = std::chrono::milliseconds(1'500);
constexpr int kTriesMax = 20;  // of one piece, while executors change

struct Pass {
  size_t inodes = 0, entries = 0;
  std::set<std::string> problems;
};

Outcome<Picture> live_picture(const Reach& reach) {
  Picture picture = gather(reach, std::chrono::seconds(1));
  if (!picture.map_live) return failed("none of the cluster's routers answers");
  return picture;
}

// The next piece of a volume, from whoever executes it now.
Outcome<nlohmann::json> next_piece(const Reach& reach, Picture& picture, VolumeId volume,
                                   const std::string& after) {
  for (int i = 0; i < kTriesMax; ++i) {
    const NodeInfo* node = picture.map.find_node(picture.records[volume].executor.name);
    if (node != nullptr) {
      const nlohmann::json arguments = {{"volume", to_string(volume)}, {"after", after}};
      const auto answers = ask_all(
          {question(node->endpoint, AdminRequest{Bytes("scan_namespace"), arguments.dump()})},
          picture.cluster_id, kAskMax);
      const auto reply = answers[0] ? decode<AdminReply>(answers[0]->body) : std::nullopt;
      if (reply && reply->ok) {
        auto json = nlohmann::json::parse(reply->json, nullptr, false);
        if (json.is_object()) return json;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(250));
    if (auto fresh = live_picture(reach); fresh.ok()) picture = *fresh;
  }
  return failed("nobody who executes volume {} answers, so the tree cannot be read whole",
                to_string(volume));
}

Trouble read_volume(const Reach& reach, Picture& picture, VolumeId volume, NamespaceGraph& graph) {
  std::string after;
  for (;;) {
    auto piece = next_piece(reach, picture, volume, after);
    if (!piece.ok()) return piece.problem();
    for (const auto& row : (*piece)["inodes"])
      graph.add_inode({{row[0], row[1]}, row[2], row[3], {row[4], row[5]}});
    for (const auto& row : (*piece)["entries"]) graph.add_entry(row[0], {row[1], row[2]}, row[3]);
    if (piece->value("end", true)) return std::nullopt;
    after = piece->value("after", "");
  }
}

Outcome<Pass> read_all(const Reach& reach) {
  auto picture = live_picture(reach);
  if (!picture.ok()) return picture.problem();
  NamespaceGraph graph;
  const ClusterMap map = picture->map;
  for (const PairInfo& pair : map.pairs)
    for (const VolumeInfo& volume : pair.volumes)
      if (Trouble trouble = read_volume(reach, *picture, volume.id, graph)) return *trouble;
  Pass pass{graph.inodes(), graph.entries(), {}};
  for (std::string& problem : graph.problems()) pass.problems.insert(std::move(problem));
  return pass;
}

// Transactions and moves that are open now.
nlohmann::ordered_json open_work(const Picture& picture) {
  size_t held = 0, decided = 0, moving = 0;
  for (const auto& [name, node] : picture.nodes)
    for (const auto& volume : node["volumes"]) {
      if (!volume.contains("transactions")) continue;
      held += volume["transactions"].value("held", size_t{0});
      decided += volume["transactions"].value("decided", size_t{0});
      moving += volume["slices"].value("moving", size_t{0});
    }
  return {{"held", held}, {"decided", decided}, {"moving_slices", moving}};
}

}  // namespace

int check_namespace(const NamespaceCheck& check) {
  auto reach = find_cluster(check.cluster);
  if (!reach.ok()) return report(reach.problem());
  auto pass = read_all(*reach);
  if (!pass.ok()) return report(pass.problem());
  // Volumes are read one after the other while they change: only what stays wrong is wrong.
  for (int i = 1; i < check.passes && !pass->problems.empty(); ++i) {
    std::this_thread::sleep_for(kBetweenPasses);
    auto again = read_all(*reach);
    if (!again.ok()) return report(again.problem());
    std::set<std::string> both;
    std::set_intersection(pass->problems.begin(), pass->problems.end(), again->problems.begin(),
                          again->problems.end(), std::inserter(both, both.begin()));
    pass = std::move(again);
    pass->problems = std::move(both);
  }
  auto picture = live_picture(*reach);
  if (!picture.ok()) return report(picture.problem());
  const auto open = open_work(*picture);
  const bool sound = pass->problems.empty();
  if (check.json) {
    const nlohmann::ordered_json out = {{"sound", sound},
                                        {"inodes", pass->inodes},
                                        {"entries", pass->entries},
                                        {"problems", pass->problems},
                                        {"open", open}};
    say(out.dump(2));
    return sound ? kExitFine : kExitFailed;
  }
  for (const std::string& problem : pass->problems) say(problem);
  say(
      fmt::format("{}: {} inodes, {} names; {} promises of transactions, {} decisions and {} moving"
                  " slices are open",
                  sound ? "the tree is sound" : "the tree is NOT sound", pass->inodes,
                  pass->entries, open["held"].get<size_t>(), open["decided"].get<size_t>(),
                  open["moving_slices"].get<size_t>()));
  return sound ? kExitFine : kExitFailed;
}

}  // namespace pairfs::cli
