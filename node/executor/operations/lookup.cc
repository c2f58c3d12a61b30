// Lookup, GetAttributes, Access (path_resolution(7), stat(2), access(2)).
//
// A lookup needs search permission on the directory. "." and ".." are answered although no rows
// stand for them; ".." of the root is the root. Attributes need no permission on the inode itself.
#include "node/executor/directories.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"

namespace pairfs {

namespace {
Result<EntryReply> entry_reply(const Context& context, const InodeRef& ref, uint32_t type) {
  if (!context.owns(ref))
    return EntryReply{.attributes = {.inode = ref, .mode = type}, .remote = true};
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, ref));
  return EntryReply{.attributes = attributes_of(inode)};
}
}  // namespace

Result<EntryReply> run(Context& context, Lookup& command) {
  PAIRFS_ASSIGN(const Inode parent, load_directory(context, command.parent));
  PAIRFS_TRY(check_access(context, parent, command.credentials, X_OK));
  PAIRFS_TRY(check_name(command.name));
  if (command.name == ".") return EntryReply{.attributes = attributes_of(parent)};
  if (command.name == "..") return entry_reply(context, parent.parent, S_IFDIR);
  PAIRFS_ASSIGN(const EntryRow entry, find_entry(context, parent, command.name));
  return entry_reply(context, entry.inode, entry.type);
}

Result<AttributesReply> run(Context& context, GetAttributes& command) {
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, command.inode));
  return AttributesReply{attributes_of(inode)};
}

Result<Empty> run(Context& context, Access& command) {
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, command.inode));
  PAIRFS_TRY(check_access(context, inode, command.credentials, command.mask & 7));
  return Empty{};
}

}  // namespace pairfs
