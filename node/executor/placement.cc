#include "node/executor/placement.h"

#include <algorithm>
#include <map>

#include "common/crc32c.h"

namespace pairfs {

namespace {
constexpr double kFullerByAtMost = 0.10;
constexpr uint8_t kSpreadBelowDepth = 1;  // children of the root and of its children

double use_of(const Context& context, VolumeId volume) {
  for (const VolumeUse& use : context.state.uses)
    if (use.volume == volume) return use.used_fraction;
  return 0;
}

// Slices of every volume that is not too full.
std::map<VolumeId, std::vector<SliceRange>> candidates(const Context& context) {
  std::map<VolumeId, std::vector<SliceRange>> found;
  double emptiest = 1;
  for (const SliceRange& range : context.config.map.slices) {
    found[range.volume].push_back(range);
    emptiest = std::min(emptiest, use_of(context, range.volume));
  }
  std::erase_if(found, [&](const auto& item) {
    return use_of(context, item.first) > emptiest + kFullerByAtMost;
  });
  return found;
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
  const bool spread = parent.depth <= kSpreadBelowDepth;
  if (!spread && context.state.uses.empty()) return stay;
  const auto volumes = candidates(context);
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
