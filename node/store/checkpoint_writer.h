// Makes one frozen overlay rows and stripes: the executor's rows as they are, each dirty inode's
// pieces flattened to whole blocks, extents split and replaced, stripes' use counted. Nothing of
// it counts before RowTable::flush(). One worker thread.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "node/store/extent_table.h"
#include "node/store/segment_writer.h"

namespace pairfs {

// Blocks of an inode that the cleaner wants elsewhere, if they are still in that stripe.
struct Move {
  uint64_t inode_id = 0, from_block = 0, to_block = 0;
  SegmentId segment = 0;
  uint32_t row = 0;
};

class CheckpointWriter {
 public:
  CheckpointWriter(const ExtentTable& table, RowTable& rows, SegmentWriter& segments)
      : table_(table), rows_(rows), segments_(segments) {}

  // After success the rows are in the table (not flushed), the data synced. `moves`, in order of
  // inode and block, are carried out unless the overlay changes the inode.
  Status write(const Overlay& frozen, Sequence sequence, const std::vector<Move>& moves);
  // Blocks that the last write() took out of use, by stripe.
  using FreedBlocks = std::map<std::pair<SegmentId, uint32_t>, uint64_t>;
  const FreedBlocks& freed_blocks() const { return freed_blocks_; }
  // Blocks that it moved for the cleaner.
  uint64_t moved_blocks() const { return moved_blocks_; }
  // Stripes in which nothing is in use any more, once what was written is confirmed.
  std::vector<Stripe> take_dead() { return std::exchange(dead_, {}); }
  // Data blocks in use in all stripes; the caller sets what it found at opening.
  uint64_t live_blocks() const { return live_blocks_; }
  void set_live_blocks(uint64_t count) { live_blocks_ = count; }

 private:
  Status flatten(uint64_t inode_id, const InodePieces& pieces);
  Status flatten_run(uint64_t inode_id, const InodePieces& pieces, const BlockRun& run, bool small);
  Status write_data(uint64_t inode_id, const InodePieces& pieces, uint64_t from, uint64_t to,
                    bool small);
  // Takes blocks [from, to) away from the extents that have them.
  void clear(uint64_t inode_id, uint64_t from, uint64_t to);
  void put_extent(uint64_t inode_id, const Extent& extent);
  void settle_carry(uint64_t inode_id);
  Status move(const Move& move);
  std::vector<Stripe> write_stripe_uses();  // gives those with nothing left in use

  const ExtentTable& table_;
  RowTable& rows_;
  SegmentWriter& segments_;
  std::unique_ptr<RowBatch> batch_;
  // The right part of an extent that was cut, not put yet, as the next run may cut it again.
  std::optional<Extent> carry_;
  FreedBlocks freed_blocks_;
  uint64_t moved_blocks_ = 0;
  std::vector<Stripe> dead_;
  uint64_t live_blocks_ = 0;
};

}  // namespace pairfs
