#include "node/executor/file_data.h"

#include <algorithm>

#include "node/executor/inodes.h"

namespace pairfs {

namespace {
using What = Changes::Data::What;

// How many bytes of the blocks that the range touches are allocated.
uint64_t allocated_in(const Context& context, const Inode& inode, uint64_t first_block_byte,
                      uint64_t end_block_byte) {
  if (first_block_byte >= end_block_byte || inode.allocated_bytes == 0) return 0;
  if (inode.has(Inode::kDense)) {
    const uint64_t dense_end = round_up_to_block(inode.size_bytes);
    return std::min(end_block_byte, dense_end) - std::min(first_block_byte, dense_end);
  }
  return context.tx.store().allocated_bytes(inode.id, first_block_byte,
                                            end_block_byte - first_block_byte);
}

// Every block of the range becomes allocated.
void count_allocated(const Context& context, Inode& inode, uint64_t offset, uint64_t length,
                     bool grows) {
  const uint64_t first = round_down_to_block(offset);
  const uint64_t end = round_up_to_block(offset + length);
  const uint64_t dense_end = round_up_to_block(inode.size_bytes);
  const uint64_t before = allocated_in(context, inode, first, end);
  inode.allocated_bytes += (end - first) - before;
  const bool stays_dense =
      inode.has(Inode::kDense) && first <= dense_end && (grows || end <= dense_end);
  inode.set(Inode::kDense, stays_dense);
}
}  // namespace

Status check_range(uint64_t offset_bytes, uint64_t length_bytes) {
  if (offset_bytes > kFileMaxBytes || length_bytes > kFileMaxBytes - offset_bytes)
    return Errno{EFBIG};
  return success();
}

void write_range(Context& context, Inode& inode, uint64_t offset_bytes, SharedBytes bytes) {
  const uint64_t length = bytes.size();
  if (length == 0) return;
  count_allocated(context, inode, offset_bytes, length, true);
  inode.size_bytes = std::max(inode.size_bytes, offset_bytes + length);
  context.tx.change_data({.what = What::kWrite,
                          .inode_id = inode.id,
                          .offset_bytes = offset_bytes,
                          .length_bytes = length,
                          .bytes = std::move(bytes)});
}

void zero_range(Context& context, Inode& inode, uint64_t offset_bytes, uint64_t length_bytes,
                bool extend) {
  if (length_bytes == 0) return;
  count_allocated(context, inode, offset_bytes, length_bytes, extend);
  if (extend) inode.size_bytes = std::max(inode.size_bytes, offset_bytes + length_bytes);
  context.tx.change_data({.what = What::kZero,
                          .inode_id = inode.id,
                          .offset_bytes = offset_bytes,
                          .length_bytes = length_bytes});
}

void fill_holes(Context& context, Inode& inode, uint64_t offset_bytes, uint64_t length_bytes,
                bool extend) {
  const uint64_t end = offset_bytes + length_bytes;
  uint64_t at = offset_bytes;
  // A dense file has holes only behind its last block.
  if (inode.has(Inode::kDense)) at = std::max(at, round_up_to_block(inode.size_bytes));
  while (at < end) {
    const uint64_t hole = context.tx.store().seek(inode.id, at, false).value_or(at);
    if (hole >= end) break;
    const uint64_t hole_end =
        std::min(context.tx.store().seek(inode.id, hole, true).value_or(end), end);
    zero_range(context, inode, hole, hole_end - hole, extend);
    at = hole_end;
  }
  // Growth beyond the last block went through zero_range; within it a dense file stays dense.
  if (extend) inode.size_bytes = std::max(inode.size_bytes, end);
}

void punch_range(Context& context, Inode& inode, uint64_t offset_bytes, uint64_t length_bytes) {
  if (length_bytes == 0) return;
  const uint64_t end_byte = offset_bytes + length_bytes;
  const uint64_t first = round_up_to_block(offset_bytes);
  const uint64_t end = round_down_to_block(end_byte);
  if (first < end) {
    inode.allocated_bytes -= allocated_in(context, inode, first, end);
    inode.set(Inode::kDense,
              inode.has(Inode::kDense) && first >= round_up_to_block(inode.size_bytes));
  }
  context.tx.change_data({.what = What::kPunch,
                          .inode_id = inode.id,
                          .offset_bytes = offset_bytes,
                          .length_bytes = length_bytes});
}

void truncate_to(Context& context, Inode& inode, uint64_t size_bytes) {
  const uint64_t kept_end = round_up_to_block(size_bytes);
  const uint64_t dense_end = round_up_to_block(inode.size_bytes);
  if (size_bytes > inode.size_bytes) {
    // Growth makes a hole, unless it stays within the last block.
    if (kept_end > dense_end) inode.set(Inode::kDense, false);
    inode.size_bytes = size_bytes;
    return;
  }
  if (inode.has(Inode::kDense)) {
    inode.allocated_bytes = kept_end;
  } else if (size_bytes == 0) {
    inode.allocated_bytes = 0;
  } else if (inode.allocated_bytes != 0) {
    inode.allocated_bytes -=
        context.tx.store().allocated_bytes(inode.id, kept_end, kFileMaxBytes - kept_end);
  }
  inode.size_bytes = size_bytes;
  if (size_bytes == 0) inode.set(Inode::kDense, true);
  context.tx.change_data({.what = What::kPunch,
                          .inode_id = inode.id,
                          .offset_bytes = size_bytes,
                          .length_bytes = Changes::kToEnd});
}

}  // namespace pairfs
