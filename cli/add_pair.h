// A new pair for a running cluster. It gets no slices: rebalancing gives them. One thread.
#pragma once

#include "cli/gather.h"
#include "cli/init_plan.h"

namespace pairfs::cli {

// On this machine: directories, configurations, the map; starts the nodes through the supervisor
// and waits until they serve. `pairfs up` must hold the cluster's lock.
Trouble add_local_pair(const fs::path& directory, const SupervisorSettings& settings);

// Of nodes that the operator starts elsewhere.
struct RemoteNode {
  std::string endpoint, link_endpoint;
};
struct RemotePair {
  std::vector<RemoteNode> nodes;      // two
  std::vector<std::string> elements;  // directories that both nodes can open
  unsigned raid_level = 1;
};
// Registers it and says how its nodes are configured.
Trouble add_remote_pair(const Picture& picture, const RemotePair& pair);

// On the two hosts of `request`'s only pair: writes their files to its output, as pairfs init does,
// registers the pair, and says how it is started. Nothing is registered when the files cannot be
// written.
Trouble add_pair_of_hosts(const Picture& picture, const InitRequest& request);

}  // namespace pairfs::cli
