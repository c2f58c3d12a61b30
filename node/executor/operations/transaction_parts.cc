// The parts of a transaction, with the rules of the commands that they are made from: see
// unlink.cc, link.cc, rename.cc, make_directory.cc.
#include "node/executor/operations/transaction_parts.h"

#include "common/test_switch.h"
#include "node/executor/directories.h"
#include "node/executor/operations/create.h"
#include "node/executor/permissions.h"

namespace pairfs {

namespace {
using Part = TransactionPart;

bool has(const Part& part, Part::Flag flag) { return (part.flags & flag) != 0; }

Result<PrepareReply> check_take_name(Context& context, const Prepare& prepare) {
  const Part& part = prepare.part;
  const Credentials& who = prepare.credentials;
  PAIRFS_ASSIGN(const Inode directory, load_directory(context, part.inode));
  PAIRFS_TRY(check_access(context, directory, who, X_OK));
  int dots = EBUSY;
  if (has(part, Part::kWantFile)) dots = EISDIR;
  if (has(part, Part::kWantDirectory)) dots = part.name == "." ? EINVAL : ENOTEMPTY;
  PAIRFS_TRY(check_new_name(part.name, dots));
  PAIRFS_ASSIGN(const EntryRow entry, find_entry(context, directory, part.name));
  PAIRFS_TRY(check_access(context, directory, who, W_OK | X_OK));
  if (has(part, Part::kWantFile) && entry.type == S_IFDIR) return Errno{EISDIR};
  if (has(part, Part::kWantDirectory) && entry.type != S_IFDIR) return Errno{ENOTDIR};
  return PrepareReply{
      .inode = entry.inode, .type = entry.type, .owner_only = is_owner_only(directory, who)};
}

Result<PrepareReply> check_give_name(Context& context, Prepare& prepare) {
  const Part& part = prepare.part;
  const Credentials& who = prepare.credentials;
  PAIRFS_ASSIGN(const Inode directory, load_directory(context, part.inode));
  PAIRFS_TRY(check_access(context, directory, who, X_OK));
  const bool must_be_new = has(part, Part::kNoReplace) || has(part, Part::kNewName);
  PAIRFS_TRY(check_new_name(part.name, must_be_new ? EEXIST : EBUSY));
  const auto entry = find_entry(context, directory, part.name);
  if (!entry) {
    if (entry.error() != ENOENT) return entry.failure();
    PAIRFS_TRY(check_may_create(context, directory, who));
    if (part.type == S_IFDIR && directory.nlink >= kLinksMax) return Errno{EMLINK};
    PAIRFS_TRY(admit(context, prepare.resolved, 512));
    return PrepareReply{};
  }
  if (must_be_new) return Errno{EEXIST};
  if (entry->inode == part.other) return PrepareReply{.inode = entry->inode, .same = true};
  PAIRFS_TRY(check_access(context, directory, who, W_OK | X_OK));
  return PrepareReply{
      .inode = entry->inode, .type = entry->type, .owner_only = is_owner_only(directory, who)};
}

// One side of an exchange; the other side's inode is not known yet with kHoldName.
Result<PrepareReply> check_name_of_exchange(Context& context, const Prepare& prepare) {
  const Part& part = prepare.part;
  const Credentials& who = prepare.credentials;
  PAIRFS_ASSIGN(const Inode directory, load_directory(context, part.inode));
  PAIRFS_TRY(check_access(context, directory, who, X_OK));
  PAIRFS_TRY(check_new_name(part.name, EBUSY));
  PAIRFS_ASSIGN(const EntryRow entry, find_entry(context, directory, part.name));
  const bool same = part.what == Part::kSwapName && entry.inode == part.other;
  if (part.what == Part::kSwapName && !same) {
    PAIRFS_TRY(check_access(context, directory, who, W_OK | X_OK));
    if (part.type == S_IFDIR && entry.type != S_IFDIR && directory.nlink >= kLinksMax)
      return Errno{EMLINK};
  }
  return PrepareReply{.inode = entry.inode,
                      .type = entry.type,
                      .owner_only = is_owner_only(directory, who),
                      .same = same};
}

Result<PrepareReply> check_remove_inode(Context& context, const Prepare& prepare) {
  const Part& part = prepare.part;
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, part.inode));
  if (has(part, Part::kOwnerOnly) && !is_owner(inode, prepare.credentials)) return Errno{EPERM};
  if (inode.nlink == 0) return Errno{ENOENT};
  if (inode.is_directory()) {
    if (inode.id == kRootInode.id) return Errno{EBUSY};
    if (inode.entries != 0) return Errno{ENOTEMPTY};
    if (!PAIRFS_MUTANT(pinned_removed)) PAIRFS_TRY(context.check_not_pinned(inode));
  }
  return PrepareReply{.inode = part.inode, .type = inode.type()};
}

Result<PrepareReply> check_add_link(Context& context, Prepare& prepare) {
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, prepare.part.inode));
  if (inode.is_directory()) return Errno{EPERM};
  if (inode.nlink == 0) return Errno{ENOENT};
  if (inode.nlink >= kLinksMax) return Errno{EMLINK};
  return PrepareReply{.inode = inode.ref(), .type = inode.type()};
}

Result<PrepareReply> check_move_inode(Context& context, const Prepare& prepare) {
  const Part& part = prepare.part;
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, part.inode));
  if (has(part, Part::kOwnerOnly) && !is_owner(inode, prepare.credentials)) return Errno{EPERM};
  if (inode.id == kRootInode.id) return Errno{EBUSY};
  if (part.other.id != 0) {
    PAIRFS_TRY(check_access(context, inode, prepare.credentials, W_OK));
    PAIRFS_TRY(context.check_not_frozen());
  }
  return PrepareReply{.inode = part.inode, .type = inode.type()};
}

Result<PrepareReply> check_make_inode(Context& context, Prepare& prepare) {
  PAIRFS_TRY(admit(context, prepare.resolved, kNewInodeBytes));
  return PrepareReply{.inode = new_inode_ref(context, prepare.slice, prepare.resolved),
                      .type = prepare.part.type};
}

// Every step up on this volume, in one go: nothing moves here from now on until the decision.
Result<PrepareReply> check_walk_up(Context& context, const Prepare& prepare) {
  if (!PAIRFS_MUTANT(walk_ignores_walks)) PAIRFS_TRY(context.check_not_frozen());
  constexpr int kDepthMax = 100'000;
  InodeRef directory = prepare.part.inode;
  for (int depth = 0; depth < kDepthMax; ++depth) {
    if (directory == prepare.part.other) return Errno{EINVAL};
    if (directory.id == kRootInode.id) return PrepareReply{};
    if (!context.owns(directory))
      return PrepareReply{.next = PAIRFS_MUTANT(walk_ends_at_volume) ? InodeRef{} : directory};
    PAIRFS_ASSIGN(const Inode inode, load_directory(context, directory));
    directory = inode.parent;
  }
  return Errno{ELOOP};
}

// The locks kept them there; a volume that lost them anyhow goes on with what is left.
template <class Change>
void change_inode(Context& context, const InodeRef& ref, Change&& change) {
  auto inode = load_inode(context, ref);
  if (inode) change(*inode);
}

void apply_take_name(Context& context, const Part& part, const Timestamp& now) {
  change_inode(context, part.inode, [&](Inode& directory) {
    const auto entry = find_entry(context, directory, part.name);
    if (!entry) return;
    remove_entry(context, directory, part.name, *entry);
    if (entry->type == S_IFDIR) --directory.nlink;
    touch_directory(directory, now);
    store_inode(context, directory);
  });
}

void apply_give_name(Context& context, const Part& part, const Timestamp& now) {
  change_inode(context, part.inode, [&](Inode& directory) {
    const auto old = find_entry(context, directory, part.name);
    if (old) {
      retarget_entry(context, directory, part.name, *old, part.other, part.type);
      if (old->type == S_IFDIR) --directory.nlink;
    } else {
      add_entry(context, directory, part.name, part.other, part.type);
    }
    if (part.type == S_IFDIR) ++directory.nlink;
    touch_directory(directory, now);
    store_inode(context, directory);
  });
}

void apply_swap_name(Context& context, const Part& part, const Timestamp& now) {
  change_inode(context, part.inode, [&](Inode& directory) {
    const auto old = find_entry(context, directory, part.name);
    if (!old) return;
    retarget_entry(context, directory, part.name, *old, part.other, part.type);
    if (old->type == S_IFDIR) --directory.nlink;
    if (part.type == S_IFDIR) ++directory.nlink;
    touch_directory(directory, now);
    store_inode(context, directory);
  });
}

void apply_make_inode(Context& context, const Part& part, const InodeRef& ref,
                      const Timestamp& now) {
  NewInode made;
  Inode& inode = made.inode;
  inode.mode = part.attributes.mode;
  inode.nlink = part.attributes.nlink;
  inode.uid = part.attributes.uid;
  inode.gid = part.attributes.gid;
  inode.size_bytes = part.attributes.size_bytes;
  inode.allocated_bytes = part.attributes.allocated_bytes;
  inode.next_cookie = kFirstCookie;
  inode.parent = part.other;
  inode.depth = part.depth;
  if (!part.access_acl.empty()) made.access_acl = decode_acl(part.access_acl).value_or(Acl{});
  if (!part.default_acl.empty()) made.default_acl = decode_acl(part.default_acl).value_or(Acl{});
  store_inode(context, finish_inode(context, made, ref, now));
}
}  // namespace

Result<PrepareReply> check_part(Context& context, Prepare& prepare) {
  switch (prepare.part.what) {
    case Part::kTakeName:
      return check_take_name(context, prepare);
    case Part::kGiveName:
      return check_give_name(context, prepare);
    case Part::kRemoveInode:
      return check_remove_inode(context, prepare);
    case Part::kAddLink:
      return check_add_link(context, prepare);
    case Part::kMoveInode:
      return check_move_inode(context, prepare);
    case Part::kMakeInode:
      return check_make_inode(context, prepare);
    case Part::kWalkUp:
      return check_walk_up(context, prepare);
    case Part::kHoldName:
    case Part::kSwapName:
      return check_name_of_exchange(context, prepare);
    default:
      return Errno{EIO};
  }
}

void apply_part(Context& context, const Intent& intent, Resolved& resolved) {
  const Part& part = intent.prepare.part;
  const Timestamp now = resolved.now;
  switch (part.what) {
    case Part::kTakeName:
      apply_take_name(context, part, now);
      break;
    case Part::kGiveName:
      apply_give_name(context, part, now);
      break;
    case Part::kMakeInode:
      apply_make_inode(context, part, intent.reply.inode, now);
      break;
    case Part::kSwapName:
      apply_swap_name(context, part, now);
      break;
    case Part::kRemoveInode:
      change_inode(context, part.inode, [&](Inode& inode) {
        inode.nlink = inode.is_directory() ? 0 : inode.nlink - 1;
        inode.ctime = now;
        store_unlinked(context, inode, resolved);
      });
      break;
    case Part::kAddLink:
      change_inode(context, part.inode, [&](Inode& inode) {
        ++inode.nlink;
        inode.ctime = now;
        store_inode(context, inode);
      });
      break;
    case Part::kMoveInode:
      change_inode(context, part.inode, [&](Inode& inode) {
        if (part.other.id != 0) inode.parent = part.other;
        inode.ctime = now;
        store_inode(context, inode);
      });
      break;
    default:
      break;  // kWalkUp and kHoldName only watched
  }
}

}  // namespace pairfs
