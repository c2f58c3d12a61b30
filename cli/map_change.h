// Changes of the cluster's map by people: read, change, compare-and-swap, again when somebody else
// was faster. One thread.
#pragma once

#include <functional>
#include <vector>

#include "cli/gather.h"
#include "common/messages.h"

namespace pairfs::cli {

// What a record is to become, from what it is (nullopt: it is not there), and the whole map beside
// it. May be called several times.
using MapChange = std::function<Outcome<Bytes>(const std::optional<Bytes>& current,
                                               const std::vector<MapEntry>& map)>;

// Failed when the map's holder does not answer in time; the change may have happened then.
Trouble change_map(const Picture& picture, const std::string& key, const MapChange& change);

// The cluster's policy, changed.
Trouble change_policy(const Picture& picture, const std::function<void(ClusterPolicy&)>& change);

}  // namespace pairfs::cli
