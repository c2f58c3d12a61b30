// What making a node of any type has in common (create.cc, make_directory.cc).
#pragma once

#include "common/acl.h"
#include "node/executor/inodes.h"

namespace pairfs {

struct NewNode {
  BytesView name;
  uint32_t mode = 0;  // type and wanted permission bits, before umask
  uint32_t umask = 0;
  uint64_t rdev = 0;
  const Credentials& credentials;
  Resolved& resolved;
};

// The directory in which `name` may be made: EEXIST before EACCES, as in Linux.
Result<Inode> load_parent_for_new(const Context& context, const InodeRef& parent, BytesView name,
                                  const Credentials& credentials);
inline constexpr uint64_t kNewInodeBytes = 1024;  // of rows, roughly

// What a new inode will be, before it has an id.
struct NewInode {
  Inode inode;
  Acl access_acl, default_acl;  // empty: none
};
// Owner, group, mode and ACLs as the parent gives them.
Result<NewInode> plan_inode(const Context& context, const Inode& parent, const NewNode& node);
// With its id, and its ACLs' rows; the caller stores the inode.
Inode finish_inode(Context& context, const NewInode& made, const InodeRef& ref,
                   const Timestamp& now);
// A new inode in `slice`, with owner, group, mode and ACLs as its parent gives them. Its entry and
// the parent are not touched; the caller stores the inode. Nothing can fail after this but EIO.
Result<Inode> make_inode(Context& context, const Inode& parent, const NewNode& node, Slice slice);

}  // namespace pairfs
