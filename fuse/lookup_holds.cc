#include "fuse/lookup_holds.h"

namespace pairfs {
namespace {

// The kernel goes on at once, unless its machine is very busy.
constexpr Duration kHoldTime = std::chrono::seconds(1);
// A thread that has ended says nothing about it.
constexpr size_t kThreadsMax = 1024;

}  // namespace

void LookupHolds::told_stale(pid_t thread, Instant now) {
  if (thread <= 0) return;
  if (walk_again_until_.size() >= kThreadsMax)
    std::erase_if(walk_again_until_, [now](const auto& walk) { return walk.second <= now; });
  if (walk_again_until_.size() < kThreadsMax) walk_again_until_[thread] = now + kHoldTime;
}

bool LookupHolds::wanted(pid_t thread, Instant now) const {
  if (walk_again_until_.empty()) return false;
  const auto walk = walk_again_until_.find(thread);
  return walk != walk_again_until_.end() && now < walk->second;
}

void LookupHolds::held(InodeRef inode, Instant now) { holds_.push_back({inode, now + kHoldTime}); }

std::vector<InodeRef> LookupHolds::expired(Instant now) {
  std::vector<InodeRef> out;
  while (!holds_.empty() && holds_.front().until <= now) {
    out.push_back(holds_.front().inode);
    holds_.pop_front();
  }
  return out;
}

Instant LookupHolds::next_wake() const {
  return holds_.empty() ? Instant::max() : holds_.front().until;
}

}  // namespace pairfs
