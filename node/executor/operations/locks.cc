// SetLock, CancelLock, TestLock (fcntl(2) record locks, flock(2)).
//
// * fcntl locks belong to (session, owner): a new one replaces what the owner had in its range,
//   splitting and joining. flock locks are of the whole file, in a space of their own.
// * A conflict is EAGAIN, or with `wait` the command waits, unlogged, until it can be granted.
//   EDEADLK when fcntl owners would wait for each other in a circle; as that rests on who waits,
//   which is in memory only, it is written into the command.
// * CancelLock stores EINTR as the waiting command's answer, unless it was answered before.
#include <fcntl.h>

#include "common/command_slice.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/operations.h"

namespace pairfs {

namespace {
Result<HeldRange> checked_range(const LockRange& range, bool whole_file) {
  if (range.type != F_RDLCK && range.type != F_WRLCK && range.type != F_UNLCK) return Errno{EINVAL};
  if (range.start > range.end) return Errno{EINVAL};
  if (whole_file) return HeldRange{range.type, 0, ~0ULL, range.pid};
  return HeldRange{range.type, range.start, range.end, range.pid};
}
}  // namespace

Result<Empty> run(Context& context, SetLock& command) {
  if (command.resolved.refused != 0) return Errno{static_cast<int>(command.resolved.refused)};
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, command.inode));
  PAIRFS_ASSIGN(const HeldRange range, checked_range(command.range, command.whole_file));
  LockTable& locks = context.state.locks;
  const RequestId& request = context.input.request;
  const LockOwner owner{request.session,
                        command.whole_file ? LockSpace::kWholeFile : LockSpace::kRanges,
                        command.range.owner};
  if (locks.conflict(inode.id, owner, range)) {
    if (!command.wait) return Errno{EAGAIN};
    if (locks.would_deadlock(inode.id, owner, range)) {
      command.resolved.refused = EDEADLK;
      return Errno{EDEADLK};
    }
    locks.wait({context.input, inode.id, owner, range});
    context.out.waiting = true;
    return Errno{kNotLogged};
  }
  HeldRanges held = with_range(locks.held(inode.id, owner), range);
  Bytes key = lock_key(inode.id, owner.session, static_cast<uint8_t>(owner.space), owner.owner);
  if (held.empty())
    context.tx.erase(std::move(key));
  else
    context.tx.put(std::move(key), encode_held_ranges(held));
  locks.set_held(inode.id, owner, std::move(held));
  return Empty{};
}

Result<Empty> run(Context& context, CancelLock& command) {
  const RequestId& request = context.input.request;
  if (slot_index(command.slot) >= kSlotsPerSession || command.slot == request.slot)
    return Errno{EINVAL};
  Session* session = context.state.sessions.find(request.session);
  if (session == nullptr) return Errno{EIO};
  ReplyRow& last = session->slots[command.slot];
  if (last.sequence >= command.sequence) return Empty{};
  last = {command.sequence, EINTR, {}, context.input.slice};
  context.tx.put(reply_key(request.session, command.slot), encode_reply_row(last));
  context.state.locks.cancel(request.session, command.slot);
  return Empty{};
}

Result<LockReply> run(Context& context, TestLock& command) {
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, command.inode));
  PAIRFS_ASSIGN(const HeldRange range, checked_range(command.range, false));
  const LockOwner owner{context.input.request.session, LockSpace::kRanges, command.range.owner};
  LockReply reply;
  reply.conflict.type = F_UNLCK;
  if (const auto conflict = context.state.locks.conflict(inode.id, owner, range)) {
    const HeldRange& held = conflict->range;
    reply.conflict = {held.type, held.start, held.end, conflict->owner.owner, held.pid};
  }
  return reply;
}

}  // namespace pairfs
