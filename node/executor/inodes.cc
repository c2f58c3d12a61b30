#include "node/executor/inodes.h"

#include "common/row_codec.h"
#include "common/test_switch.h"
#include "node/executor/lease_grants.h"

namespace pairfs {

Status admit(Context& context, Resolved& resolved, uint64_t bytes) {
  VolumeState& state = context.state;
  if (!context.replaying && resolved.refused == 0) {
    // The store is asked again every 100 ms, and at once when little is left.
    if (context.now - state.space_checked > std::chrono::milliseconds(100) ||
        state.space_checked == Instant{} || state.available_bytes < bytes + 16 * kReserveBytes) {
      state.available_bytes = context.tx.store().status().available_bytes;
      state.space_checked = context.now;
    }
    const uint64_t log_bytes = std::min(bytes, uint64_t{1} << 20);  // no record has more
    if (state.available_bytes < kReserveBytes || state.available_bytes - kReserveBytes < bytes ||
        state.log_room_bytes < log_bytes)
      resolved.refused = ENOSPC;
    else
      state.available_bytes -= bytes;
  }
  if (resolved.refused != 0) return Errno{static_cast<int>(resolved.refused)};
  return success();
}

Result<Inode> load_inode(const Context& context, const InodeRef& ref) {
  if (!context.owns(ref)) return Errno{EXDEV};
  if (!PAIRFS_MUTANT(still_slice_changed)) PAIRFS_TRY(context.check_not_still(ref.slice()));
  const Bytes key = inode_key(ref.id);
  PAIRFS_TRY(context.check_free(key));
  const auto value = context.tx.get(key);
  if (!value) return Errno{ESTALE};
  auto inode = decode_inode(ref.id, *value);
  if (!inode) return Errno{EIO};
  if (inode->generation != ref.generation) return Errno{ESTALE};
  if (inode->is_regular()) PAIRFS_TRY(check_not_written_behind(context, ref.id));
  context.state.seen.push_back({ref.id, inode->flags});
  return std::move(*inode);
}

Result<Inode> load_directory(const Context& context, const InodeRef& ref) {
  PAIRFS_ASSIGN(Inode inode, load_inode(context, ref));
  if (!inode.is_directory()) return Errno{ENOTDIR};
  return inode;
}

void store_inode(Context& context, const Inode& inode) {
  context.tx.put(inode_key(inode.id), encode_inode(inode));
}

Attributes attributes_of(const Inode& inode) {
  return {.inode = inode.ref(),
          .mode = inode.mode,
          .nlink = inode.nlink,
          .uid = inode.uid,
          .gid = inode.gid,
          .rdev = inode.rdev,
          .size_bytes = inode.size_bytes,
          .allocated_bytes = inode.allocated_bytes,
          .atime = inode.atime,
          .mtime = inode.mtime,
          .ctime = inode.ctime};
}

InodeRef new_inode_ref(Context& context, Slice slice, Resolved& resolved) {
  auto& counters = context.state.next_inode_number;
  auto counter = counters.find(slice);
  if (counter == counters.end()) {
    uint64_t next = 1;
    if (const auto row = context.tx.get(slice_counter_key(slice)))
      next = decode_u64(*row).value_or(1);
    counter = counters.emplace(slice, next).first;
  }
  if (!context.replaying)
    resolved.inode = {make_inode_id(slice, counter->second), context.config.epoch};
  counter->second = (resolved.inode.id & 0xffff'ffff'ffffULL) + 1;
  context.tx.put(slice_counter_key(slice), encode_u64(counter->second));
  return resolved.inode;
}

void store_unlinked(Context& context, Inode& inode, Resolved& resolved, bool replaced) {
  if (inode.nlink > 0) {
    store_inode(context, inode);
    return;
  }
  const bool grace = replaced && inode.is_regular();
  if (!context.replaying) resolved.free_inode = !grace && context.state.handles.may_free(inode.id);
  if (resolved.free_inode) {
    erase_inode(context, inode);
  } else {
    store_inode(context, inode);
    context.tx.put(orphan_key(inode.id), {});
    context.state.handles.add_orphan(
        inode.id, grace && !context.replaying ? context.now + kReplacedGrace : Instant{});
  }
}

void erase_inode(Context& context, const Inode& inode) {
  Transaction& tx = context.tx;
  tx.erase(inode_key(inode.id));
  if (inode.is_regular() && (inode.size_bytes != 0 || inode.allocated_bytes != 0))
    tx.change_data({.what = Changes::Data::What::kDrop, .inode_id = inode.id});
  if (inode.type() == S_IFLNK) tx.erase(symlink_key(inode.id));
  if (inode.xattr_names_bytes != 0) {
    const Bytes first = xattr_key(inode.id, {});
    tx.store().scan(first, after_prefix(first), [&](BytesView key, BytesView) {
      tx.erase(Bytes(key));
      return true;
    });
  }
  for (const LockOwner& owner : context.state.locks.of_inode(inode.id)) {
    tx.erase(lock_key(inode.id, owner.session, static_cast<uint8_t>(owner.space), owner.owner));
    context.state.locks.set_held(inode.id, owner, {});
  }
  if (context.state.handles.is_orphan(inode.id)) {
    tx.erase(orphan_key(inode.id));
    context.state.handles.remove_orphan(inode.id);
  }
}

}  // namespace pairfs
