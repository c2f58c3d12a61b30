// Which slices a volume has: a mirror of the slice rows, and what is never logged: which slices
// stand still for a moment because they are about to go. Loop thread.
#pragma once

#include <bitset>
#include <optional>
#include <unordered_map>
#include <vector>

#include "node/executor/schema.h"
#include "node/executor/transaction.h"

namespace pairfs {

class SliceTable {
 public:
  void load(const VolumeStore& store);

  bool owns(Slice slice) const { return owned_[slice]; }
  std::vector<Slice> owned() const;
  // nullptr: the slice was never here.
  const SliceStateRow* find(Slice slice) const;
  // Changes the row, and what is in memory.
  void set(Transaction& tx, Slice slice, const SliceStateRow& row);
  const std::unordered_map<Slice, SliceStateRow>& rows() const { return rows_; }
  // Grows whenever owned() changes.
  uint64_t version() const { return version_; }

  // Nothing new begins on a frozen slice; transactions that have begun may end there. Nothing at
  // all changes in one that is sealed for a move.
  void freeze(Slice slice) { still_[slice].reset(); }
  void seal(Slice slice, const SliceMoveId& move) { still_[slice] = move; }
  void thaw(Slice slice) { still_.erase(slice); }
  bool is_frozen(Slice slice) const { return !still_.empty() && still_.contains(slice); }
  bool is_sealed(Slice slice) const {
    const auto found = still_.find(slice);
    return found != still_.end() && found->second;
  }
  bool is_sealed_for(Slice slice, const SliceMoveId& move) const {
    const auto found = still_.find(slice);
    return found != still_.end() && found->second == move;
  }
  bool any_sealed() const {
    for (const auto& [slice, move] : still_)
      if (move) return true;
    return false;
  }

 private:
  std::bitset<65536> owned_;
  std::unordered_map<Slice, SliceStateRow> rows_;
  std::unordered_map<Slice, std::optional<SliceMoveId>> still_;
  uint64_t version_ = 1;
};

}  // namespace pairfs
