#include "node/executor/operations/access_time.h"

#include "common/access_check.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/operations.h"

namespace pairfs {

namespace {
constexpr size_t kMostPending = 4096;  // more reads than that between two follow-ups go unnoticed

bool is_due(const Inode& inode, Timestamp now) {
  return is_access_time_due(inode.atime, inode.mtime, inode.ctime, now);
}
}  // namespace

void note_read(Context& context, const Inode& inode) {
  auto& pending = context.state.pending_atimes;
  if (is_due(inode, context.wall_clock) && pending.size() < kMostPending)
    pending.emplace(inode.id, inode.ref());
}

// Only the access time moves, not the change time.
Result<Empty> run(Context& context, UpdateAtime& command) {
  auto loaded = load_inode(context, command.inode);
  if (!loaded) return Errno{kNotLogged};
  Inode& inode = *loaded;
  if (!context.replaying) {
    if (!is_due(inode, context.wall_clock)) return Errno{kNotLogged};
    command.atime = context.state.next_time(context.wall_clock);
  }
  inode.atime = command.atime;
  store_inode(context, inode);
  return Empty{};
}

}  // namespace pairfs
