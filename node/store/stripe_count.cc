#include "node/store/stripe_count.h"

#include <fmt/format.h>

#include "node/store/extent.h"
#include "node/store/fields.h"

namespace pairfs {

CountedStripes count_stripes(const RowTable& rows,
                             const std::function<void(std::string)>& problem) {
  CountedStripes counted;
  const Bytes first = extent_prefix(0).substr(0, 2);
  Bytes behind = first;
  ++behind.back();
  uint64_t inode_before = 0, end_before = 0;
  for (auto row = rows.rows(first, behind); row->valid(); row->next()) {
    const auto extent = decode_extent(row->key(), row->value());
    FieldReader key(row->key().substr(2));
    const auto inode_id = key.big<uint64_t>();
    if (!extent) {
      problem(fmt::format("an extent row of inode {:x} cannot be understood", inode_id));
      continue;
    }
    if (inode_id == inode_before && extent->from < end_before)
      problem(fmt::format("two extents of inode {:x} have block {}", inode_id, extent->from));
    inode_before = inode_id;
    end_before = extent->to();
    if (extent->kind != Extent::Kind::kStored) continue;
    auto& entry = counted[{extent->stripe.segment, extent->stripe.row}];
    entry.stripe = extent->stripe;
    entry.blocks += extent->count;
  }
  return counted;
}

}  // namespace pairfs
