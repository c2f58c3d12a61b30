#include "node/executor/slice_table.h"

#include "common/row_codec.h"

namespace pairfs {

void SliceTable::load(const VolumeStore& store) {
  rows_.clear();
  owned_.reset();
  store.scan(family_key(Family::kSlice), after_prefix(family_key(Family::kSlice)),
             [&](BytesView key, BytesView value) {
               const auto row = decode_slice_state(value);
               ENSURE(row && key.size() == 3, "slice row");
               const auto slice = read_big_endian<Slice>(key, 1);
               rows_[slice] = *row;
               owned_[slice] = row->state == SliceStateRow::kOwned;
               return true;
             });
}

std::vector<Slice> SliceTable::owned() const {
  std::vector<Slice> found;
  for (uint32_t slice = 0; slice < kSliceCount; ++slice)
    if (owned_[slice]) found.push_back(static_cast<Slice>(slice));
  return found;
}

const SliceStateRow* SliceTable::find(Slice slice) const {
  const auto found = rows_.find(slice);
  return found == rows_.end() ? nullptr : &found->second;
}

void SliceTable::set(Transaction& tx, Slice slice, const SliceStateRow& row) {
  tx.put(slice_key(slice), encode_slice_state(row));
  rows_[slice] = row;
  const bool owned = row.state == SliceStateRow::kOwned;
  if (owned_[slice] == owned) return;
  owned_[slice] = owned;
  ++version_;
}

}  // namespace pairfs
