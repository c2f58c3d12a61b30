#include "common/cluster_map.h"

#include <algorithm>

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

std::vector<Slice> ClusterMap::slices_of(VolumeId volume) const {
  std::vector<Slice> found;
  for (const SliceRange& range : slices)
    for (uint32_t i = 0; range.volume == volume && i < range.count; ++i)
      found.push_back(static_cast<Slice>(range.first + i));
  return found;
}

void ClusterMap::assign(Slice slice, VolumeId volume) {
  CappedList<SliceRange, kSliceCount> made;
  const auto add = [&](uint32_t first, uint32_t count, VolumeId on) {
    if (count == 0) return;
    if (!made.empty() && made.back().volume == on)
      made.back().count += count;
    else
      made.push_back({static_cast<Slice>(first), count, on});
  };
  for (const SliceRange& range : slices) {
    const bool here = slice >= range.first && slice - range.first < static_cast<int>(range.count);
    if (!here) {
      add(range.first, range.count, range.volume);
      continue;
    }
    add(range.first, static_cast<uint32_t>(slice - range.first), range.volume);
    add(slice, 1, volume);
    add(slice + 1U, range.first + range.count - slice - 1U, range.volume);
  }
  slices = std::move(made);
}

bool ClusterPolicy::is_draining(uint16_t pair) const {
  return std::find(draining.begin(), draining.end(), pair) != draining.end();
}

std::string volume_key(VolumeId id) { return "volume/" + to_string(id); }

}  // namespace pairfs
