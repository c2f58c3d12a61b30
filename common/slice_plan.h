// Which slices are to move where, so that every volume has equally many and drained pairs have
// none. Everybody who knows the map comes to the same plan. No I/O; any thread.
#pragma once

#include <vector>

#include "common/cluster_map.h"

namespace pairfs {

struct SliceMove {
  Slice slice = 0;
  VolumeId from, to;
};
// Empty: the cluster is balanced. The root's slice moves only when its pair is drained.
std::vector<SliceMove> plan_moves(const ClusterMap& map, const ClusterPolicy& policy);

}  // namespace pairfs
