// StatFs (statvfs(3)): the space of the volume as the store sees it. There is no fixed number of
// inodes: as many are free as the free bytes could hold.
#include "node/executor/operations/operations.h"

namespace pairfs {

namespace {
constexpr uint64_t kBytesPerInode = 1024;
}

Result<StatFsReply> run(Context& context, StatFs&) {
  const StoreStatus status = context.tx.store().status();
  StatFsReply reply;
  reply.capacity_bytes = status.capacity_bytes;
  reply.free_bytes = status.capacity_bytes - std::min(status.used_bytes, status.capacity_bytes);
  reply.available_bytes = std::min(status.available_bytes, reply.free_bytes);
  reply.inodes = status.capacity_bytes / kBytesPerInode;
  reply.inodes_free = reply.available_bytes / kBytesPerInode;
  return reply;
}

}  // namespace pairfs
