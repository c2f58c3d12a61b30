// MakeDirectory (mkdir(2)).
//
// The rules of making a node; besides, the parent's link count grows by the new "..", and is
// limited (EMLINK). setuid and setgid in the wanted mode are ignored, sticky is not. A directory
// that is placed on another volume is made by a transaction, to the plan that is made here.
#include "common/codec.h"
#include "node/executor/directories.h"
#include "node/executor/operations/create.h"
#include "node/executor/operations/operations.h"
#include "node/executor/placement.h"

namespace pairfs {

namespace {
// What the other volume is to make; the id says only the slice.
TransactionPart part_to_make(const NewInode& made, Slice slice) {
  TransactionPart part;
  part.what = TransactionPart::kMakeInode;
  part.inode.id = make_inode_id(slice, 0);
  part.other = made.inode.parent;
  part.type = S_IFDIR;
  part.attributes = attributes_of(made.inode);
  part.depth = made.inode.depth;
  if (!made.access_acl.empty()) part.access_acl = encode_acl(made.access_acl);
  if (!made.default_acl.empty()) part.default_acl = encode_acl(made.default_acl);
  return part;
}
}  // namespace

Result<EntryReply> run(Context& context, MakeDirectory& command) {
  PAIRFS_ASSIGN(Inode parent,
                load_parent_for_new(context, command.parent, command.name, command.credentials));
  if (parent.nlink >= kLinksMax) return Errno{EMLINK};
  const NewNode node{command.name,        S_IFDIR | (command.mode & (0777U | S_ISVTX)),
                     command.umask,       0,
                     command.credentials, command.resolved};
  Slice slice = parent.ref().slice();
  if (context.replaying)
    slice = command.resolved.inode.slice();
  else if (context.config.transactions)
    slice = place_directory(context, parent, command.name);
  if (!context.replaying && !context.owns(slice)) {
    PAIRFS_ASSIGN(const NewInode made, plan_inode(context, parent, node));
    context.out.reply = encode(part_to_make(made, slice));
    return Errno{kCrossVolume};
  }
  PAIRFS_TRY(context.check_not_still(slice));
  PAIRFS_ASSIGN(const Inode inode, make_inode(context, parent, node, slice));
  store_inode(context, inode);
  add_entry(context, parent, command.name, inode.ref(), S_IFDIR);
  ++parent.nlink;
  touch_directory(parent, command.resolved.now);
  store_inode(context, parent);
  return EntryReply{.attributes = attributes_of(inode)};
}

}  // namespace pairfs
