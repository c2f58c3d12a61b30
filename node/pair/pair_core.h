// PairCore: one volume's role on one node. Decides who executes and who logs, when a command is
// acknowledged, when a lease holds, when to go solo, take over, rejoin and hand over. Rules P1-P9
// of docs/architecture.md; comments quote them by number.
//
// A state machine: step(event, now) returns effects, in the order in which they must be done. No
// clock, thread, socket or file in it. The shell (VolumeRuntime, or the simulator) performs the
// effects and reports what came of them as events. Before it sends an answer the shell asks
// may_answer().
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/cluster_map.h"
#include "common/link_messages.h"
#include "common/types.h"

namespace pairfs {

namespace sim {
class Fingerprint;
}

struct PairTimings {
  Duration lease = std::chrono::milliseconds(200);
  Duration heartbeat = std::chrono::milliseconds(40);
  Duration silence = std::chrono::milliseconds(600);  // P5: partner silent, no progress
  Duration resend = std::chrono::milliseconds(100);
  Duration background_sync = std::chrono::milliseconds(20);
  Duration unsynced_max = std::chrono::milliseconds(50);   // then acknowledgements wait
  Duration map_timeout = std::chrono::milliseconds(1000);  // of one swap attempt
  Duration alone_wait = std::chrono::milliseconds(1500);   // for the partner, before a lone start
  Duration giveback_delay = std::chrono::seconds(5);       // paired and stable for so long
  Duration giveback_delay_max = std::chrono::minutes(10);  // flap protection doubles up to here
  // The share of a lease that its holder uses: the rest covers clocks that run at different rates.
  int lease_margin_percent = 10;
  bool automatic_giveback = true;
};

// What the core may ask about the volume's log. The shell's log, or the simulator's.
class LogView {
 public:
  virtual ~LogView() = default;
  virtual LogSummary log_summary() const = 0;
  virtual std::optional<uint32_t> chain_at(Sequence sequence) const = 0;
  virtual uint64_t record_bytes(Sequence sequence) const = 0;
  virtual bool has_epoch(Epoch epoch) const = 0;
  virtual Sequence synced() const = 0;  // here, on stable storage
  // As effect KeepApart said last, also in an earlier life, and the log was not reset since.
  virtual bool kept_apart() const = 0;
};

namespace pair_event {
struct Tick {};  // time passed
struct Record {
  VolumeRecord record;
  uint64_t version = 0;
};  // the map's copy, as last read
struct Swapped {
  bool known = false;
  bool swapped = false;
  VolumeRecord record;
  uint64_t version = 0;
};
struct LinkUp {};
struct LinkDown {};
struct Received {
  LinkMessage message;
  bool records_appended = false;
};                   // see accepts_records()
struct Appended {};  // executor: the log has new records of ours
struct Synced {};    // the log's synced() moved
// Effect Open is done and the log's records are replayed; or that cannot be done here, because of
// the log (`log_bad`) or of what the elements hold.
struct Opened {
  bool ok = false;
  bool log_bad = false;
};
struct WantDurable {};  // an answer waits for stable storage at both nodes
struct PartnerDead {
  Incarnation incarnation = 0;
};                      // that life has ended, for certain
struct HandOver {};     // an operator wants the partner to execute
struct StartAlone {};   // an operator takes it on himself what this log lacks (P9)
struct DropHistory {};  // an operator gives up what only this log has (P10)
struct MapAnswered {};  // after effect ReadMap: the store answered, with news or without
// Executor: the partner has the records in memory that outlives both (node/log/log_ring.h).
struct Copied {
  Sequence through = 0;
};
struct Confirmable {
  Sequence checkpoint_record = 0;
  Sequence contains = 0;
};  // a CP was logged
}  // namespace pair_event
using PairEvent =
    std::variant<pair_event::Tick, pair_event::Record, pair_event::Swapped, pair_event::LinkUp,
                 pair_event::LinkDown, pair_event::Received, pair_event::Appended,
                 pair_event::Synced, pair_event::Opened, pair_event::WantDurable,
                 pair_event::PartnerDead, pair_event::HandOver, pair_event::StartAlone,
                 pair_event::DropHistory, pair_event::MapAnswered, pair_event::Copied,
                 pair_event::Confirmable>;

namespace pair_effect {
struct Send {
  LinkMessage message;
};  // when it names records, with their bytes
struct Swap {
  uint64_t expected_version = 0;
  VolumeRecord record;
  Duration timeout{};
};
struct ReadMap {};  // ask the store for a fresh copy
struct Open {
  Epoch epoch = 0;
};                // open store at the newest CP, replay the log
struct Close {};  // stop executing, forget the store and what waits
struct AppendEpoch {
  Epoch epoch = 0;
  bool solo = false;
};               // log a BeginEpoch record
struct Sync {};  // sync the log
struct ResetLog {
  Sequence base = 0;
  uint32_t base_chain = 0;
};
struct Confirm {
  Sequence record = 0;
  Sequence contains = 0;
};  // that CP is confirmed
struct Trim {
  Sequence through = 0;
};
struct Checkpoint {};  // take one now (before a handover)
struct Role {
  std::string text;
};  // a role change, for the event history
struct KeepApart {
  bool on = false;
};                 // remember beside the log that it may not be reset (P10)
struct GiveUp {};  // this life can serve the volume no more: end it
}  // namespace pair_effect
using PairEffect = std::variant<pair_effect::Send, pair_effect::Swap, pair_effect::ReadMap,
                                pair_effect::Open, pair_effect::Close, pair_effect::AppendEpoch,
                                pair_effect::Sync, pair_effect::ResetLog, pair_effect::Confirm,
                                pair_effect::Trim, pair_effect::Checkpoint, pair_effect::Role,
                                pair_effect::KeepApart, pair_effect::GiveUp>;
using PairEffects = std::vector<PairEffect>;

class PairCore {
 public:
  struct Config {
    VolumeId volume;
    NodeLife self;
    ShortText partner;  // node name
    bool home = false;  // this node is the volume's home
    PairTimings timings;
    ProcessIdentity process = {};    // of this node, as kHello says it
    VolumeRecord known_before = {};  // the newest record that an earlier life kept a copy of
  };
  PairCore(Config config, const LogView& log, Instant now);

  PairEffects step(const PairEvent& event, Instant now);
  // When step(Tick) is due at the latest.
  Instant next_wake() const { return next_wake_; }

  enum class Role { kIdle, kJoining, kLogger, kOpening, kExecutor };
  Role role() const { return role_; }
  Epoch epoch() const { return epoch_; }
  bool solo() const { return record_.solo; }
  const VolumeRecord& record() const { return record_; }

  // A fresh command may be executed now, and the log may grow. False: answer kBusy (opening,
  // handing over, deposed), so that the client comes again.
  bool may_execute() const;
  // Executor: the epoch that a record carries which is appended now.
  Epoch record_epoch() const;
  // Executor: an answer that was computed when the log ended at `sequence` may go out (P2, P3, and
  // for reads P4). `durable`: not before both nodes have it on stable storage.
  bool may_answer(Sequence sequence, bool read, bool durable, Instant now) const;
  // Whether the records of this message may be appended to the log (P1). The shell asks, appends,
  // then passes the event.
  bool accepts_records(const LinkMessage& message) const;
  // Logger: whose records it holds now, whatever way they come (P1, P5). 0: nobody's.
  Incarnation holds_for() const;
  // What both nodes have on stable storage, as far as known here.
  Sequence durable_through() const;
  Sequence partner_held() const { return partner_held_; }
  // A consistency point is logged, and not confirmed yet.
  bool confirming() const { return logged_cp_record_ != 0; }
  // Why a planned takeover by the partner could not be done now; empty: it could.
  std::string takeover_obstacle() const;
  // Why StartAlone would do nothing now; empty: the volume would be this node's. `force`: also when
  // the partner serves it.
  std::string start_alone_obstacle(bool force, Instant now) const;
  // This node answered alone, and another one executes without having that history (P10): it joins
  // only when an operator says that its own may go.
  bool diverged() const;

 private:
  friend class sim::Fingerprint;  // tells states apart, where all of them are explored
  using Effects = PairEffects;
  // pair_core.cc
  void on_record(const VolumeRecord& record, uint64_t version, Instant now, Effects& out);
  void on_swapped(const pair_event::Swapped& event, Instant now, Effects& out);
  void on_received(const pair_event::Received& event, Instant now, Effects& out);
  void advance(Instant now, Effects& out);
  void request_swap(VolumeRecord record, Instant now, Effects& out);
  void wake_at(Instant when);
  void set_role(Role role, Effects& out);
  LinkMessage message(LinkMessage::Kind kind) const;
  bool partner_is(const NodeLife& life) const;
  bool paired_rule() const;
  bool solo_rule() const;
  // pair_start.cc: a node without a role
  void advance_idle(Instant now, Effects& out);
  bool may_start_alone() const;
  bool better_than_partner() const;
  void note_alone(const VolumeRecord& record);
  void start_alone(Instant now, Effects& out);
  void request_own_epoch(Instant now, Effects& out);
  void begin_opening(Effects& out);
  void opening_failed(bool log_bad, Instant now, Effects& out);
  // pair_logger.cc
  void advance_logger(Instant now, Effects& out);
  void on_records(const pair_event::Received& event, Instant now, Effects& out);
  void on_accept(const LinkMessage& m, Instant now, Effects& out);
  void send_held(bool resend, int64_t stamp, Effects& out);
  // pair_executor.cc
  void advance_executor(Instant now, Effects& out);
  void advance_pairing(Instant now, Effects& out);
  void begin_handover(Instant now, Effects& out);
  void advance_handover(Instant now, Effects& out);
  bool short_replay() const;
  void on_held(const LinkMessage& m, Instant now, Effects& out);
  void on_copied(Sequence through, Instant now, Effects& out);
  void partner_has(Sequence held, Instant now);
  void on_join(const LinkMessage& m, Instant now, Effects& out);
  void send_records(Instant now, Effects& out, bool heartbeat);
  void go_solo(const char* why, Instant now, Effects& out);
  void start_stream(Incarnation to, Sequence held, Instant now);
  void stop_stream();
  void rewind(Sequence held);
  void want_durable(Instant now, Effects& out);
  void settle_unsynced();
  void confirm_checkpoint(Effects& out);
  bool partner_lost(Instant now) const;
  bool lease_valid(Instant now) const;
  void on_own_epoch(Instant now, Effects& out);
  void leave_executor(Effects& out);

  const Config config_;
  const LogView& log_;

  // The map's record as last read, and its version; nothing is done before it is known.
  bool record_known_ = false;
  VolumeRecord record_;
  uint64_t record_version_ = 0;
  // A swap on its way. Until its outcome is known the stricter of both records holds (P5).
  std::optional<VolumeRecord> swapping_;
  uint64_t swap_expected_version_ = 0;

  Role role_ = Role::kIdle;
  Epoch epoch_ = 0;  // of the role
  Instant started_at_;
  Instant stepped_at_;
  Instant next_wake_;

  bool link_up_ = false;
  Incarnation partner_incarnation_ = 0;  // as it introduced itself; 0: not yet
  LogSummary partner_log_;
  Instant last_heard_;
  Instant hello_at_{};

  // logger and joiner
  Instant promised_until_{};  // no takeover before (P4)
  Instant join_at_{};
  bool streaming_ = false;  // the executor accepted our join
  bool loss_told_ = false;  // the history has that the executor was lost
  Epoch paired_epoch_ = 0;  // highest that the map called paired
  Epoch alone_epoch_ = 0;   // in which this node served solo, unless it was half of a pair since
  Incarnation alone_life_ = 0;  // that served then
  bool history_dropped_ = false;
  bool partner_diverged_ = false;  // its log has what ours lacks, and may not be dropped yet
  Instant records_heard_{};        // when the executor last sent kRecords
  Sequence sync_wanted_ = 0;
  Sequence reported_synced_ = 0;
  int64_t last_stamp_ = 0;

  // executor
  Sequence epoch_record_ = 0;  // first record of the epoch; serving once it is synced
  bool serving_ = false;
  bool cannot_open_ = false;   // this life; the volume is the partner's business
  Incarnation stream_to_ = 0;  // logger or joiner that records go to; 0: nobody
  Sequence partner_held_ = 0;
  Sequence partner_synced_ = 0;
  Sequence sent_ = 0;
  Instant sent_at_{};
  Instant progress_at_{};  // when partner_held_ last moved or nothing was outstanding
  Instant lease_until_{};
  Sequence sync_sent_ = 0;
  struct Mark {
    Sequence through;
    Instant at;
  };
  std::deque<Mark> unsynced_;  // when records not yet on both disks were appended, oldest first
  struct Batch {
    Sequence through;
    uint64_t bytes;
  };
  std::deque<Batch> in_flight_;  // sent, not held yet
  uint64_t in_flight_bytes_ = 0;
  enum class Pairing { kNone, kCatchingUp, kClosing } pairing_ = Pairing::kNone;
  Sequence pairing_record_ = 0;
  enum class HandingOver { kNone, kCheckpoint, kAskMap, kDrain } handing_over_ = HandingOver::kNone;
  Instant handover_since_{};
  Instant map_asked_at_{};
  Sequence handover_point_ = 0;  // a consistency point that contains this is waited for
  int handover_points_ = 0;
  Instant paired_since_{};
  Duration giveback_after_{};
  Sequence logged_cp_record_ = 0, logged_cp_contains_ = 0;  // newest CP, not confirmed yet
  Sequence confirmed_contains_ = 0;
  bool going_solo_ = false;
  Sequence solo_after_ = 0;  // go solo once the log is synced through here
  Instant last_solo_at_{};
};

const char* to_string(PairCore::Role role);

}  // namespace pairfs
