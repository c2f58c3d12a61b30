#include "common/slice_plan.h"

#include <map>

namespace pairfs {

std::vector<SliceMove> plan_moves(const ClusterMap& map, const ClusterPolicy& policy) {
  std::map<VolumeId, std::vector<Slice>> have;
  std::vector<VolumeId> keep;  // volumes that share all slices
  for (const PairInfo& pair : map.pairs)
    for (const VolumeInfo& volume : pair.volumes) {
      have[volume.id] = map.slices_of(volume.id);
      if (!policy.is_draining(pair.id)) keep.push_back(volume.id);
    }
  if (keep.empty()) return {};
  std::map<VolumeId, size_t> wanted;
  // Who has more gets the remainder, so that a balanced cluster has nothing to do.
  size_t remainder = kSliceCount % keep.size();
  for (const VolumeId volume : keep) {
    wanted[volume] = kSliceCount / keep.size();
    if (remainder > 0 && have[volume].size() > wanted[volume]) {
      ++wanted[volume];
      --remainder;
    }
  }
  for (const VolumeId volume : keep) {
    if (remainder == 0) break;
    if (wanted[volume] != kSliceCount / keep.size()) continue;
    ++wanted[volume];
    --remainder;
  }
  std::vector<SliceMove> moves;
  auto to = keep.begin();
  for (auto& [from, slices] : have) {
    const size_t stay = wanted.contains(from) ? wanted[from] : 0;
    for (size_t left = slices.size(); left > stay; --left) {
      while (to != keep.end() && have[*to].size() >= wanted[*to]) ++to;
      if (to == keep.end()) return moves;
      moves.push_back({slices[left - 1], from, *to});
      have[*to].push_back(0);
    }
  }
  return moves;
}

}  // namespace pairfs
