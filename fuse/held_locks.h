// Which lock owners may hold locks, so that a close without locks costs no command and an expired
// session's handles are known. It errs on the side of "holds": an owner is noted when a lock is
// asked for, and forgotten when all its locks on the inode are given back. No I/O.
#pragma once

#include <set>
#include <tuple>
#include <vector>

#include "common/types.h"

namespace pairfs {

class HeldLocks {
 public:
  // whole_file: flock(2)'s space, beside fcntl(2)'s.
  void asked(InodeRef inode, uint64_t owner, bool whole_file) {
    held_.emplace(inode, owner, whole_file);
  }
  void unlocked_all(InodeRef inode, uint64_t owner, bool whole_file) {
    held_.erase({inode, owner, whole_file});
  }
  bool may_hold(InodeRef inode, uint64_t owner, bool whole_file) const {
    return held_.contains({inode, owner, whole_file});
  }
  // Forgets the locks on inodes for which `lost` is true; returns those inodes.
  template <class Predicate>
  std::vector<InodeRef> lose(Predicate&& lost) {
    std::vector<InodeRef> inodes;
    std::erase_if(held_, [&](const Entry& entry) {
      if (!lost(std::get<0>(entry))) return false;
      inodes.push_back(std::get<0>(entry));
      return true;
    });
    return inodes;
  }

 private:
  using Entry = std::tuple<InodeRef, uint64_t, bool>;
  std::set<Entry> held_;
};

}  // namespace pairfs
