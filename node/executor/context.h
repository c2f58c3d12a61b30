// What an operation works with: the transaction, the volume's state in memory, and the command's
// circumstances. Lives for one command.
//
// The rule that keeps memory and rows together: an operation changes memory only after the last
// point where it can fail. And the rule that keeps replay exact: whatever an operation takes from
// handles, clocks, waiting locks or store status, it writes into the command (`resolved`), and
// takes from there when `replaying`.
#pragma once

#include <unordered_map>
#include <unordered_set>

#include "common/result.h"
#include "node/executor/executor.h"
#include "node/executor/handle_table.h"
#include "node/executor/intent_table.h"
#include "node/executor/lease_table.h"
#include "node/executor/lock_table.h"
#include "node/executor/session_table.h"
#include "node/executor/slice_table.h"
#include "node/executor/transaction.h"

namespace pairfs {

// Outcomes that never leave the executor, where an operation would give an errno:
// nothing to do, or not yet: the command is not logged. An errno may be added: it is answered.
inline constexpr int kNotLogged = 0x10000;
// A transaction between volumes holds what the command needs: kBusy.
inline constexpr int kHeld = 0x20000;
// The command concerns other volumes: a transaction must carry it out.
inline constexpr int kCrossVolume = 0x30000;

// The volume's state in memory beside the rows.
struct VolumeState {
  SessionTable sessions;
  HandleTable handles;
  LockTable locks;
  IntentTable intents;
  std::vector<VolumeUse> uses;
  Timestamp high_water;  // the latest time given out
  std::unordered_map<Slice, uint64_t> next_inode_number;
  SliceTable slices;
  ClusterMap cluster;  // for the placement of new directories
  ClusterPolicy policy;
  // Access times to be set by UpdateAtime, which the executor issues itself.
  std::unordered_map<uint64_t, InodeRef> pending_atimes;
  LeaseTable leases{0, kLeaseTerm};
  // The inodes that the command under way has looked at.
  struct Seen {
    uint64_t inode_id = 0;
    uint8_t flags = 0;  // Inode::Flag
  };
  std::vector<Seen> seen;
  // Changed by commands that an earlier executor may not have answered yet, as leases that it
  // granted stood in the way. Of interest as long as such leases may exist.
  std::unordered_set<uint64_t> changed_before;
  // ---- writers (LeaseTable) ----
  std::unordered_map<uint64_t, SessionId> noted_writers;    // by NoteWriters, in this epoch
  std::unordered_map<uint64_t, SessionId> wanted_writers;   // to be noted
  std::unordered_map<uint64_t, SessionId> earlier_writers;  // let by earlier executors

  // As of `space_checked`, so that not every command asks the store.
  uint64_t available_bytes = ~0ULL;
  uint64_t log_room_bytes = ~0ULL;  // Executor::set_log_room
  Instant space_checked;

  // A time later than every one given out in the volume.
  Timestamp next_time(Timestamp wall_clock) const {
    return std::max(wall_clock, next_after(high_water));
  }
};

struct Context {
  Transaction& tx;
  VolumeState& state;
  const ExecutorConfig& config;
  const CommandInput& input;
  bool replaying = false;
  Timestamp wall_clock;
  Instant now;
  Executed& out;
  const TransactionId* transaction = nullptr;  // whose intents do not stand in the way
  bool deciding = false;                       // carries out intents: no lock stands in the way
  bool unlogged = false;                       // success, but nothing changed

  bool owns(Slice slice) const { return state.slices.owns(slice); }
  bool owns(const InodeRef& inode) const { return owns(inode.slice()); }
  // kHeld when a transaction has locked the row with this key. A replay meets no locks: what was
  // logged had passed them.
  Status check_free(BytesView key) const {
    if (!replaying && !deciding && state.intents.is_locked(key, transaction)) return Errno{kHeld};
    return success();
  }
  // kHeld when the inode's slice stands still to be given away: what would change there now could
  // miss the copy. Commands name one slice that is looked at before; this is for the others they
  // touch.
  Status check_not_still(Slice slice) const {
    if (!replaying && !deciding && state.slices.is_frozen(slice)) return Errno{kHeld};
    return success();
  }
  Status check_not_pinned(const Inode& directory) const {
    if (!replaying && state.intents.is_pinned(directory.id, transaction)) return Errno{kHeld};
    return success();
  }
  Status check_not_frozen() const {
    if (!replaying && state.intents.is_frozen(transaction)) return Errno{kHeld};
    return success();
  }
};

// ---- space ----
// ENOSPC when `bytes` more would not fit. Decided once, written into `resolved`.
Status admit(Context& context, Resolved& resolved, uint64_t bytes);

}  // namespace pairfs
