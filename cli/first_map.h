// The map of a new cluster, as data. No I/O. Any thread.
#pragma once

#include "cli/create.h"
#include "cli/endpoints.h"
#include "common/cluster_map.h"

namespace pairfs::cli {

// How many endpoints first_map() uses.
size_t endpoint_count(const ClusterPlan& plan);

// How many endpoints one pair uses.
inline constexpr size_t kEndpointsOfPair = 4;
// A pair `id` with nodes and volumes as below, without slices. `ports`: kEndpointsOfPair with tcp.
PairInfo new_pair(const ClusterPlan& plan, uint16_t id, const fs::path& runtime_directory,
                  const std::vector<uint16_t>& ports);

// Pairs 1 ... with nodes 1a, 1b ..., two volumes per pair (1.0 at home on 1a, 1.1 on 1b), routers
// r1 ... of which the first holds the map, and the slices spread evenly: contiguous ranges in the
// order of the volumes, so that slice 0, the root's, is on 1.0. `ports`: as many as
// endpoint_count() with tcp, else none.
ClusterMap first_map(const ClusterPlan& plan, uint64_t cluster_id,
                     const fs::path& runtime_directory, const std::vector<uint16_t>& ports);

}  // namespace pairfs::cli
