#include "cli/add_pair.h"

#include <signal.h>

#include <algorithm>
#include <charconv>

#include "cli/commands.h"
#include "cli/create.h"
#include "cli/daemon_config.h"
#include "cli/endpoints.h"
#include "cli/files.h"
#include "cli/first_map.h"
#include "cli/init_output.h"
#include "cli/local_daemons.h"
#include "cli/map_change.h"
#include "cli/wait_ready.h"
#include "common/codec.h"
#include "common/network_policy.h"

namespace pairfs::cli {
namespace {

constexpr uint16_t kPairMax = 4096;

// A number that no pair has or had: a removed pair's records stay in the map.
uint16_t unused_pair_id(const std::vector<MapEntry>& map) {
  unsigned highest = 0;
  for (const MapEntry& entry : map) {
    const BytesView key = entry.key;
    if (!key.starts_with("volume/")) continue;
    unsigned pair = 0;
    std::from_chars(key.data() + 7, key.data() + key.size(), pair);
    highest = std::max(highest, pair);
  }
  return static_cast<uint16_t>(highest + 1);
}

// Puts the pair's volumes into the map, then the pair itself.
Trouble register_pair(const Picture& picture, const PairInfo& pair) {
  for (const VolumeInfo& volume : pair.volumes)
    if (Trouble trouble = change_map(picture, volume_key(volume.id),
                                     [&](const auto& current, const auto&) -> Outcome<Bytes> {
                                       if (current)
                                         return failed(
                                             "somebody else added pair {} at this moment;"
                                             " try again",
                                             pair.id);
                                       return encode(VolumeRecord{});
                                     }))
      return trouble;
  return change_map(picture, kClusterKey, [&](const auto& current, const auto&) -> Outcome<Bytes> {
    auto map = current ? decode<ClusterMap>(*current) : std::nullopt;
    if (!map) return failed("the cluster's map cannot be read");
    map->pairs.push_back(pair);
    return encode(*map);
  });
}

Outcome<uint16_t> next_pair_id(const Picture& picture) {
  uint16_t id = 0;
  // Only looks: what is there stays as it is.
  Trouble trouble =
      change_map(picture, kClusterKey, [&](const auto& current, const auto& map) -> Outcome<Bytes> {
        id = unused_pair_id(map);
        return *current;
      });
  if (trouble) return *trouble;
  if (id > kPairMax) return refused("there have been {} pairs, which is the most", kPairMax);
  return id;
}

Trouble make_files(const Cluster& cluster, const ClusterMap& map, const PairInfo& pair) {
  for (const NodeInfo& node : pair.nodes) {
    const fs::path directory = cluster.directory / node.name;
    for (const fs::path& wanted : {directory, directory / "state"})
      if (Trouble trouble = make_private_directory(wanted)) return trouble;
    if (Trouble trouble = write_file(directory / "node.toml", node_config(cluster, map, node)))
      return trouble;
  }
  for (const VolumeInfo& volume : pair.volumes)
    for (const ElementInfo& element : volume.elements)
      if (Trouble trouble = make_private_directory(fs::path(element.path))) return trouble;
  return std::nullopt;
}

}  // namespace

Trouble add_local_pair(const fs::path& directory, const SupervisorSettings& settings) {
  auto cluster = read_cluster(directory);
  if (!cluster.ok()) return cluster.problem();
  const auto supervisor = running_supervisor(*cluster);
  if (!supervisor)
    return refused(
        "the cluster in {} is not running, and a pair is added to a running one; start it"
        " with pairfs up",
        directory.string());
  const Picture picture = gather({cluster->router_endpoints, *cluster}, std::chrono::seconds(1));
  if (!picture.map_live) return failed("none of the cluster's routers answers");
  auto id = next_pair_id(picture);
  if (!id.ok()) return id.problem();
  ClusterPlan plan;
  plan.directory = cluster->directory;
  const VolumeInfo& like = picture.map.pairs.front().volumes.front();
  plan.elements = static_cast<unsigned>(like.elements.size());
  plan.raid_level = like.raid_level;
  std::vector<uint16_t> ports;
  if (cluster->transport == "tcp") {
    auto chosen = choose_free_ports(kEndpointsOfPair);
    if (!chosen.ok()) return chosen.problem();
    ports = *chosen;
  }
  const PairInfo pair = new_pair(plan, *id, cluster->runtime_directory, ports);
  for (const NodeInfo& node : pair.nodes) cluster->nodes.push_back(node.name);
  if (Trouble trouble = make_files(*cluster, picture.map, pair)) return trouble;
  if (Trouble trouble = register_pair(picture, pair)) return trouble;
  if (Trouble trouble = write_cluster(*cluster)) return trouble;
  send_signal(*supervisor, SIGHUP);
  if (Trouble trouble = wait_until_ready(*cluster, settings)) return trouble;
  say(fmt::format("added pair {}: nodes {} and {}", pair.id, std::string(pair.nodes[0].name),
                  std::string(pair.nodes[1].name)));
  return std::nullopt;
}

Trouble add_remote_pair(const Picture& picture, const RemotePair& wanted) {
  auto id = next_pair_id(picture);
  if (!id.ok()) return id.problem();
  PairInfo pair;
  pair.id = *id;
  std::string text;
  for (unsigned half = 0; half < 2; ++half) {
    const RemoteNode& remote = wanted.nodes[half];
    const std::string name = fmt::format("{}{}", *id, half == 0 ? 'a' : 'b');
    pair.nodes.push_back({name, remote.endpoint, remote.link_endpoint});
    VolumeInfo volume;
    volume.id = {*id, static_cast<uint16_t>(half)};
    volume.home = name;
    volume.raid_level = static_cast<uint8_t>(wanted.raid_level);
    for (size_t i = 0; i < wanted.elements.size(); ++i) {
      const std::string element = fmt::format("{}-e{}", to_string(volume.id), i);
      volume.elements.push_back(
          {element, (fs::path(wanted.elements[i]) / element).string(), Bytes("dir")});
    }
    pair.volumes.push_back(volume);
  }
  if (Trouble trouble = register_pair(picture, pair)) return trouble;
  say(
      fmt::format("registered pair {}; start its nodes with these configurations, and make these"
                  " directories first:",
                  *id));
  for (const VolumeInfo& volume : pair.volumes)
    for (const ElementInfo& element : volume.elements) say("  " + std::string(element.path));
  for (const NodeInfo& node : pair.nodes) {
    const bool insecure = refuse_listen(node.endpoint, false).has_value();
    say(
        fmt::format("\n# node.toml of {0}\nname = \"{0}\"\ncluster_id = \"{1:016x}\"\n"
                    "state_dir = \"/var/lib/pairfs/{0}\"\ninsecure_network = {2}\n\n"
                    "[map]\nendpoints = {3}",
                    std::string(node.name), picture.cluster_id, insecure,
                    toml_quoted(picture.map_endpoints())));
  }
  return std::nullopt;
}

Trouble add_pair_of_hosts(const Picture& picture, const InitRequest& wanted) {
  auto id = next_pair_id(picture);
  if (!id.ok()) return id.problem();
  InitRequest request = wanted;
  for (const std::string& endpoint : picture.map_endpoints())
    if (endpoint.starts_with("zookeeper://")) request.map = endpoint;
  InitPlan plan;
  plan.map = picture.map;
  auto pair = plan_pair(request, request.pairs.front(), *id, plan);
  if (!pair.ok()) return pair.problem();
  const fs::path output = canonical_path(request.output);
  boost::system::error_code error;
  const bool was_there = fs::exists(output, error);
  if (Trouble trouble = claim_output(output)) return trouble;
  Trouble trouble = write_nodes(request, plan, *pair, output);
  if (!trouble) trouble = register_pair(picture, *pair);
  if (trouble) {
    give_up_output(output, was_there);
    return trouble;
  }
  say(
      fmt::format("registered pair {}, and wrote its configuration to {}\n\n"
                  "1. Give each host its files, in /etc/pairfs:",
                  *id, output.string()));
  say_files_of(plan, output);
  say("2. Mount the disks, and make these directories on them, one disk each:");
  say_elements_of(plan, *pair);
  say("3. Start them, each on its host:");
  say_starts_of(plan);
  say("4. Give it its share of the data, when pairfs status shows it up:\n     pairfs rebalance "
      "start --wait");
  return std::nullopt;
}

}  // namespace pairfs::cli
