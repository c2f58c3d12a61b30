#include "node/store/extent_table.h"

#include <cstring>

namespace pairfs {

ExtentCursor::ExtentCursor(const RowTable& rows, uint64_t inode_id, uint64_t from_block)
    : rows_(rows.extents_around(extent_prefix(inode_id), extent_key(inode_id, from_block))) {
  load();
  while (extent_ && extent_->to() <= from_block) next();
}

void ExtentCursor::next() {
  rows_->next();
  load();
}

void ExtentCursor::load() {
  extent_.reset();
  if (!rows_->valid()) return;
  extent_ = decode_extent(rows_->key(), rows_->value());
  if (!extent_) throw RowsUnreadable("an extent row cannot be understood");
}

ReadEras::Era ReadEras::current() const {
  std::lock_guard lock(mutex_);
  return current_;
}

uint64_t ReadEras::advance() {
  std::lock_guard lock(mutex_);
  const uint64_t number = *current_;
  past_[number] = current_;
  current_ = std::make_shared<const uint64_t>(number + 1);
  return number;
}

bool ReadEras::over(uint64_t era) {
  std::lock_guard lock(mutex_);
  while (!past_.empty() && past_.begin()->second.expired()) past_.erase(past_.begin());
  return past_.empty() || past_.begin()->first > era;
}

std::vector<BlockRun> ExtentTable::block_runs(uint64_t inode_id, uint64_t from_block,
                                              uint64_t to_block) const {
  std::vector<BlockRun> runs;
  for (ExtentCursor at(rows_, inode_id, from_block); at.valid(); at.next()) {
    const Extent& extent = at.extent();
    if (extent.from >= to_block) break;
    const uint64_t from = std::max(extent.from, from_block);
    const uint64_t to = std::min(extent.to(), to_block);
    if (!runs.empty() && runs.back().to == from && runs.back().state == extent.state()) {
      runs.back().to = to;
    } else {
      runs.push_back({from, to, extent.state(), true});
    }
  }
  return runs;
}

std::vector<Extent> ExtentTable::extents(uint64_t inode_id, uint64_t from_block,
                                         uint64_t to_block) const {
  std::vector<Extent> found;
  for (ExtentCursor at(rows_, inode_id, from_block); at.valid(); at.next()) {
    const Extent& extent = at.extent();
    if (extent.from >= to_block) break;
    if (extent.kind == Extent::Kind::kZero) continue;
    found.push_back(extent.cut(std::max(extent.from, from_block), std::min(extent.to(), to_block)));
  }
  return found;
}

Status ExtentTable::read(const std::vector<Extent>& extents, uint64_t from_block,
                         char* into) const {
  for (size_t i = 0; i < extents.size();) {
    const Extent& first = extents[i];
    char* at = into + (first.from - from_block) * kBlockBytes;
    if (first.kind == Extent::Kind::kInline) {
      std::memcpy(at, first.bytes.data(), first.bytes.size());
      ++i;
      continue;
    }
    // Neighbours in the inode that are neighbours in the stripe are one read.
    std::vector<uint32_t> crcs = first.crcs;
    uint64_t to = first.to();
    for (++i; i < extents.size(); ++i) {
      const Extent& next = extents[i];
      if (next.kind != Extent::Kind::kStored || next.from != to || next.stripe != first.stripe ||
          next.first_block != first.first_block + crcs.size()) {
        break;
      }
      crcs.insert(crcs.end(), next.crcs.begin(), next.crcs.end());
      to = next.to();
    }
    PAIRFS_TRY(group_.read_blocks(first.stripe, first.first_block, crcs, at));
  }
  return success();
}

}  // namespace pairfs
