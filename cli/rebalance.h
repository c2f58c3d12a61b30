// How far a rebalancing is. One thread.
#pragma once

#include "cli/find_cluster.h"

namespace pairfs::cli {

// Says how far it is until nothing is left to move; the exit code.
int wait_for_rebalance(const ClusterOptions& cluster, int timeout_seconds);

}  // namespace pairfs::cli
