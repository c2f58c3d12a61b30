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
// * What concerns other volumes goes by a transaction.
#include <fcntl.h>
#include <linux/fs.h>

#include <algorithm>

#include "common/test_switch.h"
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
  PAIRFS_ASSIGN(Inode to, load_directory(context, command.new_parent));
  if (command.new_parent == command.parent) return Parents{std::move(to), std::nullopt};
  if (!context.owns(command.parent)) return Errno{kCrossVolume};
  PAIRFS_ASSIGN(Inode from, load_directory(context, command.parent));
  return Parents{std::move(from), std::move(to)};
}

// Where a directory lies, as far as this volume can tell: below `what`, elsewhere for sure, or
// unknown, because the way up leaves the volume.
enum class Below { kYes, kNo, kUnknown };

// The way up from `directory`: each step is shown to `visit`, which ends it by returning true.
// Gives false when it ended at the root, kCrossVolume when it leaves the volume.
template <class Visit>
Result<bool> walk_up(const Context& context, InodeRef directory, Visit&& visit) {
  constexpr int kDepthMax = 100'000;  // a circle would be a broken volume
  for (int depth = 0; depth < kDepthMax; ++depth) {
    if (visit(directory)) return true;
    if (directory.id == kRootInode.id) return false;
    if (!context.owns(directory)) return Errno{kCrossVolume};
    PAIRFS_ASSIGN(const Inode inode, load_inode(context, directory));
    directory = inode.parent;
  }
  return Errno{ELOOP};
}

// A way up that leaves the volume is good enough if it passes an ancestor of `beside`, the moved
// directory's old parent, on this volume: then what moves stays below that ancestor, and nothing
// that other volumes do at the same time can close a circle through it. (A circle needs a directory
// above that ancestor to move below it, whose own walk would pass here.)
Result<Below> is_below(const Context& context, const InodeRef& directory, const InodeRef& what,
                       const InodeRef& beside) {
  std::vector<InodeRef> way;
  const auto met = walk_up(context, directory, [&](const InodeRef& step) {
    way.push_back(step);
    return step == what;
  });
  if (met) return *met ? Below::kYes : Below::kNo;
  if (met.error() != kCrossVolume) return met.failure();
  way.pop_back();  // it is not on this volume
  const auto common = walk_up(context, beside, [&](const InodeRef& step) {
    return std::find(way.begin(), way.end(), step) != way.end();
  });
  if (!common && common.error() != kCrossVolume) return common.failure();
  const bool safe = common && (*common || PAIRFS_MUTANT(half_way_is_safe));
  return safe ? Below::kNo : Below::kUnknown;
}

// A directory may not move below itself; nor while a transaction relies on where directories are.
Status check_no_circle(const Context& context, Parents& parents, const Inode& source,
                       const std::optional<Inode>& target, bool exchange) {
  if (parents.same()) return success();
  const auto check = [&](const Inode& moved, Inode& old_parent, Inode& new_parent) -> Status {
    if (!PAIRFS_MUTANT(rename_ignores_walks)) PAIRFS_TRY(context.check_not_frozen());
    PAIRFS_ASSIGN(const Below below,
                  is_below(context, new_parent.ref(), moved.ref(), old_parent.ref()));
    if (below == Below::kYes) return Errno{EINVAL};
    if (below == Below::kUnknown) return Errno{kCrossVolume};
    return success();
  };
  Inode& from = parents.from;
  Inode& to = parents.to();
  if (source.is_directory()) PAIRFS_TRY(check(source, from, to));
  if (!target || !target->is_directory()) return success();
  if (exchange) return check(*target, to, from);
  // Only an empty directory may be replaced, so one that the source is in is refused anyhow.
  return success();
}

Status check_permissions(const Context& context, Parents& parents, const Inode& source,
                         const std::optional<Inode>& target, const Rename& command, bool exchange) {
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

// Renames within one directory, of inodes that other volumes have: only the entries change, unless
// the sticky bit asks for the inodes' owners or an inode loses its name.
Result<Empty> rename_entries(Context& context, const Rename& command, Inode& directory,
                             const EntryRow& entry, const Result<EntryRow>& target) {
  PAIRFS_TRY(check_access(context, directory, command.credentials, W_OK | X_OK));
  if (target) {
    retarget_entry(context, directory, command.name, entry, target->inode, target->type);
    retarget_entry(context, directory, command.new_name, *target, entry.inode, entry.type);
  } else {
    remove_entry(context, directory, command.name, entry);
    add_entry(context, directory, command.new_name, entry.inode, entry.type);
  }
  touch_directory(directory, command.resolved.now);
  store_inode(context, directory);
  return Empty{};
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

  if (!context.owns(entry.inode) || (target_entry && !context.owns(target_entry->inode))) {
    const bool entries_only =
        parents.same() && (!target_entry || exchange) && !is_owner_only(from, command.credentials);
    if (entries_only) return rename_entries(context, command, from, entry, target_entry);
    return Errno{kCrossVolume};
  }
  PAIRFS_ASSIGN(Inode source, load_inode(context, entry.inode));
  std::optional<Inode> target;
  if (target_entry) {
    PAIRFS_ASSIGN(target, load_inode(context, target_entry->inode));
  }
  PAIRFS_TRY(check_no_circle(context, parents, source, target, exchange));
  PAIRFS_TRY(check_permissions(context, parents, source, target, command, exchange));
  if (target && !exchange && target->is_directory()) {
    if (target->entries != 0) return Errno{ENOTEMPTY};
    PAIRFS_TRY(context.check_not_pinned(*target));
  }
  const bool parent_gains =
      !parents.same() && source.is_directory() && !(target && target->is_directory());
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
      store_unlinked(context, *target, command.resolved, true);
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
