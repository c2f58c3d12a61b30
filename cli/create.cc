#include "cli/create.h"

#include <random>

#include "cli/daemon_config.h"
#include "cli/disk_check.h"
#include "cli/first_map.h"
#include "common/codec.h"
#include "common/map_store.h"

namespace pairfs::cli {
namespace {

constexpr unsigned kPairsMax = 64;
constexpr unsigned kRoutersMax = 16;
constexpr unsigned kElementsMax = 24;

uint64_t random_id() {
  std::random_device random;
  uint64_t id = 0;
  while (id == 0) id = uint64_t{random()} << 32 | random();
  return id;
}

Trouble make_directories(const Cluster& cluster, const ClusterMap& map) {
  const fs::path elements = cluster.directory / "elements";
  std::vector<fs::path> wanted = {elements, cluster.mount().directory};
  if (cluster.link == "shm") wanted.push_back(cluster.link_directory());
  for (const Daemon& daemon : cluster.daemons()) {
    wanted.push_back(daemon.directory);
    if (daemon.kind == Daemon::Kind::kNode) wanted.push_back(daemon.directory / "state");
  }
  for (const PairInfo& pair : map.pairs)
    for (const VolumeInfo& volume : pair.volumes)
      for (const ElementInfo& element : volume.elements) wanted.push_back(fs::path(element.path));
  for (const fs::path& directory : wanted)
    if (Trouble trouble = make_private_directory(directory)) return trouble;
  return std::nullopt;
}

Trouble write_configurations(const Cluster& cluster, const ClusterMap& map) {
  for (const RouterInfo& router : map.routers)
    if (Trouble trouble = write_file(cluster.directory / router.name / "router.toml",
                                     router_config(cluster, map, router)))
      return trouble;
  for (const PairInfo& pair : map.pairs)
    for (const NodeInfo& node : pair.nodes)
      if (Trouble trouble = write_file(cluster.directory / node.name / "node.toml",
                                       node_config(cluster, map, node)))
        return trouble;
  return std::nullopt;
}

Cluster describe(const ClusterPlan& plan, const ClusterMap& map,
                 const fs::path& runtime_directory) {
  Cluster cluster;
  cluster.directory = plan.directory;
  cluster.id = map.cluster_id;
  cluster.transport = plan.transport;
  cluster.link = plan.link;
  cluster.raid_level = plan.raid_level;
  cluster.reach = plan.reach;
  cluster.runtime_directory = runtime_directory;
  for (const RouterInfo& router : map.routers) {
    cluster.routers.push_back(router.name);
    cluster.router_endpoints.push_back(router.endpoint);
  }
  for (const PairInfo& pair : map.pairs)
    for (const NodeInfo& node : pair.nodes) cluster.nodes.push_back(node.name);
  return cluster;
}

// Everything but the mark of an unfinished creation, which goes last.
void clear(const fs::path& directory) {
  boost::system::error_code error;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error)) {
    boost::system::error_code ignored;
    if (entry->path() != unfinished_mark(directory) && !is_incidental(entry->path()))
      fs::remove_all(entry->path(), ignored);
  }
}

Outcome<Cluster> fill(const ClusterPlan& plan) {
  fs::path runtime_directory;
  std::vector<uint16_t> ports;
  if (plan.transport == "tcp") {
    auto chosen = choose_free_ports(endpoint_count(plan));
    if (!chosen.ok()) return chosen.problem();
    ports = *chosen;
  } else {
    runtime_directory = runtime_directory_for(plan.directory);
  }
  const ClusterMap map = first_map(plan, random_id(), runtime_directory, ports);
  const Cluster cluster = describe(plan, map, runtime_directory);
  if (Trouble trouble = make_directories(cluster, map)) return *trouble;
  if (Trouble trouble = write_configurations(cluster, map)) return *trouble;
  if (Trouble trouble =
          store_first_map(cluster.directory / map.routers[0].name.c_str() / "map", map))
    return *trouble;
  if (Trouble trouble = write_cluster(cluster)) return *trouble;
  return cluster;
}

// What each RAID level needs; `plan` is what it gets when nobody says how many.
struct LevelNeeds {
  unsigned level, elements_min, plan;
};
constexpr LevelNeeds kLevels[] = {{0, 1, 2}, {1, 2, 2}, {5, 3, 4}, {6, 4, 4}, {10, 4, 4}};

const LevelNeeds* needs_of(unsigned level) {
  for (const LevelNeeds& needs : kLevels)
    if (needs.level == level) return &needs;
  return nullptr;
}

Trouble check_raid(unsigned level, unsigned elements) {
  const LevelNeeds* needs = needs_of(level);
  if (needs == nullptr)
    return refused(
        "there is no RAID level {} here; --raid takes 0 (no redundancy), 1 (a mirror over"
        " all elements), 5, 6 or 10",
        level);
  if (elements < needs->elements_min || elements > kElementsMax)
    return refused("--elements must be {} to {} per volume for RAID level {}, not {}",
                   needs->elements_min, kElementsMax, level, elements);
  if (level == 10 && elements % 2 != 0)
    return refused("--elements must be even for RAID level 10, which pairs them, not {}", elements);
  return std::nullopt;
}

// Elements alternate between the nodes, so the loss of a node is the loss of every second one.
Trouble check_domains(unsigned level, unsigned elements) {
  const bool survives = level == 1 || level == 10 || (level == 6 && elements == 4);
  if (survives && elements % 2 == 0) return std::nullopt;
  return refused(
      "with --reach partner each node has half of a volume's elements, and RAID level {}"
      " over {} does not survive the loss of one half; level 1 or 10 over an even number"
      " does, and level 6 over 4",
      level, elements);
}

}  // namespace

Trouble store_first_map(const fs::path& directory, const ClusterMap& map) {
  std::string why;
  const auto store = FileMapStore::open(directory.string(), &why);
  if (store == nullptr) return failed("{}", why);
  const auto put = [&](const std::string& key, const Bytes& value) {
    return store->swap({key, 0, value}).swapped;
  };
  bool stored = put(kClusterKey, encode(map));
  for (const PairInfo& pair : map.pairs)
    for (const VolumeInfo& volume : pair.volumes)
      stored = stored && put(volume_key(volume.id), encode(VolumeRecord{}));
  if (stored) return std::nullopt;
  return failed("the map in {} could not be written", directory.string());
}

unsigned default_elements(unsigned raid_level) {
  const LevelNeeds* needs = needs_of(raid_level);
  return needs == nullptr ? 2 : needs->plan;
}

Trouble check_plan(const ClusterPlan& plan) {
  if (plan.pairs < 1 || plan.pairs > kPairsMax)
    return refused("--pairs must be 1 to {}, not {}", kPairsMax, plan.pairs);
  if (plan.routers < 1 || plan.routers > kRoutersMax)
    return refused("--routers must be 1 to {}, not {}", kRoutersMax, plan.routers);
  if (Trouble trouble = check_raid(plan.raid_level, plan.elements)) return trouble;
  return plan.reach == "partner" ? check_domains(plan.raid_level, plan.elements) : std::nullopt;
}

Outcome<Cluster> create_cluster(const ClusterPlan& plan) {
  if (Trouble trouble = check_plan(plan)) return *trouble;
  boost::system::error_code error;
  if (Trouble trouble = check_disk(plan.directory)) return *trouble;
  if (Trouble trouble = write_file(unfinished_mark(plan.directory),
                                   "A creation by pairfs up that has not come to its end.\n"))
    return *trouble;
  clear(plan.directory);
  auto cluster = fill(plan);
  if (!cluster.ok()) clear(plan.directory);
  fs::remove(unfinished_mark(plan.directory), error);
  return cluster;
}

}  // namespace pairfs::cli
