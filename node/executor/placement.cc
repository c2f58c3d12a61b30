#include "node/executor/placement.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "common/crc32c.h"

namespace pairfs {

namespace {
double use_of(const Context& context, VolumeId volume) {
  for (const VolumeUse& use : context.state.uses)
    if (use.volume == volume) return use.used_fraction;
  return 0;
}

// Slices of every volume that is not too full; only of one pair, if that is not 0.
std::map<VolumeId, std::vector<SliceRange>> candidates(const Context& context, uint16_t pair) {
  const ClusterPolicy& policy = context.state.policy;
  std::map<VolumeId, std::vector<SliceRange>> found;
  double emptiest = 1;
  for (const SliceRange& range : context.state.cluster.slices) {
    if (pair != 0 ? range.volume.pair != pair : policy.is_draining(range.volume.pair)) continue;
    found[range.volume].push_back(range);
    emptiest = std::min(emptiest, use_of(context, range.volume));
  }
  std::erase_if(found, [&](const auto& item) {
    return use_of(context, item.first) > emptiest + policy.fuller_by_percent / 100.0;
  });
  return found;
}

// The pair that the directory's children are to be on; 0: none is named.
uint16_t pinned_pair(const Context& context, const Inode& directory) {
  if (directory.xattr_names_bytes == 0) return 0;
  const auto value = context.tx.get(xattr_key(directory.id, kPinAttribute));
  uint16_t pair = 0;
  if (value) std::from_chars(value->data(), value->data() + value->size(), pair);
  return pair;
}

Slice nth_slice(const std::vector<SliceRange>& ranges, uint32_t number) {
  uint32_t count = 0;
  for (const SliceRange& range : ranges) count += range.count;
  number %= count;
  for (const SliceRange& range : ranges) {
    if (number < range.count) return static_cast<Slice>(range.first + number);
    number -= range.count;
  }
  return ranges.front().first;
}
}  // namespace

Slice place_directory(const Context& context, const Inode& parent, BytesView name) {
  const Slice stay = parent.ref().slice();
  const uint16_t pinned = pinned_pair(context, parent);
  const bool spread = pinned != 0 || parent.depth < context.state.policy.spread_levels;
  if (!spread && context.state.uses.empty()) return stay;
  auto volumes = candidates(context, pinned);
  if (volumes.empty() && pinned != 0) volumes = candidates(context, 0);  // a pair that is gone
  if (volumes.empty() || (!spread && volumes.contains(context.config.volume))) return stay;
  const uint64_t parent_id = parent.id;
  const uint32_t hash =
      crc32c(name, crc32c({reinterpret_cast<const char*>(&parent_id), sizeof parent_id}));
  const auto count = static_cast<uint32_t>(volumes.size());
  auto chosen = volumes.begin();
  std::advance(chosen, hash % count);
  return nth_slice(chosen->second, hash / count);
}

}  // namespace pairfs
