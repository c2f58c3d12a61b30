#include "router/routing_table.h"

#include <algorithm>
#include <map>

namespace pairfs {
namespace {

bool is_of_pair(const PairInfo& pair, const ShortText& node_name) {
  return std::any_of(pair.nodes.begin(), pair.nodes.end(),
                     [&](const NodeInfo& node) { return node.name == node_name; });
}

}  // namespace

RoutingTable::RoutingTable(const ClusterMap& map,
                           const std::function<std::optional<VolumeRecord>(VolumeId)>& record_of)
    : slices_(kSliceCount, kNowhere) {
  std::map<VolumeId, uint16_t> index_of;
  for (const PairInfo& pair : map.pairs) {
    nodes_.insert(nodes_.end(), pair.nodes.begin(), pair.nodes.end());
    for (const VolumeInfo& volume : pair.volumes) {
      if (routes_.size() >= kNowhere) continue;
      Route route;
      route.volume = volume.id;
      if (const auto record = record_of(volume.id)) {
        route.epoch = record->epoch;
        if (is_of_pair(pair, record->executor.name)) route.executor = record->executor.name;
      }
      index_of.emplace(volume.id, static_cast<uint16_t>(routes_.size()));
      routes_.push_back(std::move(route));
    }
  }
  for (const SliceRange& range : map.slices) {
    const auto at = index_of.find(range.volume);
    if (at == index_of.end() || range.first >= kSliceCount) continue;
    const size_t count = std::min<size_t>(range.count, kSliceCount - range.first);
    std::fill_n(slices_.begin() + range.first, count, at->second);
  }
}

Epoch RoutingTable::epoch_of(VolumeId volume) const {
  for (const Route& route : routes_)
    if (route.volume == volume) return route.epoch;
  return 0;
}

const Route* RoutingTable::find(Slice slice) const {
  if (slice >= slices_.size() || slices_[slice] == kNowhere) return nullptr;
  return &routes_[slices_[slice]];
}

}  // namespace pairfs
