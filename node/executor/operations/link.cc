// MakeLink and ReadLink (link(2), readlink(2)).
//
// * Directories cannot be linked (EPERM), nor an inode that has no name any more (ENOENT).
// * EEXIST before EACCES, as for any new name; EMLINK at the limit. An inode on
//   another volume is linked by a transaction.
// * Change time of the inode and times of the directory move.
#include "node/executor/directories.h"
#include "node/executor/operations/access_time.h"
#include "node/executor/operations/create.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"

namespace pairfs {

Result<EntryReply> run(Context& context, MakeLink& command) {
  PAIRFS_ASSIGN(Inode parent,
                load_parent_for_new(context, command.parent, command.name, command.credentials));
  if (!context.owns(command.inode)) return Errno{kCrossVolume};
  PAIRFS_ASSIGN(Inode inode, load_inode(context, command.inode));
  if (inode.is_directory()) return Errno{EPERM};
  if (inode.nlink == 0) return Errno{ENOENT};
  if (inode.nlink >= kLinksMax) return Errno{EMLINK};
  PAIRFS_TRY(admit(context, command.resolved, 512));
  ++inode.nlink;
  inode.ctime = command.resolved.now;
  store_inode(context, inode);
  add_entry(context, parent, command.name, inode.ref(), inode.type());
  touch_directory(parent, command.resolved.now);
  store_inode(context, parent);
  return EntryReply{.attributes = attributes_of(inode)};
}

Result<LinkTargetReply> run(Context& context, ReadLink& command) {
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, command.inode));
  if (inode.type() != S_IFLNK) return Errno{EINVAL};
  auto target = context.tx.get(symlink_key(inode.id));
  if (!target) return Errno{EIO};
  note_read(context, inode);
  return LinkTargetReply{LinkTarget(std::move(*target))};
}

}  // namespace pairfs
