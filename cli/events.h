// The history of role changes, as the nodes remember it. One thread.
#pragma once

#include <nlohmann/json.hpp>
#include <vector>

#include "cli/gather.h"

namespace pairfs::cli {

// From all nodes, in the order of time. Each has time ("SECONDS.NANOSECONDS" since 1970, by the
// node's clock), node, volume, epoch and what. `complete`: every node answered.
std::vector<nlohmann::json> gather_events(const Picture& picture, bool* complete);

}  // namespace pairfs::cli
