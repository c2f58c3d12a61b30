// SetAttributes (chmod(2), chown(2), truncate(2), utimensat(2)), as setattr_prepare() and
// setattr_copy() of the kernel's fs/attr.c.
//
// * chmod: owner or root (EPERM). setgid falls when the caller is neither root nor in the file's
//   group. An ACL follows the mode.
// * chown: root; an owner may set the group to one of the own. It drops setuid, and setgid of a
//   group-executable file (or when the caller is not in the group), and security.capability.
// * truncate: write permission, unless by an open handle (EISDIR, EINVAL for other types, EFBIG).
//   It drops privileges as a write does, but not for root.
// * Times: an explicit one needs the owner or root (EPERM), both "now" also do with write
//   permission (EACCES).
#include <algorithm>

#include "node/executor/file_data.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"
#include "node/executor/xattr_rows.h"

namespace pairfs {

namespace {
using Valid = SetAttributes::Valid;

bool wants(const SetAttributes& command, uint32_t bits) { return (command.valid & bits) != 0; }

Status check_chown(const Inode& inode, const SetAttributes& command) {
  const Credentials& who = command.credentials;
  if (is_root(who)) return success();
  const bool owner = who.uid == inode.uid;
  if (wants(command, Valid::kUid) && !(owner && command.uid == inode.uid)) return Errno{EPERM};
  if (wants(command, Valid::kGid) &&
      !(owner && (command.gid == inode.gid || in_group(who, command.gid))))
    return Errno{EPERM};
  return success();
}

Status check_times(const Context& context, const Inode& inode, const SetAttributes& command) {
  const uint32_t now = Valid::kAtimeNow | Valid::kMtimeNow;
  if (is_owner(inode, command.credentials)) return success();
  if ((command.valid & now) != now) return Errno{EPERM};
  return check_access(context, inode, command.credentials, W_OK);
}

Status check_size(const Context& context, const Inode& inode, const SetAttributes& command) {
  if (inode.is_directory()) return Errno{EISDIR};
  if (!inode.is_regular()) return Errno{EINVAL};
  if (!wants(command, Valid::kOpenHandle))
    PAIRFS_TRY(check_access(context, inode, command.credentials, W_OK));
  return check_range(command.size_bytes, 0);
}

Status check(const Context& context, const Inode& inode, const SetAttributes& command) {
  if (wants(command, Valid::kUid | Valid::kGid)) PAIRFS_TRY(check_chown(inode, command));
  if (wants(command, Valid::kMode) && !is_owner(inode, command.credentials)) return Errno{EPERM};
  if (wants(command, Valid::kMode) && inode.type() == S_IFLNK) return Errno{EOPNOTSUPP};
  if (wants(command, Valid::kSize)) return check_size(context, inode, command);
  if (wants(command, Valid::kAtime | Valid::kMtime | Valid::kAtimeNow | Valid::kMtimeNow))
    return check_times(context, inode, command);
  return success();
}

Status change_mode(Context& context, Inode& inode, const SetAttributes& command) {
  uint32_t mode = command.mode & 07777U;
  // Linux looks at the group that the file will have.
  if (!is_root(command.credentials) && !in_group(command.credentials, inode.gid))
    mode &= ~static_cast<uint32_t>(S_ISGID);
  inode.mode = inode.type() | mode;
  if (!inode.has(Inode::kAccessAcl)) return success();
  PAIRFS_ASSIGN(auto acl, load_acl(context, inode, false));
  if (acl) {
    apply_chmod(*acl, mode);
    store_acl(context, inode, false, *acl);
  }
  return success();
}

void change_owner(Context& context, Inode& inode, const SetAttributes& command) {
  const bool setgid_falls = loses_setgid(inode, command.credentials);
  if (wants(command, Valid::kUid)) inode.uid = command.uid;
  if (wants(command, Valid::kGid)) inode.gid = command.gid;
  if (inode.is_directory()) return;
  inode.mode &= ~static_cast<uint32_t>(S_ISUID);
  if (setgid_falls) inode.mode &= ~static_cast<uint32_t>(S_ISGID);
  if (inode.has(Inode::kCapability)) erase_xattr(context, inode, kCapabilityName);
}

void change_size(Context& context, Inode& inode, const SetAttributes& command) {
  truncate_to(context, inode, command.size_bytes);
  inode.mtime = command.resolved.now;
  const bool may_keep = is_root(command.credentials) && !wants(command, Valid::kClearPrivileges);
  clear_privileges(context, inode, may_keep ? nullptr : &command.credentials);
}

void change_times(Inode& inode, const SetAttributes& command) {
  if (wants(command, Valid::kAtime)) inode.atime = command.atime;
  if (wants(command, Valid::kMtime)) inode.mtime = command.mtime;
  if (wants(command, Valid::kAtimeNow)) inode.atime = command.resolved.now;
  if (wants(command, Valid::kMtimeNow)) inode.mtime = command.resolved.now;
}
}  // namespace

Result<AttributesReply> run(Context& context, SetAttributes& command) {
  PAIRFS_ASSIGN(Inode inode, load_inode(context, command.inode));
  for (Timestamp* time : {&command.atime, &command.mtime})
    time->nanoseconds = std::min(time->nanoseconds, 999'999'999U);
  PAIRFS_TRY(check(context, inode, command));
  if (wants(command, Valid::kSize)) change_size(context, inode, command);
  // chown(2) that names neither changes no owner, yet drops privileges. Linux refuses it to others;
  // FUSE does not tell it from what a write of theirs asks for, which does the same by itself.
  const bool names_neither = command.valid == 0 && is_owner(inode, command.credentials);
  if (wants(command, Valid::kUid | Valid::kGid) || names_neither)
    change_owner(context, inode, command);
  if (wants(command, Valid::kMode)) PAIRFS_TRY(change_mode(context, inode, command));
  if (wants(command, Valid::kClearPrivileges) && !wants(command, Valid::kMode))
    clear_privileges(context, inode, &command.credentials);
  change_times(inode, command);
  inode.ctime = command.resolved.now;
  store_inode(context, inode);
  return AttributesReply{attributes_of(inode)};
}

}  // namespace pairfs
