// Who may do what with an inode: mode bits, ACLs and the rules of extended attributes, as Linux's
// generic_permission() and fs/xattr.c apply them. The executor decides by these functions, and so
// does a mount that answers from what it holds under a lease. Root (uid 0) has every capability;
// nobody else has one. The caller's supplementary groups count. No state; any thread.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "common/acl.h"
#include "common/commands.h"
#include "common/result.h"

namespace pairfs {

// What access is decided by, besides an ACL.
struct AccessSubject {
  uint32_t mode = 0;  // as st_mode
  uint32_t uid = 0;
  uint32_t gid = 0;
};
inline AccessSubject access_subject(const Attributes& attributes) {
  return {attributes.mode, attributes.uid, attributes.gid};
}

inline bool is_root(const Credentials& credentials) { return credentials.uid == 0; }
inline bool is_owner(const AccessSubject& subject, const Credentials& credentials) {
  return is_root(credentials) || credentials.uid == subject.uid;
}

// EACCES unless `mask` (R_OK | W_OK | X_OK) is granted. Root may all, but may execute a file only
// when somebody may. `load_acl` gives the access ACL, a Result<std::optional<Acl>>; it is called
// only when the ACL decides, and its errno is passed on.
template <class LoadAcl>
Status check_subject_access(const AccessSubject& subject, const Credentials& credentials,
                            uint32_t mask, LoadAcl&& load_acl) {
  const auto granted = [mask](uint32_t bits) -> Status {
    if ((bits & 7 & mask) == mask) return success();
    return Errno{EACCES};
  };
  if (mask == 0) return success();
  if (is_root(credentials)) {
    const bool executable = S_ISDIR(subject.mode) || (subject.mode & 0111) != 0;
    if ((mask & X_OK) != 0 && !executable) return Errno{EACCES};
    return success();
  }
  if (credentials.uid == subject.uid) return granted(subject.mode >> 6);
  // Without a group bit (the ACL's mask) the ACL can grant nothing, so it is not even read.
  if ((subject.mode & 070) != 0) {
    PAIRFS_ASSIGN(const std::optional<Acl> acl, load_acl());
    if (acl) {
      if (acl_allows(*acl, subject.uid, subject.gid, credentials, mask)) return success();
      return Errno{EACCES};
    }
  }
  return granted(in_group(credentials, subject.gid) ? subject.mode >> 3 : subject.mode);
}

inline bool is_acl_name(BytesView name) {
  return name == kAccessAclName || name == kDefaultAclName;
}

// May the caller read (R_OK) or change (W_OK) the extended attribute of this name? `check` decides
// about R_OK and W_OK on the inode itself, where the attribute's kind asks for it.
template <class CheckAccess>
Status check_xattr_access(const AccessSubject& subject, BytesView name, const Credentials& who,
                          uint32_t mask, CheckAccess&& check) {
  const bool writes = mask == W_OK;
  if (is_acl_name(name)) {
    if (S_ISLNK(subject.mode)) return Errno{EOPNOTSUPP};
    if (writes && !is_owner(subject, who)) return Errno{EPERM};
    return success();
  }
  if (name.starts_with("user.")) {
    if (!S_ISREG(subject.mode) && !S_ISDIR(subject.mode)) return Errno{writes ? EPERM : ENODATA};
    if (writes && S_ISDIR(subject.mode) && (subject.mode & S_ISVTX) != 0 && !is_owner(subject, who))
      return Errno{EPERM};
    PAIRFS_TRY(check());
    if (name.size() == 5) return Errno{EINVAL};
    return success();
  }
  if (name.starts_with("trusted.")) {
    if (name.size() == 8) return Errno{EINVAL};
    if (!is_root(who)) return Errno{writes ? EPERM : ENODATA};
    return success();
  }
  if (name.starts_with("security.")) {
    if (name.size() == 9) return Errno{EINVAL};
    if (writes && !is_root(who)) return Errno{EPERM};
    return success();
  }
  PAIRFS_TRY(check());
  return Errno{EOPNOTSUPP};
}

// Reading moves the access time (relatime): it is not newer than the last change, or a day old.
inline bool is_access_time_due(const Timestamp& atime, const Timestamp& mtime,
                               const Timestamp& ctime, const Timestamp& now) {
  constexpr int64_t kDaySeconds = 24 * 60 * 60;
  return atime <= mtime || atime <= ctime || now.seconds - atime.seconds >= kDaySeconds;
}

}  // namespace pairfs
