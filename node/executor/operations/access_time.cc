#include "node/executor/operations/access_time.h"

#include "node/executor/inodes.h"
#include "node/executor/operations/operations.h"

namespace pairfs {

namespace {
constexpr int64_t kDaySeconds = 24 * 60 * 60;
constexpr size_t kMostPending = 4096;  // more reads than that between two follow-ups go unnoticed

bool is_due(const Inode& inode, Timestamp now) {
  return inode.atime <= inode.mtime || inode.atime <= inode.ctime ||
         now.seconds - inode.atime.seconds >= kDaySeconds;
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
