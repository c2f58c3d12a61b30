// Which node executes the commands of a slice: the cluster map's slices and the volumes' records
// laid out for one look-up per command. Made anew whenever the map changes. No I/O, any thread.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/cluster_map.h"

namespace pairfs {

struct Route {
  VolumeId volume;
  Epoch epoch = 0;
  std::string executor;  // a node's name; empty: nobody executes the volume now
};

class RoutingTable {
 public:
  RoutingTable() = default;
  // `record_of`: the volume's record, nullopt when it has none yet. A slice range or a record that
  // makes no sense (beyond the last slice, a node that is not of the volume's pair) routes nowhere.
  RoutingTable(const ClusterMap& map,
               const std::function<std::optional<VolumeRecord>(VolumeId)>& record_of);

  // nullptr: the slice is on no volume, or beyond the last slice.
  const Route* find(Slice slice) const;
  // One per volume.
  const std::vector<Route>& routes() const { return routes_; }
  // 0: not known.
  Epoch epoch_of(VolumeId volume) const;
  // The nodes of all pairs, in the map's order.
  const std::vector<NodeInfo>& nodes() const { return nodes_; }

 private:
  static constexpr uint16_t kNowhere = 0xffff;
  std::vector<uint16_t> slices_;  // index into routes_, or kNowhere
  std::vector<Route> routes_;
  std::vector<NodeInfo> nodes_;
};

}  // namespace pairfs
