// MakeNode and MakeSymlink (mknod(2), symlink(2)), and the making of any inode.
//
// * Needs write and search permission on the parent; EEXIST when the name is there; ENOENT when the
//   parent was removed.
// * Owner is the caller; group is the caller's, or the parent's when the parent has setgid (a
//   directory then gets setgid too, and a file with group execute loses it unless the caller is in
//   the group).
// * A default ACL of the parent takes the umask's place (posix_acl_create()); symlinks have no ACL.
// * Device nodes are root's to make.
#include "node/executor/operations/create.h"

#include "node/executor/directories.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"

namespace pairfs {

namespace {
constexpr uint64_t kDirectoryBytes = kFileBlockBytes;  // st_size and st_blocks of every directory

// inode_init_owner() and mode_strip_sgid() of the kernel.
void set_group(Inode& inode, const Inode& parent, const Credentials& credentials) {
  inode.gid = credentials.gid;
  if ((parent.mode & S_ISGID) == 0) return;
  inode.gid = parent.gid;
  constexpr uint32_t kExecutableSetgid = S_ISGID | S_IXGRP;
  if (inode.is_directory()) {
    inode.mode |= S_ISGID;
  } else if ((inode.mode & kExecutableSetgid) == kExecutableSetgid && !is_root(credentials) &&
             !in_group(credentials, parent.gid)) {
    inode.mode &= ~static_cast<uint32_t>(S_ISGID);
  }
}

Status inherit_acls(const Context& context, NewInode& made, const Inode& parent, uint32_t umask) {
  Inode& inode = made.inode;
  if (inode.type() == S_IFLNK) return success();
  PAIRFS_ASSIGN(auto default_acl, load_acl(context, parent, true));
  if (!default_acl) {
    inode.mode &= ~(umask & 0777U);
    return success();
  }
  made.access_acl = inherit(*default_acl, inode.mode);
  if (!mode_of(made.access_acl).extended) made.access_acl.clear();
  if (inode.is_directory()) made.default_acl = std::move(*default_acl);
  return success();
}
}  // namespace

Result<Inode> load_parent_for_new(const Context& context, const InodeRef& parent, BytesView name,
                                  const Credentials& credentials) {
  PAIRFS_ASSIGN(Inode directory, load_directory(context, parent));
  PAIRFS_TRY(check_access(context, directory, credentials, X_OK));
  PAIRFS_TRY(check_new_name(name, EEXIST));
  const auto entry = find_entry(context, directory, name);
  if (entry) return Errno{EEXIST};
  if (entry.error() != ENOENT) return entry.failure();
  PAIRFS_TRY(check_may_create(context, directory, credentials));
  return directory;
}

Result<NewInode> plan_inode(const Context& context, const Inode& parent, const NewNode& node) {
  NewInode made;
  Inode& inode = made.inode;
  inode.mode = node.mode & (S_IFMT | 07777);
  inode.uid = node.credentials.uid;
  inode.rdev = node.rdev;
  set_group(inode, parent, node.credentials);
  PAIRFS_TRY(inherit_acls(context, made, parent, node.umask));
  if (inode.is_directory()) {
    inode.nlink = 2;
    inode.next_cookie = kFirstCookie;
    inode.parent = parent.ref();
    inode.depth = static_cast<uint8_t>(std::min(parent.depth + 1, 255));
    inode.size_bytes = inode.allocated_bytes = kDirectoryBytes;
  } else {
    inode.nlink = 1;
    inode.set(Inode::kDense, inode.is_regular());
  }
  return made;
}

Inode finish_inode(Context& context, const NewInode& made, const InodeRef& ref,
                   const Timestamp& now) {
  Inode inode = made.inode;
  inode.id = ref.id;
  inode.generation = ref.generation;
  inode.atime = inode.mtime = inode.ctime = now;
  if (!made.access_acl.empty()) store_acl(context, inode, false, made.access_acl);
  if (!made.default_acl.empty()) store_acl(context, inode, true, made.default_acl);
  return inode;
}

Result<Inode> make_inode(Context& context, const Inode& parent, const NewNode& node, Slice slice) {
  PAIRFS_ASSIGN(const NewInode made, plan_inode(context, parent, node));
  PAIRFS_TRY(admit(context, node.resolved, kNewInodeBytes));
  const InodeRef ref = new_inode_ref(context, slice, node.resolved);
  return finish_inode(context, made, ref, node.resolved.now);
}

Result<EntryReply> run(Context& context, MakeNode& command) {
  PAIRFS_ASSIGN(Inode parent,
                load_parent_for_new(context, command.parent, command.name, command.credentials));
  if ((command.mode & S_IFMT) == 0) command.mode |= S_IFREG;
  const uint32_t type = command.mode & S_IFMT;
  const bool device = type == S_IFCHR || type == S_IFBLK;
  if (!device && type != S_IFREG && type != S_IFIFO && type != S_IFSOCK) return Errno{EINVAL};
  const bool whiteout = type == S_IFCHR && command.rdev == 0;
  if (device && !whiteout && !is_root(command.credentials)) return Errno{EPERM};
  const NewNode node{command.name,        command.mode,    command.umask, device ? command.rdev : 0,
                     command.credentials, command.resolved};
  PAIRFS_ASSIGN(const Inode inode, make_inode(context, parent, node, command.parent.slice()));
  store_inode(context, inode);
  add_entry(context, parent, command.name, inode.ref(), type);
  touch_directory(parent, command.resolved.now);
  store_inode(context, parent);
  return EntryReply{.attributes = attributes_of(inode)};
}

Result<EntryReply> run(Context& context, MakeSymlink& command) {
  PAIRFS_ASSIGN(Inode parent,
                load_parent_for_new(context, command.parent, command.name, command.credentials));
  if (command.target.empty()) return Errno{ENOENT};
  const NewNode node{command.name, S_IFLNK | 0777, 0, 0, command.credentials, command.resolved};
  PAIRFS_ASSIGN(Inode inode, make_inode(context, parent, node, command.parent.slice()));
  inode.size_bytes = command.target.size();
  context.tx.put(symlink_key(inode.id), command.target);
  store_inode(context, inode);
  add_entry(context, parent, command.name, inode.ref(), S_IFLNK);
  touch_directory(parent, command.resolved.now);
  store_inode(context, parent);
  return EntryReply{.attributes = attributes_of(inode)};
}

}  // namespace pairfs
