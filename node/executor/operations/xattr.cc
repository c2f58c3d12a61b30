// GetXattr, ListXattr, SetXattr, RemoveXattr (xattr(7), acl(5)), as fs/xattr.c and fs/posix_acl.c.
//
// * user.*: only on regular files (with read or write permission on them) and directories (in a
//   sticky one the owner alone may change them); on other types EPERM, and ENODATA for reading.
// * trusted.*: root; nobody else even sees the names. security.*: all read, root writes.
// * system.posix_acl_access and _default: the owner changes them; an ACL that the mode bits can
//   say is not stored; default ACLs are the directories' (EACCES). Where an ACL stays as it was,
//   none, no time moves. Other names: EOPNOTSUPP.
// * XATTR_CREATE: EEXIST; XATTR_REPLACE and removal: ENODATA. All names of an inode together may
//   take what listxattr(2) can carry, 64 KiB: ENOSPC.
#include <sys/xattr.h>

#include "common/row_codec.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"
#include "node/executor/xattr_rows.h"

namespace pairfs {

namespace {
// May the caller read (R_OK) or change (W_OK) this attribute?
Status check_xattr(const Context& context, const Inode& inode, BytesView name,
                   const Credentials& who, uint32_t mask) {
  return check_xattr_access(subject_of(inode), name, who, mask,
                            [&] { return check_access(context, inode, who, mask); });
}

// False: nothing changes.
Result<bool> set_acl(Context& context, Inode& inode, const SetXattr& command) {
  const bool is_default = command.name == kDefaultAclName;
  const auto acl = decode_acl(command.value);
  if (!acl) return Errno{EINVAL};
  if (is_default) {
    if (!inode.is_directory()) {
      if (!acl->empty()) return Errno{EACCES};
      return false;
    }
    const bool changes = !acl->empty() || inode.has(Inode::kDefaultAcl);
    store_acl(context, inode, true, *acl);
    return changes;
  }
  const bool had_one = inode.has(Inode::kAccessAcl);
  if (acl->empty()) {
    store_acl(context, inode, false, *acl);
    return had_one;
  }
  const AclMode mode = mode_of(*acl);
  const uint32_t old_mode = inode.mode;
  inode.mode = (inode.mode & ~0777U) | mode.bits;
  if (!is_root(command.credentials) && !in_group(command.credentials, inode.gid))
    inode.mode &= ~static_cast<uint32_t>(S_ISGID);
  store_acl(context, inode, false, mode.extended ? *acl : Acl{});
  return mode.extended || had_one || inode.mode != old_mode;
}

Result<bool> set_plain(Context& context, Inode& inode, const SetXattr& command) {
  const bool exists = context.tx.get(xattr_key(inode.id, command.name)).has_value();
  if (exists && (command.flags & XATTR_CREATE) != 0) return Errno{EEXIST};
  if (!exists && (command.flags & XATTR_REPLACE) != 0) return Errno{ENODATA};
  if (!exists && inode.xattr_names_bytes + command.name.size() + 1 > kXattrValueMaxBytes)
    return Errno{ENOSPC};
  put_xattr(context, inode, command.name, command.value);
  return true;
}
}  // namespace

Result<XattrReply> run(Context& context, GetXattr& command) {
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, command.inode));
  PAIRFS_TRY(check_xattr(context, inode, command.name, command.credentials, R_OK));
  if (inode.xattr_names_bytes == 0) return Errno{ENODATA};
  auto value = context.tx.get(xattr_key(inode.id, command.name));
  if (!value) return Errno{ENODATA};
  return XattrReply{XattrValue(std::move(*value))};
}

Result<XattrReply> run(Context& context, ListXattr& command) {
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, command.inode));
  XattrReply reply;
  if (inode.xattr_names_bytes == 0) return reply;
  const Bytes first = xattr_key(inode.id, {});
  context.tx.store().scan(first, after_prefix(first), [&](BytesView key, BytesView) {
    const BytesView name = key.substr(first.size());
    if (name.starts_with("trusted.") && !is_root(command.credentials)) return true;
    reply.value.append(name).push_back('\0');
    return true;
  });
  return reply;
}

Result<Empty> run(Context& context, SetXattr& command) {
  PAIRFS_ASSIGN(Inode inode, load_inode(context, command.inode));
  PAIRFS_TRY(check_xattr(context, inode, command.name, command.credentials, W_OK));
  if ((command.flags & ~static_cast<uint32_t>(XATTR_CREATE | XATTR_REPLACE)) != 0)
    return Errno{EINVAL};
  PAIRFS_TRY(admit(context, command.resolved, command.value.size() + 512));
  PAIRFS_ASSIGN(const bool changes, is_acl_name(command.name) ? set_acl(context, inode, command)
                                                              : set_plain(context, inode, command));
  if (!changes) return Empty{};
  inode.ctime = command.resolved.now;
  store_inode(context, inode);
  return Empty{};
}

Result<Empty> run(Context& context, RemoveXattr& command) {
  PAIRFS_ASSIGN(Inode inode, load_inode(context, command.inode));
  PAIRFS_TRY(check_xattr(context, inode, command.name, command.credentials, W_OK));
  const bool exists = context.tx.get(xattr_key(inode.id, command.name)).has_value();
  if (!exists && !is_acl_name(command.name)) return Errno{ENODATA};
  if (!exists) return Empty{};
  erase_xattr(context, inode, command.name);
  inode.ctime = command.resolved.now;
  store_inode(context, inode);
  return Empty{};
}

}  // namespace pairfs
