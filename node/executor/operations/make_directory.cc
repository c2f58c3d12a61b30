// MakeDirectory (mkdir(2)).
//
// The rules of making a node; besides, the parent's link count grows by the new "..", and is
// limited (EMLINK). setuid and setgid in the wanted mode are ignored, sticky is not.
#include "node/executor/directories.h"
#include "node/executor/operations/create.h"
#include "node/executor/operations/operations.h"

namespace pairfs {

Result<EntryReply> run(Context& context, MakeDirectory& command) {
  PAIRFS_ASSIGN(Inode parent, load_parent_for_new(context, command.parent, command.name,
                                                  command.credentials));
  if (parent.nlink >= kLinksMax) return Errno{EMLINK};
  const NewNode node{command.name, S_IFDIR | (command.mode & (0777U | S_ISVTX)),
                     command.umask, 0, command.credentials, command.resolved};
  PAIRFS_ASSIGN(const Inode inode, make_inode(context, parent, node, command.parent.slice()));
  store_inode(context, inode);
  add_entry(context, parent, command.name, inode.ref(), S_IFDIR);
  ++parent.nlink;
  touch_directory(parent, command.resolved.now);
  store_inode(context, parent);
  return EntryReply{.attributes = attributes_of(inode)};
}

}  // namespace pairfs
