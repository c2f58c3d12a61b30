// Appends blocks to segments in stripes. Blocks of many inodes share a stripe; where each came to
// lie is reported when its stripe is written. One worker thread.
#pragma once

#include <functional>
#include <set>
#include <vector>

#include "node/store/extent.h"
#include "node/store/raid_group.h"

namespace pairfs {

class SegmentWriter {
 public:
  // New segments are named after the epoch and the opening, so that no other process ever made
  // one of the same name.
  SegmentWriter(RaidGroup& group, Epoch epoch, uint64_t opening)
      : group_(group), epoch_(epoch), opening_(opening) {}

  // Begins what one consistency point adds; `placed` is called with each extent as it is written.
  using Placed = std::function<void(uint64_t inode_id, Extent extent)>;
  void begin(Placed placed);
  // Room for `count` blocks (at most kExtentBlocksMax) of the inode; valid until the next call.
  Result<char*> append(uint64_t inode_id, uint64_t from_block, uint64_t count);
  // Writes what is still buffered and syncs every segment that was written to.
  Status finish();
  // The stripes begun since begin(); after success all of their blocks are in use.
  const std::vector<Stripe>& stripes() const { return stripes_; }
  SegmentId current_segment() const { return segment_; }

 private:
  struct Run {
    uint64_t inode_id, from_block, count;
  };
  Status write_stripe();

  static constexpr uint32_t kStripeBlocksMax = 1024;      // of data: 4 MiB
  static constexpr uint32_t kSegmentRowsMax = 64 * 1024;  // 256 MiB on each element

  RaidGroup& group_;
  const Epoch epoch_;
  const uint64_t opening_;
  Placed placed_;
  std::vector<char> buffer_;
  std::vector<Run> runs_;
  uint32_t buffered_blocks_ = 0;
  SegmentId segment_ = 0;  // 0: none yet
  uint64_t next_number_ = 0;
  uint32_t next_row_ = 0;
  uint8_t next_first_ = 0;
  std::vector<Stripe> stripes_;
  std::set<SegmentId> unsynced_;
};

}  // namespace pairfs
