#include "node/executor/permissions.h"

#include "node/executor/inodes.h"
#include "node/executor/xattr_rows.h"

namespace pairfs {

Result<std::optional<Acl>> load_acl(const Context& context, const Inode& inode, bool is_default) {
  if (!inode.has(is_default ? Inode::kDefaultAcl : Inode::kAccessAcl))
    return std::optional<Acl>(std::nullopt);
  const auto value =
      context.tx.get(xattr_key(inode.id, is_default ? kDefaultAclName : kAccessAclName));
  if (!value) return Errno{EIO};
  auto acl = decode_acl(*value);
  if (!acl) return Errno{EIO};
  return acl;
}

void store_acl(Context& context, Inode& inode, bool is_default, const Acl& acl) {
  const char* name = is_default ? kDefaultAclName : kAccessAclName;
  if (acl.empty())
    erase_xattr(context, inode, name);
  else
    put_xattr(context, inode, name, encode_acl(acl));
}

Status check_access(const Context& context, const Inode& inode, const Credentials& credentials,
                    uint32_t mask) {
  return check_subject_access(subject_of(inode), credentials, mask,
                              [&] { return load_acl(context, inode, false); });
}

Status check_may_create(const Context& context, const Inode& directory,
                        const Credentials& credentials) {
  if (directory.nlink == 0) return Errno{ENOENT};
  return check_access(context, directory, credentials, W_OK | X_OK);
}

Status check_may_remove(const Context& context, const Inode& directory, const Inode& victim,
                        const Credentials& credentials, bool want_directory) {
  PAIRFS_TRY(check_access(context, directory, credentials, W_OK | X_OK));
  if (is_owner_only(directory, credentials) && credentials.uid != victim.uid) return Errno{EPERM};
  if (want_directory && !victim.is_directory()) return Errno{ENOTDIR};
  if (want_directory && victim.ref().id == kRootInode.id) return Errno{EBUSY};
  if (!want_directory && victim.is_directory()) return Errno{EISDIR};
  return success();
}

bool loses_setgid(const Inode& inode, const Credentials& caller) {
  return (inode.mode & S_IXGRP) != 0 || (!is_root(caller) && !in_group(caller, inode.gid));
}

void clear_privileges(Context& context, Inode& inode, const Credentials* caller) {
  if (!inode.is_regular()) return;
  if (caller != nullptr) {
    inode.mode &= ~static_cast<uint32_t>(S_ISUID);
    if (loses_setgid(inode, *caller)) inode.mode &= ~static_cast<uint32_t>(S_ISGID);
  }
  if (inode.has(Inode::kCapability)) erase_xattr(context, inode, kCapabilityName);
}

}  // namespace pairfs
