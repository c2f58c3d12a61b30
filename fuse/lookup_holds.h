// What lookups hold open at the executor, so that it is still there when the kernel comes to use
// it.
//
// The kernel uses what a lookup found in a request of its own. When that was removed or replaced in
// between, the answer is ESTALE, and the kernel walks the path once more; with luck like that twice
// a program would see the error, where no local filesystem gives one. So what a thread looks up
// soon after such an answer is opened, and closed again a moment later. No I/O and no clock; the
// loop's thread.
#pragma once

#include <sys/types.h>

#include <deque>
#include <unordered_map>
#include <vector>

#include "common/types.h"

namespace pairfs {

class LookupHolds {
 public:
  // A request of this thread is answered ESTALE.
  void told_stale(pid_t thread, Instant now);
  // Whether what this thread looks up is to be held.
  bool wanted(pid_t thread, Instant now) const;
  // A lookup opened the inode; its handle is the caller's to release when expired() names it.
  void held(InodeRef inode, Instant now);
  // What has been held for long enough, and is not known here any more.
  std::vector<InodeRef> expired(Instant now);
  Instant next_wake() const;  // Instant::max(): nothing is held

 private:
  struct Hold {
    InodeRef inode;
    Instant until;
  };
  std::unordered_map<pid_t, Instant> walk_again_until_;
  std::deque<Hold> holds_;  // in the order of their ends
};

}  // namespace pairfs
