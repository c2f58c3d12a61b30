// The TOML files of a local cluster's daemons, as text. No I/O. Any thread.
#pragma once

#include "cli/cluster.h"
#include "common/cluster_map.h"

namespace pairfs::cli {

std::string router_config(const Cluster& cluster, const ClusterMap& map, const RouterInfo& router);
std::string node_config(const Cluster& cluster, const ClusterMap& map, const NodeInfo& node);

}  // namespace pairfs::cli
