// Making a new local cluster: its directories, the configuration of each daemon, and the first map.
// Nothing runs yet, and nothing is started here. One thread.
#pragma once

#include "cli/cluster.h"
#include "common/cluster_map.h"

namespace pairfs::cli {

struct ClusterPlan {
  fs::path directory;  // canonical
  unsigned pairs = 2;
  unsigned routers = 2;
  unsigned elements = 4;  // per volume
  unsigned raid_level = 5;
  std::string transport = "ipc";
  std::string link = "shm";   // or "zmq": how the nodes of a pair copy records to each other
  std::string reach = "dir";  // or "partner": each node has half of the elements to itself
};

// How many elements a volume gets when nobody says so.
unsigned default_elements(unsigned raid_level);

// Refused: a RAID level that there is not, a number of elements that it cannot use, ...
Trouble check_plan(const ClusterPlan& plan);

// Writes the map of a new cluster, with volumes that were never opened, into an absent or empty
// directory of a file map store.
Trouble store_first_map(const fs::path& directory, const ClusterMap& map);

// Makes the cluster in an empty directory that exists, or in one where a creation was interrupted,
// which starts anew. What it made is removed again when a step fails.
Outcome<Cluster> create_cluster(const ClusterPlan& plan);

}  // namespace pairfs::cli
