// What a cluster says about itself: the map, and the answers of every router and node, as one
// picture. Status prints it, up waits for it. One thread.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/find_cluster.h"
#include "common/cluster_map.h"

namespace pairfs::cli {

struct Picture {
  uint64_t cluster_id = 0;
  uint64_t map_version = 0;  // 0: nobody told the map
  bool map_live = false;     // from a router, not from the files of a stopped cluster
  ClusterMap map;
  std::map<VolumeId, VolumeRecord> records;
  ClusterPolicy policy;
  // The JSON objects that routers and nodes answered, by name; who is missing did not answer.
  std::map<std::string, nlohmann::json> routers;
  std::map<std::string, nlohmann::json> nodes;

  // Where the map is held, for make_map_client(): by routers that the map names, or as the routers
  // that answered say (ZooKeeper). Empty: nobody knows.
  std::vector<std::string> map_endpoints() const;
};

// Asks all in parallel, `timeout` for each of the two rounds (routers, then nodes). Always gives a
// picture, however much is missing in it; for a stopped local cluster the map comes from its file.
Picture gather(const Reach& reach, Duration timeout);

// The map of a stopped cluster, from its file. nullopt while a router has it open.
std::optional<ClusterMap> stored_map(const Cluster& cluster);

}  // namespace pairfs::cli
