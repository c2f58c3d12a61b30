// pairfs map rebuild: a lost map store is made anew from the copies that the nodes keep (P11).
#include <map>

#include "cli/commands.h"
#include "cli/find_cluster.h"
#include "common/codec.h"
#include "common/map_store.h"

namespace pairfs::cli {
namespace {

constexpr uint64_t kVersionGap = 1000;  // above all that anyone can have seen of the lost one

fs::path store_of(const Cluster& cluster) {
  return cluster.directory / cluster.routers.front() / "map";
}

// The newest record of each key, in the copies and in what is left of the store itself.
class Collection {
 public:
  // False: it cannot be read, `why` says why.
  bool take(const fs::path& directory, std::string* why) {
    const auto copy = FileMapStore::open(directory.string(), why);
    if (copy == nullptr) return false;
    highest_ = std::max(highest_, copy->map_version());
    for (const MapEntry& entry : copy->entries()) {
      MapEntry& newest = newest_[entry.key];
      if (entry.version > newest.version) newest = entry;
    }
    return true;
  }
  uint64_t highest() const { return highest_; }
  bool whole(uint64_t cluster_id) const {
    const auto found = newest_.find(kClusterKey);
    const auto map =
        found == newest_.end() ? std::nullopt : decode<ClusterMap>(found->second.value);
    return map && map->cluster_id == cluster_id;
  }
  MapReadReply rebuilt() const {
    MapReadReply map;
    map.map_version = highest_ + kVersionGap;
    for (const auto& [key, entry] : newest_) map.entries.push_back(entry);
    return map;
  }

 private:
  std::map<std::string, MapEntry> newest_;
  uint64_t highest_ = 0;
};

int rebuild(const ClusterOptions& where) {
  auto cluster = read_cluster(chosen_directory(where));
  if (!cluster.ok()) return report(cluster.problem());
  auto lock = FileLock::try_take(cluster->lock());
  if (!lock.ok()) return report(lock.problem());
  if (!*lock)
    return report(refused("another pairfs command is at work on this cluster; try again"));
  Collection collection;
  std::string why;
  for (const std::string& node : cluster->nodes) {
    const fs::path copy = cluster->directory / node / "state" / "map";
    boost::system::error_code error;
    if (!fs::exists(copy / "map", error)) {
      say(fmt::format("node {} has no copy of the map", node));
      continue;
    }
    if (!collection.take(copy, &why))
      return report(refused("{}; stop the cluster first with pairfs down", why));
  }
  if (!collection.whole(cluster->id))
    return report(failed("no node of the cluster has a copy of its map"));
  const uint64_t told = collection.highest();
  const fs::path store = store_of(*cluster);
  boost::system::error_code error;
  if (!collection.take(store, &why)) {  // damaged: it is kept beside
    const fs::path aside = store.string() + ".damaged";
    fs::rename(store / "map", aside, error);
    if (error) return report(refused("{}; stop the cluster first with pairfs down", why));
    say(fmt::format("the damaged map was kept as {}", aside.string()));
  }
  if (collection.highest() > told)
    say("the map store has newer records than any node's copy; they were taken");
  const auto target = FileMapStore::open(store.string(), &why);
  const MapReadReply map = collection.rebuilt();
  if (target == nullptr || !target->adopt(map))
    return report(failed("the map in {} could not be written{}{}", store.string(),
                         why.empty() ? "" : ": ", why));
  say(fmt::format(
      "rebuilt the map with {} records as version {}, from version {} that the nodes knew; "
      "pairfs up starts the cluster",
      map.entries.size(), map.map_version, told));
  return kExitFine;
}

}  // namespace

void add_map(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("map", "Care for the cluster's map")->require_subcommand(1);
  auto* rebuild_command = command->add_subcommand(
      "rebuild", "Make a lost or damaged map store anew from the nodes' copies");
  add_map_copy(*command, exit_code);
  auto where = std::make_shared<ClusterOptions>();
  add_directory_option(*rebuild_command, *where);
  rebuild_command->footer(
      "For a local cluster that is stopped. Each node keeps a copy of the newest map that it has\n"
      "seen, and refuses an older one.\n\nExample:\n  pairfs down; pairfs map rebuild; pairfs up");
  rebuild_command->callback([=, &exit_code] { exit_code = rebuild(*where); });
}

}  // namespace pairfs::cli
