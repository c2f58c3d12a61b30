#include "common/cluster_map.h"

#include "common/ensure.h"

namespace pairfs {

const VolumeInfo* ClusterMap::find_volume(VolumeId id) const {
  for (const PairInfo& pair : pairs)
    for (const VolumeInfo& volume : pair.volumes)
      if (volume.id == id) return &volume;
  return nullptr;
}

const PairInfo* ClusterMap::pair_of(BytesView node_name) const {
  for (const PairInfo& pair : pairs)
    for (const NodeInfo& node : pair.nodes)
      if (node.name == node_name) return &pair;
  return nullptr;
}

const NodeInfo* ClusterMap::find_node(BytesView name) const {
  const PairInfo* pair = pair_of(name);
  if (pair == nullptr) return nullptr;
  for (const NodeInfo& node : pair->nodes)
    if (node.name == name) return &node;
  return nullptr;
}

const NodeInfo* ClusterMap::partner_of(BytesView node_name) const {
  const PairInfo* pair = pair_of(node_name);
  if (pair == nullptr) return nullptr;
  for (const NodeInfo& node : pair->nodes)
    if (node.name != node_name) return &node;
  return nullptr;
}

VolumeId ClusterMap::volume_of(Slice slice) const {
  for (const SliceRange& range : slices)
    if (slice >= range.first && slice - range.first < static_cast<int>(range.count))
      return range.volume;
  ENSURE(false, "slice {} is on no volume", slice);
  return {};
}

std::string volume_key(VolumeId id) { return "volume/" + to_string(id); }

}  // namespace pairfs
