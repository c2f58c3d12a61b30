// The locks of a volume in memory, a mirror of their rows, and the SetLock commands that wait.
//
// Two spaces that never conflict with each other: fcntl(2) locks byte ranges, where an owner's new
// lock replaces, splits and joins its own ranges (POSIX fcntl); flock(2) locks the whole file. The
// owner is (session, the kernel's lock owner). Only held locks are logged; waiting is in memory,
// and a client that waits sends its SetLock again to a new executor. Loop thread.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "node/executor/executor.h"

namespace pairfs {

enum class LockSpace : uint8_t { kRanges = 0, kWholeFile = 1 };

struct LockOwner {
  SessionId session = 0;
  LockSpace space = LockSpace::kRanges;
  uint64_t owner = 0;
  friend auto operator<=>(const LockOwner&, const LockOwner&) = default;
};

struct HeldRange {
  uint8_t type = 0;             // F_RDLCK or F_WRLCK
  uint64_t start = 0, end = 0;  // inclusive
  uint32_t pid = 0;
  friend bool operator==(const HeldRange&, const HeldRange&) = default;
};
using HeldRanges = std::vector<HeldRange>;  // sorted, disjoint

// `held` after its owner set `range` (F_UNLCK: released it).
HeldRanges with_range(const HeldRanges& held, const HeldRange& range);

Bytes encode_held_ranges(const HeldRanges& ranges);
std::optional<HeldRanges> decode_held_ranges(BytesView value);

class LockTable {
 public:
  void load(const VolumeStore& store);
  // The locks of one slice, which has come here.
  void load_slice(const VolumeStore& store, Slice slice);
  // Forgets the locks on inodes that are not `here`, and who waits for them.
  void keep_only(const std::function<bool(uint64_t inode_id)>& here);

  // What another owner holds against this range; nullopt: it can be had.
  struct Conflict {
    LockOwner owner;
    HeldRange range;
  };
  std::optional<Conflict> conflict(uint64_t inode_id, const LockOwner& owner,
                                   const HeldRange& range) const;
  const HeldRanges& held(uint64_t inode_id, const LockOwner& owner) const;
  void set_held(uint64_t inode_id, const LockOwner& owner, HeldRanges ranges);
  // Every (inode, owner) that holds something: of a session, or of an inode.
  std::vector<std::pair<uint64_t, LockOwner>> of_session(SessionId session) const;
  std::vector<LockOwner> of_inode(uint64_t inode_id) const;

  // ---- waiting ----
  struct Waiting {
    CommandInput input;
    uint64_t inode_id = 0;
    LockOwner owner;
    HeldRange range;
  };
  // Replaces what waited in the same slot.
  void wait(Waiting waiting);
  void stop_waiting(SessionId session, uint32_t slot);
  void stop_waiting(SessionId session);
  // True when waiting would close a circle of fcntl owners that wait for each other.
  bool would_deadlock(uint64_t inode_id, const LockOwner& owner, const HeldRange& range) const;
  // Those that can be granted now, oldest first; they wait no longer. Cheap when nothing was
  // released since the last call.
  std::vector<CommandInput> take_granted();
  // The one in this slot, when it waits; it waits no longer.
  void cancel(SessionId session, uint32_t slot);

 private:
  void load_rows(const VolumeStore& store, const Bytes& prefix);
  using Owners = std::map<LockOwner, HeldRanges>;
  std::vector<LockOwner> blockers(uint64_t inode_id, const LockOwner& owner,
                                  const HeldRange& range) const;
  std::map<uint64_t, Owners> held_;
  std::list<Waiting> waiting_;
  std::vector<CommandInput> cancelled_;
  bool released_ = false;
};

}  // namespace pairfs
