// Read, Write, Fsync, Seek (pread(2), pwrite(2), fsync(2), lseek(2)).
//
// * Access was checked when the handle was opened. EISDIR for directories, EINVAL for other types.
// * A read ends at the end of the file. A write beyond it leaves a hole. EFBIG beyond 2^63-1.
// * Each write moves modification and change time to a time never given out before. It drops
//   security.capability and, when the caller says so, setuid and setgid.
// * An append's offset is the size as the executor finds it.
// * SEEK_DATA and SEEK_HOLE: ENXIO from the end of the file on; the end of the file is a hole.
#include <algorithm>

#include "node/executor/file_data.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/access_time.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"

namespace pairfs {

namespace {
Result<Inode> load_file(const Context& context, const InodeRef& ref) {
  PAIRFS_ASSIGN(Inode inode, load_inode(context, ref));
  if (inode.is_directory()) return Errno{EISDIR};
  if (!inode.is_regular()) return Errno{EINVAL};
  return inode;
}
}  // namespace

Result<Empty> run(Context& context, Read& command) {
  PAIRFS_ASSIGN(const Inode inode, load_file(context, command.inode));
  if (command.length_bytes > kIoMaxBytes) return Errno{EINVAL};
  if (command.update_atime) note_read(context, inode);
  if (command.offset_bytes >= inode.size_bytes) return Empty{};
  const uint64_t length =
      std::min<uint64_t>(command.length_bytes, inode.size_bytes - command.offset_bytes);
  if (length != 0)
    context.out.read = context.tx.store().plan_read(inode.id, command.offset_bytes, length);
  return Empty{};
}

Result<CountReply> run(Context& context, Write& command) {
  PAIRFS_ASSIGN(Inode inode, load_file(context, command.inode));
  const SharedBytes& bytes = context.input.bulk;
  if (command.append && !context.replaying) command.offset_bytes = inode.size_bytes;
  PAIRFS_TRY(check_range(command.offset_bytes, bytes.size()));
  if (!bytes.empty()) {
    PAIRFS_TRY(admit(context, command.resolved, round_up_to_block(bytes.size())));
    write_range(context, inode, command.offset_bytes, bytes);
    clear_privileges_as_told(context, inode, command);
    inode.mtime = inode.ctime = command.resolved.now;
    store_inode(context, inode);
  }
  context.out.needs_sync = command.sync;
  return CountReply{.count = bytes.size(), .attributes = attributes_of(inode)};
}

Result<Empty> run(Context& context, Fsync& command) {
  PAIRFS_TRY(load_inode(context, command.inode));
  context.out.needs_sync = true;
  return Empty{};
}

Result<CountReply> run(Context& context, Seek& command) {
  PAIRFS_ASSIGN(const Inode inode, load_file(context, command.inode));
  if (command.whence != SEEK_DATA && command.whence != SEEK_HOLE) return Errno{EINVAL};
  if (command.offset_bytes >= inode.size_bytes) return Errno{ENXIO};
  const bool want_data = command.whence == SEEK_DATA;
  uint64_t found = 0;
  if (inode.has(Inode::kDense)) {
    found = want_data ? command.offset_bytes : inode.size_bytes;
  } else {
    const auto at = context.tx.store().seek(inode.id, command.offset_bytes, want_data);
    if (want_data && (!at || *at >= inode.size_bytes)) return Errno{ENXIO};
    found = std::min(at.value_or(command.offset_bytes), inode.size_bytes);
  }
  return CountReply{.count = found, .attributes = attributes_of(inode)};
}

}  // namespace pairfs
