#include "node/store/segment_writer.h"

#include "common/crc32c.h"

namespace pairfs {

void SegmentWriter::begin(Placed placed) {
  placed_ = std::move(placed);
  runs_.clear();
  stripes_.clear();
  buffered_blocks_ = 0;
}

Result<char*> SegmentWriter::append(uint64_t inode_id, uint64_t from_block, uint64_t count) {
  ENSURE(count > 0 && count <= kExtentBlocksMax, "{} blocks", count);
  if (buffered_blocks_ + count > kStripeBlocksMax) PAIRFS_TRY(write_stripe());
  buffer_.resize(kStripeBlocksMax * kBlockBytes);
  char* at = buffer_.data() + buffered_blocks_ * kBlockBytes;
  runs_.push_back({inode_id, from_block, count});
  buffered_blocks_ += static_cast<uint32_t>(count);
  return at;
}

Status SegmentWriter::write_stripe() {
  if (buffered_blocks_ == 0) return success();
  if (segment_ == 0 || next_row_ >= kSegmentRowsMax) {
    const SegmentId next = make_segment_id(epoch_, opening_, next_number_);
    PAIRFS_TRY(group_.create_segment(next));
    ++next_number_;
    segment_ = next;
    next_row_ = 0;
  }
  const Stripe stripe{segment_, next_row_, buffered_blocks_, next_first_};
  const RaidLayout& layout = group_.layout();
  // The place is used up also when the write fails: what a failed one left is never written over.
  next_row_ += layout.rows(stripe);
  const uint32_t turns = layout.elements / layout.copies;
  next_first_ = static_cast<uint8_t>((next_first_ + layout.data_columns(stripe)) % turns);
  unsynced_.insert(segment_);
  stripes_.push_back(stripe);
  PAIRFS_TRY(group_.write_stripe(stripe, {buffer_.data(), buffered_blocks_ * kBlockBytes}));
  uint32_t block = 0;
  for (const Run& run : runs_) {
    Extent extent;
    extent.from = run.from_block;
    extent.count = run.count;
    extent.stripe = stripe;
    extent.first_block = block;
    for (uint64_t i = 0; i < run.count; ++i, ++block) {
      extent.crcs.push_back(crc32c({buffer_.data() + block * kBlockBytes, kBlockBytes}));
    }
    placed_(run.inode_id, std::move(extent));
  }
  runs_.clear();
  buffered_blocks_ = 0;
  return success();
}

Status SegmentWriter::finish() {
  PAIRFS_TRY(write_stripe());
  for (const SegmentId segment : unsynced_) PAIRFS_TRY(group_.sync(segment));
  unsynced_.clear();
  if (segment_ != 0 && next_row_ >= kSegmentRowsMax) segment_ = 0;
  buffer_ = {};
  return success();
}

}  // namespace pairfs
