// What `pairfs init` was asked for, and the map of the cluster that comes of it; the same for one
// more pair of a cluster that is there. No I/O. Any thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/problem.h"
#include "common/cluster_map.h"

namespace pairfs::cli {

struct InitRequest {
  std::vector<std::string> pairs;    // "HOSTA,HOSTB"
  std::vector<std::string> routers;  // hosts; empty: those of the first pair
  std::string output;
  std::string map;  // "zookeeper://..."; empty: the first router holds it
  std::string state_directory = "/var/lib/pairfs";
  std::string element_directory = "/srv/pairfs";
  unsigned elements = 2;  // per volume
  unsigned raid_level = 1;
  std::string reach = "dir";  // or "partner": each host has every second element to itself
  uint16_t port = 7400;       // the first of a host's routers; its nodes begin ten higher
};

struct InitPlan {
  ClusterMap map;
  std::map<std::string, std::string> host_of;  // of each daemon
};

// "node1" of "tcp://node1:7410".
std::string host_in(const std::string& endpoint);

// Names and ports as in a local cluster: r1 ..., 1a, 1b, ...; on each host routers get the ports
// `port`, `port`+1 (the map's) and so on, nodes `port`+10, `port`+11 (the partner's) and so on.
// Refused with a sentence when a host's name or a number is wrong.
Outcome<InitPlan> plan_cluster(const InitRequest& request, uint64_t cluster_id);

// Pair `id` on "HOSTA,HOSTB", on ports that nobody in the plan's map has; its nodes' hosts go into
// `host_of`. Refused as above.
Outcome<PairInfo> plan_pair(const InitRequest& request, const std::string& hosts, uint16_t id,
                            InitPlan& plan);

// A node of the plan's map on another host, on ports there that nobody has; the plan's map is
// changed so. Its elements stay at the paths that they have. Refused as above, and when it is there
// already.
Outcome<NodeInfo> plan_move(const InitRequest& request, const std::string& name,
                            const std::string& host, InitPlan& plan);

}  // namespace pairfs::cli
