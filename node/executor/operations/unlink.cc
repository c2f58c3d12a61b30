// Unlink, RemoveDirectory, FreeInode (unlink(2), rmdir(2)).
//
// * Write and search permission on the directory (EACCES), the sticky rule (EPERM), then EISDIR or
//   ENOTDIR; rmdir: ENOTEMPTY, EINVAL for ".", ENOTEMPTY for "..", EBUSY for the root.
// * The name goes; the inode's change time moves. An inode without names that is held open stays as
//   an orphan until the last handle is closed; then FreeInode erases it.
// * What lives on another volume goes by a transaction.
#include "node/executor/directories.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"

namespace pairfs {

Result<Empty> run(Context& context, Unlink& command) {
  PAIRFS_ASSIGN(Inode parent, load_directory(context, command.parent));
  PAIRFS_TRY(check_access(context, parent, command.credentials, X_OK));
  PAIRFS_TRY(check_new_name(command.name, EISDIR));
  PAIRFS_ASSIGN(const EntryRow entry, find_entry(context, parent, command.name));
  if (!context.owns(entry.inode)) return Errno{kCrossVolume};
  PAIRFS_ASSIGN(Inode victim, load_inode(context, entry.inode));
  PAIRFS_TRY(check_may_remove(context, parent, victim, command.credentials, false));
  remove_entry(context, parent, command.name, entry);
  touch_directory(parent, command.resolved.now);
  store_inode(context, parent);
  --victim.nlink;
  victim.ctime = command.resolved.now;
  store_unlinked(context, victim, command.resolved);
  return Empty{};
}

Result<Empty> run(Context& context, RemoveDirectory& command) {
  PAIRFS_ASSIGN(Inode parent, load_directory(context, command.parent));
  PAIRFS_TRY(check_access(context, parent, command.credentials, X_OK));
  PAIRFS_TRY(check_new_name(command.name, command.name == "." ? EINVAL : ENOTEMPTY));
  PAIRFS_ASSIGN(const EntryRow entry, find_entry(context, parent, command.name));
  if (!context.owns(entry.inode)) return Errno{kCrossVolume};
  PAIRFS_ASSIGN(Inode victim, load_inode(context, entry.inode));
  PAIRFS_TRY(check_may_remove(context, parent, victim, command.credentials, true));
  if (victim.entries != 0) return Errno{ENOTEMPTY};
  PAIRFS_TRY(context.check_not_pinned(victim));
  remove_entry(context, parent, command.name, entry);
  --parent.nlink;
  touch_directory(parent, command.resolved.now);
  store_inode(context, parent);
  victim.nlink = 0;
  victim.ctime = command.resolved.now;
  store_unlinked(context, victim, command.resolved);
  return Empty{};
}

Result<Empty> run(Context& context, FreeInode& command) {
  auto inode = load_inode(context, command.inode);
  if (!inode || inode->nlink != 0) return Errno{kNotLogged};
  if (!context.replaying && !context.state.handles.may_free(inode->id)) return Errno{kNotLogged};
  erase_inode(context, *inode);
  return Empty{};
}

}  // namespace pairfs
