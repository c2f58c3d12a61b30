// Which inodes the mount holds open, with how many handles: what a new executor is told
// (DeclareOpens), when an inode's last handle goes (Close), and which handles died with an expired
// session. No I/O and no clock; ClientCore's thread.
//
// The executor counts every Open that it executed. One that was sent twice may have been executed
// twice, so an inode's handles are given back together, by one Close that counts all Opens sent
// since the inode was last closed.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "common/types.h"

namespace pairfs {

class OpenTable {
 public:
  // One more handle.
  void opened(InodeRef inode);
  // An Open of this inode is under way / ended after `sends` sends (call opened() first when it
  // succeeded). The result is as that of release().
  void opening(InodeRef inode);
  std::optional<uint32_t> opening_ended(InodeRef inode, unsigned sends);
  // One handle less. A value: none is left and no Open is under way, so that a Close with this
  // count is due, and the inode is forgotten here.
  std::optional<uint32_t> release(InodeRef inode);
  // True when handles exist or an Open is under way.
  bool in_use(InodeRef inode) const;

  // All inodes with handles for which `wanted` is true, and their counts, in order.
  template <class Predicate>
  std::vector<std::pair<InodeRef, uint32_t>> list(Predicate&& wanted) const {
    std::vector<std::pair<InodeRef, uint32_t>> out;
    for (const auto& [inode, entry] : entries_)
      if (entry.handles > 0 && wanted(inode)) out.emplace_back(inode, entry.handles);
    return out;
  }
  // After a declaration the executor counts exactly the handles that it was told.
  template <class Predicate>
  void declared(Predicate&& wanted) {
    for (auto& [inode, entry] : entries_)
      if (wanted(inode)) entry.counted = entry.handles;
  }

  // Grows with every handle: a handle keeps the value that it was opened at.
  uint64_t serial() const { return serial_; }
  // The handles of the inode that exist now are dead: the server forgot what they rest on.
  void lose(InodeRef inode);
  bool is_lost(InodeRef inode, uint64_t handle_serial) const;

 private:
  struct Entry {
    uint32_t handles = 0;
    uint32_t opening = 0;
    uint32_t counted = 0;      // what the executor may count at most
    uint64_t lost_serial = 0;  // handles up to this serial are dead
  };
  std::optional<uint32_t> close_if_unused(InodeRef inode);

  std::map<InodeRef, Entry> entries_;
  uint64_t serial_ = 0;
};

}  // namespace pairfs
