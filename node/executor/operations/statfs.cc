// StatFs (statvfs(3)): the space of the volume as the store sees it. There is no fixed number of
// inodes: as many are free as the free bytes could hold.
#include <algorithm>

#include "node/executor/operations/operations.h"

namespace pairfs {

namespace {
constexpr uint64_t kBytesPerInode = 1024;
}

Result<StatFsReply> run(Context& context, StatFs&) {
  const StoreStatus status = context.tx.store().status();
  StatFsReply reply;
  reply.available_bytes = status.available_bytes - std::min(status.available_bytes, kReserveBytes);
  reply.free_bytes = reply.available_bytes;
  reply.capacity_bytes = status.used_bytes + reply.available_bytes;
  reply.inodes = reply.capacity_bytes / kBytesPerInode;
  reply.inodes_free = reply.available_bytes / kBytesPerInode;
  reply.space = status.space;
  reply.space.withheld_bytes += kReserveBytes;
  return reply;
}

}  // namespace pairfs
