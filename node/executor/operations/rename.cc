// Rename (rename(2), renameat2(2)), in the order of the kernel's vfs_rename().
//
// * Old and new name of the same inode: nothing happens, successfully.
// * Permission to remove the old name, and to make or to remove the new one; a directory that gets
//   another parent must itself be writable, as its ".." changes. Sticky rules on both sides.
// * A directory replaces only an empty directory (ENOTEMPTY, ENOTDIR), another type only a
//   non-directory (EISDIR). A directory cannot move below itself (EINVAL).
// * RENAME_NOREPLACE: EEXIST. RENAME_EXCHANGE: both names must exist, and swap what they stand for.
//   RENAME_WHITEOUT: EINVAL.
// * Times of both directories and change times of the inodes move; "..", and so the parents' link
//   counts, follow a directory.
#include <fcntl.h>
#include <linux/fs.h>

#include "node/executor/directories.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"

namespace pairfs {

namespace {

// The inodes of one rename, each loaded once: with a single parent both sides are the same object.
struct Parents {
  Inode from;
  std::optional<Inode> other;
  Inode& to() { return other ? *other : from; }
  bool same() const { return !other; }
};

Result<Parents> load_parents(const Context& context, const Rename& command) {
  PAIRFS_ASSIGN(Inode from, load_directory(context, command.parent));
  Parents parents{std::move(from), std::nullopt};
  if (command.new_parent != command.parent) {
    PAIRFS_ASSIGN(Inode to, load_directory(context, command.new_parent));
    parents.other = std::move(to);
  }
  return parents;
}

// True when `directory` is `ancestor` or lies below it.
Result<bool> is_below(const Context& context, InodeRef directory, const InodeRef& ancestor) {
  constexpr int kDepthMax = 100'000;  // a circle would be a broken volume
  for (int depth = 0; depth < kDepthMax; ++depth) {
    if (directory == ancestor) return true;
    if (directory.id == kRootInode.id) return false;
    if (!context.owns(directory)) return false;
    PAIRFS_ASSIGN(const Inode inode, load_inode(context, directory));
    directory = inode.parent;
  }
  return Errno{ELOOP};
}

Status check_no_circle(const Context& context, Parents& parents, const Inode& source,
                       const std::optional<Inode>& target, bool exchange) {
  if (parents.same()) return success();
  if (source.is_directory()) {
    PAIRFS_ASSIGN(const bool below, is_below(context, parents.to().ref(), source.ref()));
    if (below) return Errno{EINVAL};
  }
  if (target && target->is_directory()) {
    PAIRFS_ASSIGN(const bool below, is_below(context, parents.from.ref(), target->ref()));
    if (below) return Errno{exchange ? EINVAL : ENOTEMPTY};
  }
  return success();
}

Status check_permissions(const Context& context, Parents& parents, const Inode& source,
                         const std::optional<Inode>& target, const Rename& command,
                         bool exchange) {
  const Credentials& who = command.credentials;
  PAIRFS_TRY(check_may_remove(context, parents.from, source, who, source.is_directory()));
  if (!target) {
    PAIRFS_TRY(check_may_create(context, parents.to(), who));
  } else {
    const bool as_directory = exchange ? target->is_directory() : source.is_directory();
    PAIRFS_TRY(check_may_remove(context, parents.to(), *target, who, as_directory));
  }
  if (parents.same()) return success();
  if (source.is_directory()) PAIRFS_TRY(check_access(context, source, who, W_OK));
  if (exchange && target->is_directory()) PAIRFS_TRY(check_access(context, *target, who, W_OK));
  return success();
}

// The directory `child` hangs below `to` from now on.
void move_below(Inode& child, Inode& from, Inode& to) {
  child.parent = to.ref();
  --from.nlink;
  ++to.nlink;
}

}  // namespace

Result<Empty> run(Context& context, Rename& command) {
  if ((command.flags & ~static_cast<uint32_t>(RENAME_NOREPLACE | RENAME_EXCHANGE)) != 0)
    return Errno{EINVAL};
  const bool exchange = (command.flags & RENAME_EXCHANGE) != 0;
  const bool no_replace = (command.flags & RENAME_NOREPLACE) != 0;
  if (exchange && no_replace) return Errno{EINVAL};
  PAIRFS_ASSIGN(Parents parents, load_parents(context, command));
  Inode& from = parents.from;
  Inode& to = parents.to();
  PAIRFS_TRY(check_access(context, from, command.credentials, X_OK));
  PAIRFS_TRY(check_access(context, to, command.credentials, X_OK));
  PAIRFS_TRY(check_new_name(command.name, EBUSY));
  PAIRFS_TRY(check_new_name(command.new_name, no_replace ? EEXIST : EBUSY));

  PAIRFS_ASSIGN(const EntryRow entry, find_entry(context, from, command.name));
  const auto target_entry = find_entry(context, to, command.new_name);
  if (!target_entry && target_entry.error() != ENOENT) return target_entry.failure();
  if (target_entry && no_replace) return Errno{EEXIST};
  if (!target_entry && exchange) return Errno{ENOENT};
  if (target_entry && target_entry->inode == entry.inode) return Empty{};

  PAIRFS_ASSIGN(Inode source, load_inode(context, entry.inode));
  std::optional<Inode> target;
  if (target_entry) {
    PAIRFS_ASSIGN(target, load_inode(context, target_entry->inode));
  }
  PAIRFS_TRY(check_no_circle(context, parents, source, target, exchange));
  PAIRFS_TRY(check_permissions(context, parents, source, target, command, exchange));
  if (target && !exchange && target->is_directory() && target->entries != 0)
    return Errno{ENOTEMPTY};
  const bool parent_gains = !parents.same() && source.is_directory() &&
                            !(target && target->is_directory());
  if (parent_gains && to.nlink >= kLinksMax) return Errno{EMLINK};
  if (to.nlink == 0) return Errno{ENOENT};

  const Timestamp now = command.resolved.now;
  if (exchange) {
    retarget_entry(context, from, command.name, entry, target->ref(), target->type());
    retarget_entry(context, to, command.new_name, *target_entry, source.ref(), source.type());
    if (target->is_directory() && !parents.same()) move_below(*target, to, from);
    target->ctime = now;
    store_inode(context, *target);
  } else {
    remove_entry(context, from, command.name, entry);
    if (target) {
      retarget_entry(context, to, command.new_name, *target_entry, source.ref(), source.type());
      if (target->is_directory()) {
        --to.nlink;
        target->nlink = 0;
      } else {
        --target->nlink;
      }
      target->ctime = now;
      store_unlinked(context, *target, command.resolved);
    } else {
      add_entry(context, to, command.new_name, source.ref(), source.type());
    }
  }
  if (source.is_directory() && !parents.same()) move_below(source, from, to);
  source.ctime = now;
  store_inode(context, source);
  touch_directory(from, now);
  touch_directory(to, now);
  store_inode(context, from);
  if (!parents.same()) store_inode(context, to);
  return Empty{};
}

}  // namespace pairfs
