// Executes the commands of one volume on its store: POSIX semantics, exactly-once replies,
// sessions, open handles, locks. Deterministic: the same commands in the same order give the same
// state, the same replies and the same outcome crc; time and randomness come in as arguments.
//
// What it does not do: logging, waiting for the partner, deciding who executes (PairCore), I/O.
// One loop thread.
#pragma once

#include <memory>
#include <vector>

#include "common/cluster_map.h"
#include "common/commands.h"
#include "common/header.h"
#include "common/types.h"
#include "node/executor/lease_table.h"
#include "node/store/volume_store.h"

namespace pairfs {

// A command as it came, or as the log holds it.
struct CommandInput {
  uint16_t op = 0;
  RequestId request;
  Slice slice = 0;
  SharedBytes body;
  SharedBytes bulk;
  // Between nodes: whom the command is for; 0.0: whoever has the slice.
  VolumeId volume;
  // Of a Write: the session would like to answer the next ones itself (kGrantWriter).
  bool write_behind = false;
};

// What became of it.
struct Executed {
  ReplyStatus status = ReplyStatus::kOutcome;
  int error = 0;  // errno; 0 = ok
  Bytes reply;    // encoded Reply when ok
  // Mutations: the volume changed (at least its reply table), so the command must be logged under
  // the sequence given to execute(), with this body and the input's bulk.
  bool logged = false;
  Bytes resolved_body;
  uint32_t outcome_crc = 0;  // of error and reply; replay must give the same
  // A SetLock that waits: nothing happened yet; it will come back through take_granted().
  bool waiting = false;
  // The command concerns other volumes too: nothing happened yet. The shell keeps the request as a
  // waiting one and gives input and `reply` to TransactionCoordinator::begin().
  bool cross_volume = false;
  // Read: the data, to be fetched (maybe on a worker) and sent as the reply's bulk.
  std::unique_ptr<ReadPlan> read;
  // The answer must wait until the logs are on stable storage (Fsync, O_SYNC writes).
  bool needs_sync = false;

  // ---- leases (lease_table.h) ----
  // The answer must wait as long as one of these is_waited_for().
  std::vector<LeaseTable::Number> waits_for;
  // For the answer's header.
  uint32_t lease_ms = 0, lease_grants = 0;
  uint64_t changed[2] = {};
};

struct ExecutorConfig {
  VolumeId volume;
  Epoch epoch = 0;  // generation of inodes made from now on
  ClusterMap map;   // as it is at the start; set_cluster() tells changes
  ClusterPolicy policy;
  Duration session_timeout = std::chrono::seconds(60);
  Duration lease_term = kLeaseTerm;
  // The shell drives a TransactionCoordinator. Without one nothing is placed on other volumes, and
  // what concerns them is refused with EXDEV.
  bool transactions = false;
};

// How full a volume is, 0 to 1, or more when it does not answer: what the placement of new
// directories goes by.
struct VolumeUse {
  VolumeId volume;
  double used_fraction = 0;
};

// What transactions between volumes have left open here (coordinator.h).
struct OpenTransactions {
  struct Decided {  // committed here, not confirmed by all participants
    TransactionId id;
    std::vector<VolumeId> participants;
  };
  std::vector<TransactionId> held;  // prepared here, not decided
  std::vector<Decided> decided;
};

// What moving slices away needs done. A Send goes like a transaction's (coordinator.h): at least
// once, answered under its tag. A Fetch is run, on a worker unless it is in memory.
struct SliceEffects {
  struct Send {
    uint64_t tag = 0;
    CommandInput input;
    // Not before all that is logged here is on stable storage at both nodes.
    bool when_durable = false;
  };
  struct Fetch {
    uint64_t tag = 0;
    std::shared_ptr<ReadPlan> plan;
  };
  std::vector<Send> send;
  std::vector<Fetch> fetch;
  Instant wake_at = Instant::max();
};
struct SliceProgress {
  size_t moving = 0;
  uint64_t moved = 0, aborted = 0, rows = 0, bytes = 0;  // since this executor began
  Duration longest_freeze{};
};

// Free space below which only what frees space is admitted, so that the log can still be replayed.
inline constexpr uint64_t kReserveBytes = 4 << 20;

class Executor {
 public:
  virtual ~Executor() = default;

  // Executes a fresh command. `sequence` is what the log will call it if Executed::logged;
  // `wall_clock` is the machine's time of day, `now` its monotonic time.
  virtual Executed execute(const CommandInput& input, Sequence sequence, Timestamp wall_clock,
                           Instant now) = 0;
  // Executes a logged command again after a crash or takeover. Executed::outcome_crc is to be
  // compared with the record's.
  virtual Executed replay(const CommandInput& input, Sequence sequence) = 0;

  // Commands that the executor itself wants executed and logged next (FreeInode, UpdateAtime,
  // ExpireSession): the shell takes them and passes each to execute(). Bounded per call.
  virtual std::vector<CommandInput> take_follow_ups(Instant now) = 0;
  // Waiting SetLock commands that can be granted (or were cancelled) now: the shell passes each
  // to execute() again.
  virtual std::vector<CommandInput> take_granted() = 0;
  // A fresh executor serves again: session timers restart, orphans wait until every live session
  // declared its opens or expired.
  virtual void begin_serving(Instant now) = 0;

  // How full the cluster's volumes are, as far as the node knows; now and then. A volume that is
  // not named counts as empty.
  virtual void set_volume_uses(std::vector<VolumeUse> uses) = 0;
  // What may still be logged on the fuller of both nodes' disks: more is refused with ENOSPC.
  virtual void set_log_room(uint64_t bytes) = 0;
  // The cluster's map or policy changed: where new directories go from now on.
  virtual void set_cluster(const ClusterMap& map, const ClusterPolicy& policy) = 0;
  virtual OpenTransactions open_transactions() const = 0;

  // Sets up an empty volume that has these slices, and the root directory if slice 0 is among them.
  // Part of the first epoch; deterministic.
  virtual void format(Sequence sequence, Timestamp now, const std::vector<Slice>& slices) = 0;

  // ---- slices (slice_giver.h) ----
  virtual bool owns(Slice slice) const = 0;
  virtual std::vector<Slice> owned_slices() const = 0;
  // Counts changes of what the volume has.
  virtual uint64_t slices_version() const = 0;
  // Begins to move a slice away; nothing when it is not here, or moves already.
  virtual void give_slice(Slice slice, VolumeId to) = 0;
  // Drives all moves: call when one of them has something to do, at wake_at, and after answers.
  virtual SliceEffects step_slices(Instant now) = 0;
  // What became of a SliceEffects::Send or ::Fetch.
  virtual void slice_answered(uint64_t tag, ReplyStatus status, int error, const Bytes& reply,
                              Instant now) = 0;
  virtual void slice_fetched(uint64_t tag, Result<SharedBytes> data, Instant now) = 0;
  virtual SliceProgress slice_progress() const = 0;

  // ---- leases ----
  // Recalls to be sent to their sessions, by whatever way they were last heard of.
  virtual std::vector<LeaseTable::Recall> take_recalls(Instant now) = 0;
  virtual Instant recalls_wake() const = 0;
  virtual bool is_waited_for(LeaseTable::Number recall) const = 0;
  // Inodes with changes whose answers may wait for leases (NoteUnanswered).
  virtual std::vector<uint64_t> unanswered_changes() const = 0;

  struct SessionStatus {
    SessionId id;
    std::string host, mount, state;  // state: live, expired
  };
  virtual std::vector<SessionStatus> sessions() const = 0;
};

std::unique_ptr<Executor> make_executor(const ExecutorConfig& config, VolumeStore& store);

}  // namespace pairfs
