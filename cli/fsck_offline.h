// pairfs fsck of a local cluster that is stopped: runs `pairfs-node --fsck` for each volume, on the
// node that executed it last. One thread.
#pragma once

#include "cli/find_cluster.h"
#include "cli/gather.h"

namespace pairfs::cli {

// The findings of a volume: a JSON list of objects with kind, where and repaired.
Outcome<nlohmann::json> check_volume_offline(const Cluster& cluster, const Picture& picture,
                                             VolumeId volume, bool repair);
// True when a router or a node of the cluster runs.
bool is_running(const Cluster& cluster);

}  // namespace pairfs::cli
