// Who may do what: common/access_check.h on the executor's inodes, owner and sticky rules as
// Linux's fs/attr.c and fs/namei.c apply them.
#pragma once

#include "common/access_check.h"
#include "node/executor/context.h"

namespace pairfs {

inline AccessSubject subject_of(const Inode& inode) { return {inode.mode, inode.uid, inode.gid}; }
inline bool is_owner(const Inode& inode, const Credentials& credentials) {
  return is_root(credentials) || credentials.uid == inode.uid;
}

// Sticky: only the owner of what a name stands for may take the name away.
inline bool is_owner_only(const Inode& directory, const Credentials& credentials) {
  return (directory.mode & S_ISVTX) != 0 && !is_owner(directory, credentials);
}

// EACCES unless `mask` (R_OK | W_OK | X_OK) is granted. Root may all, but may execute a file only
// when somebody may.
Status check_access(const Context& context, const Inode& inode, const Credentials& credentials,
                    uint32_t mask);
// Making a name: ENOENT in a removed directory, else write and search permission.
Status check_may_create(const Context& context, const Inode& directory,
                        const Credentials& credentials);
// Taking a name away, as may_delete() in fs/namei.c: EACCES; EPERM by the sticky bit; then, with
// `want_directory`, ENOTDIR and EBUSY (the root), else EISDIR.
Status check_may_remove(const Context& context, const Inode& directory, const Inode& victim,
                        const Credentials& credentials, bool want_directory);

// The inode's ACL of this name, when it has one.
Result<std::optional<Acl>> load_acl(const Context& context, const Inode& inode, bool is_default);
// Stores or (empty) removes it, with the flag and the size of names in the inode.
void store_acl(Context& context, Inode& inode, bool is_default, const Acl& acl);

// setgid falls with a change by this caller: the group may execute, or the caller is neither root
// nor in the group. As setattr_should_drop_sgid() in fs/attr.c.
bool loses_setgid(const Inode& inode, const Credentials& caller);
// What a write, truncate or fallocate takes away: security.capability, and setuid and setgid too
// unless the caller has CAP_FSETID (nullptr). Regular files only.
void clear_privileges(Context& context, Inode& inode, const Credentials* caller);
// The same for a command that says so itself.
template <class C>
void clear_privileges_as_told(Context& context, Inode& inode, const C& command) {
  clear_privileges(context, inode, command.clear_privileges ? &command.credentials : nullptr);
}

}  // namespace pairfs
