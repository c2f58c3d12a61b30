#include "fuse/open_table.h"

#include "common/ensure.h"

namespace pairfs {

void OpenTable::opened(InodeRef inode) {
  Entry& entry = entries_[inode];
  ++entry.handles;
  ++entry.counted;
  ++serial_;
}

void OpenTable::opening(InodeRef inode) { ++entries_[inode].opening; }

std::optional<uint32_t> OpenTable::opening_ended(InodeRef inode, unsigned sends) {
  Entry& entry = entries_[inode];
  ENSURE(entry.opening > 0, "inode {:x}", inode.id);
  --entry.opening;
  // Copies beyond the one that was answered may have been executed, too.
  entry.counted += sends > 0 ? sends - 1 : 0;
  return close_if_unused(inode);
}

std::optional<uint32_t> OpenTable::release(InodeRef inode) {
  Entry& entry = entries_[inode];
  ENSURE(entry.handles > 0, "inode {:x}", inode.id);
  --entry.handles;
  return close_if_unused(inode);
}

std::optional<uint32_t> OpenTable::close_if_unused(InodeRef inode) {
  const auto it = entries_.find(inode);
  if (it->second.handles > 0 || it->second.opening > 0) return std::nullopt;
  const uint32_t counted = it->second.counted;
  entries_.erase(it);
  if (counted == 0) return std::nullopt;
  return counted;
}

bool OpenTable::in_use(InodeRef inode) const { return entries_.contains(inode); }

void OpenTable::lose(InodeRef inode) {
  const auto it = entries_.find(inode);
  if (it != entries_.end()) it->second.lost_serial = serial_;
}

bool OpenTable::is_lost(InodeRef inode, uint64_t handle_serial) const {
  const auto it = entries_.find(inode);
  return it != entries_.end() && handle_serial <= it->second.lost_serial;
}

}  // namespace pairfs
