// The data of all inodes as the row table and the segments have them: lookups and reads. Any
// thread. Its writer is CheckpointWriter.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "node/store/base_store.h"
#include "node/store/extent.h"
#include "node/store/raid_group.h"
#include "node/store/row_table.h"

namespace pairfs {

// Goes through one inode's extents in order.
class ExtentCursor {
 public:
  // Starts with the extent that contains `from_block`, or the first one behind it.
  ExtentCursor(const RowTable& rows, uint64_t inode_id, uint64_t from_block);
  bool valid() const { return extent_.has_value(); }
  const Extent& extent() const { return *extent_; }
  void next();

 private:
  void load();
  std::unique_ptr<RowCursor> rows_;
  std::optional<Extent> extent_;
};

// What in-flight reads may still need of segments. Space is given back only when no read planned
// before it was freed is left.
class ReadEras {
 public:
  using Era = std::shared_ptr<const uint64_t>;
  // Any thread: keeps the current era open.
  Era current() const;
  // Ends the current era and gives its number.
  uint64_t advance();
  // True when no read of that era or an earlier one is left.
  bool over(uint64_t era);

 private:
  mutable std::mutex mutex_;
  Era current_ = std::make_shared<const uint64_t>(1);
  std::map<uint64_t, std::weak_ptr<const uint64_t>> past_;
};

class ExtentTable {
 public:
  ExtentTable(const RowTable& rows, RaidGroup& group) : rows_(rows), group_(group) {}

  std::vector<BlockRun> block_runs(uint64_t inode_id, uint64_t from_block, uint64_t to_block) const;
  std::vector<Extent> extents(uint64_t inode_id, uint64_t from_block, uint64_t to_block) const;
  // Fills `into`, which begins with `from_block`, with the stored blocks; leaves holes alone.
  Status read(const std::vector<Extent>& extents, uint64_t from_block, char* into) const;

  const RowTable& rows() const { return rows_; }
  RaidGroup& group() const { return group_; }

 private:
  const RowTable& rows_;
  RaidGroup& group_;
};

}  // namespace pairfs
