// Allocate and CopyRange (fallocate(2), copy_file_range(2)).
//
// * fallocate: allocate, keep size, punch hole (with keep size), zero range; other modes
//   EOPNOTSUPP. EINVAL for an empty range, EFBIG beyond 2^63-1, ENODEV for what is no regular file,
//   ENOSPC before anything is allocated.
// * copy_file_range: within one volume; between overlapping ranges of one file EINVAL; shorter than
//   asked at the end of the source or beyond kCopyMaxBytes per command.
// * Both drop privileges as a write does.
#include <fcntl.h>
#include <linux/falloc.h>

#include <algorithm>

#include "node/executor/file_data.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/access_time.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"

namespace pairfs {

namespace {
constexpr uint64_t kCopyMaxBytes = 4 << 20;  // the bytes pass through memory, on the loop

Result<Inode> load_regular(const Context& context, const InodeRef& ref, int other_type) {
  PAIRFS_ASSIGN(Inode inode, load_inode(context, ref));
  if (inode.is_directory()) return Errno{EISDIR};
  if (!inode.is_regular()) return Errno{other_type};
  return inode;
}
}  // namespace

Result<CountReply> run(Context& context, Allocate& command) {
  constexpr uint32_t kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
  const uint32_t mode = command.mode;
  const bool keep_size = (mode & FALLOC_FL_KEEP_SIZE) != 0;
  const uint32_t what = mode & ~static_cast<uint32_t>(FALLOC_FL_KEEP_SIZE);
  if (what != 0 && mode != kPunch && what != FALLOC_FL_ZERO_RANGE) return Errno{EOPNOTSUPP};
  PAIRFS_ASSIGN(Inode inode, load_regular(context, command.inode, ENODEV));
  if (command.length_bytes == 0) return Errno{EINVAL};
  PAIRFS_TRY(check_range(command.offset_bytes, command.length_bytes));
  if (mode == kPunch) {
    punch_range(context, inode, command.offset_bytes, command.length_bytes);
  } else {
    PAIRFS_TRY(admit(context, command.resolved, command.length_bytes));
    const auto fill = what == 0 ? fill_holes : zero_range;
    fill(context, inode, command.offset_bytes, command.length_bytes, !keep_size);
  }
  clear_privileges_as_told(context, inode, command);
  inode.mtime = inode.ctime = command.resolved.now;
  store_inode(context, inode);
  return CountReply{.count = 0, .attributes = attributes_of(inode)};
}

Result<CountReply> run(Context& context, CopyRange& command) {
  PAIRFS_ASSIGN(const Inode source, load_regular(context, command.source, EINVAL));
  PAIRFS_ASSIGN(Inode inode, load_regular(context, command.inode, EINVAL));
  PAIRFS_TRY(check_range(command.source_offset_bytes, command.length_bytes));
  PAIRFS_TRY(check_range(command.offset_bytes, command.length_bytes));
  const uint64_t from = command.source_offset_bytes;
  const uint64_t to = command.offset_bytes;
  if (source.id == inode.id && from < to + command.length_bytes && to < from + command.length_bytes)
    return Errno{EINVAL};
  const uint64_t left = from < source.size_bytes ? source.size_bytes - from : 0;
  const uint64_t length = std::min({command.length_bytes, left, kCopyMaxBytes});
  if (length == 0) return CountReply{.count = 0, .attributes = attributes_of(inode)};
  PAIRFS_TRY(admit(context, command.resolved, round_up_to_block(length)));
  auto bytes = context.tx.store().plan_read(source.id, from, length)->run();
  if (!bytes) {
    // Only this node's elements failed: a replay must not try and succeed.
    if (!context.replaying) command.resolved.refused = static_cast<uint32_t>(bytes.error());
    return bytes.failure();
  }
  write_range(context, inode, to, std::move(*bytes));
  clear_privileges_as_told(context, inode, command);
  inode.mtime = inode.ctime = command.resolved.now;
  store_inode(context, inode);
  return CountReply{.count = length, .attributes = attributes_of(inode)};
}

}  // namespace pairfs
