// One volume on one node: ties PairCore to the real log, store and executor, and answers clients.
// Performs the core's effects in order; decides nothing about roles itself. Loop thread only.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "common/header.h"
#include "common/latency.h"
#include "common/transport.h"
#include "node/executor/coordinator.h"
#include "node/executor/executor.h"
#include "node/log/command_log.h"
#include "node/pair/pair_core.h"
#include "node/peer_links.h"
#include "node/ring_link.h"
#include "node/room_watch.h"
#include "node/store/volume_store.h"

namespace pairfs {

// What a volume needs of its node.
class NodeServices {
 public:
  virtual ~NodeServices() = default;
  virtual Instant now() const = 0;
  virtual Timestamp wall_clock() const = 0;
  virtual void send_link(const LinkMessage& message, SharedBytes records) = 0;
  virtual void swap_record(VolumeId volume, uint64_t expected_version, const VolumeRecord& record,
                           Duration timeout) = 0;  // then VolumeRuntime::on_swapped
  virtual void read_map() = 0;                     // then VolumeRuntime::on_map_answered
  virtual const ClusterMap& cluster() const = 0;
  virtual const ClusterPolicy& policy() const = 0;
  virtual void reply(const std::vector<Bytes>& envelope, const MessageHeader& header,
                     BytesView body, const SharedBytes& bulk) = 0;
  virtual void run_on_worker(std::function<void()> work, std::function<void()> done) = 0;
  // Passes a command of `from` to whoever executes input.volume (0.0: the volume of input.slice),
  // maybe this very node; `done` is called from the loop, or never (then it is sent again).
  virtual void send_command(VolumeId from, const CommandInput& input,
                            std::function<void(const PeerLinks::Answer&)> done) = 0;
  // The partner said who it is.
  virtual void note_partner(Incarnation incarnation, const ProcessIdentity& process) = 0;
  // An entry for the history of role changes; `at`: when it happened.
  virtual void note_event(VolumeId volume, Epoch epoch, const std::string& what, Timestamp at) = 0;
  // How elements are reached in that epoch of the volume (StoreConfig::open_element).
  virtual decltype(StoreConfig::open_element) element_opener(VolumeId, Epoch) { return nullptr; }
  // Nothing may be served any more: end the process.
  virtual void fail_stop(const std::string& why) = 0;
};

struct VolumeRuntimeConfig {
  CommandLogConfig log;
  StoreConfig store;
  PairCore::Config pair;
  std::shared_ptr<RingPlace> rings;  // null: records go to the partner as messages
  uint64_t checkpoint_log_bytes = 96 << 20;
  Duration checkpoint_interval = std::chrono::seconds(10);
  Duration replay_max = std::chrono::milliseconds(100);
  Duration sync_max = std::chrono::seconds(10);  // of one sync of the log: then the disk hangs
  Duration session_timeout = ExecutorConfig().session_timeout;
  Duration lease_term = ExecutorConfig().lease_term;
  // As open_durable_store(), which it is but in the simulator. Worker thread.
  using OpenStore = std::unique_ptr<VolumeStore>(const StoreConfig& config, Epoch epoch,
                                                 BytesView token, std::string* why);
  std::function<OpenStore> open_store = open_durable_store;
};

class VolumeRuntime final : public LogView {
 public:
  VolumeRuntime(VolumeRuntimeConfig config, NodeServices& services);
  ~VolumeRuntime() override;

  // ---- events ----
  void on_request(std::vector<Bytes> envelope, const MessageHeader& header, SharedBytes body,
                  SharedBytes bulk);
  // A command of another volume of this cluster that this node executes, too.
  void on_local_command(const CommandInput& input,
                        std::function<void(const PeerLinks::Answer&)> done);
  void on_link_message(const LinkMessage& message, const SharedBytes& records);
  // Appends what the partner copied into this node's ring; each event does that first.
  void take_ring();
  void on_link(bool up);
  void on_partner_dead(Incarnation incarnation);
  void on_record(const VolumeRecord& record, uint64_t version);
  void on_swapped(bool known, bool swapped, const VolumeRecord& record, uint64_t version);
  // The map's store answered a question that NodeServices::read_map() asked, or a later one.
  void on_map_answered();
  // Call at the end of every wake-up of the loop and at next_wake(): sends what was gathered,
  // answers what may be answered.
  void flush();
  Instant next_wake() const {
    const Instant upkeep = maintaining_ ? Instant::max() : maintenance_at_;
    const Instant recalls = executor_ ? executor_->recalls_wake() : Instant::max();
    return std::min({core_.next_wake(), next_housekeeping_, coordinator_wake_, slices_wake_, upkeep,
                     room_watch_.next_wake(), reopen_at_, recalls});
  }

  // ---- admin ----
  void hand_over();
  // What only an operator decides (P9, P10). Empty: it is done, or with `check` could be done.
  std::string start_alone(bool force, bool check);
  void drop_history();
  // Calls done when all that was executed so far is on stable storage at both nodes (false: this
  // node does not execute the volume).
  void sync(std::function<void(bool)> done);
  // Changes the volume's elements; `done` gets "" when that is on stable storage at both nodes,
  // else a sentence.
  void change_elements(ElementWish wish, std::function<void(std::string)> done);
  // Looks at everything that the volume's last consistency point keeps, and mends what it can with
  // `repair`. `done` gets "" and the findings, or a sentence.
  struct Checked {
    std::vector<StoreFinding> findings;
  };
  void check(bool repair, std::function<void(std::string, Checked)> done);
  const PairCore& core() const { return core_; }
  // Why the volume cannot be opened here, "" when it can or need not.
  const std::string& open_problem() const { return open_problem_; }
  const CommandLog& log() const { return *log_; }
  const VolumeStore* store() const { return store_.get(); }
  const Executor* executor() const { return executor_.get(); }
  const StoreConfig& store_config() const { return config_.store; }
  void set_volume_uses(const std::vector<VolumeUse>& uses) {
    if (executor_ != nullptr) executor_->set_volume_uses(uses);
  }
  // The cluster's map or policy changed.
  void on_cluster();
  // Begins to move slices of this volume away; those that move already are left alone.
  void give_slices(const std::vector<std::pair<Slice, VolumeId>>& moves);
  bool has_executor() const { return executor_ != nullptr && core_.may_execute(); }
  uint64_t copied_in_memory() const { return ring_.copied_count(); }
  Sequence checkpoint_sequence() const { return log_->newest_checkpoint().sequence; }

  // ---- LogView ----
  LogSummary log_summary() const override { return log_->summary(); }
  std::optional<uint32_t> chain_at(Sequence s) const override { return log_->chain_at(s); }
  uint64_t record_bytes(Sequence s) const override { return log_->record_bytes(s); }
  bool has_epoch(Epoch epoch) const override { return log_->has_epoch(epoch); }
  Sequence synced() const override { return log_->synced(); }
  bool kept_apart() const override { return log_->kept_apart(); }

 private:
  static constexpr Duration kHousekeeping = std::chrono::milliseconds(200);
  static constexpr Duration kMaintenancePeriod = std::chrono::seconds(1);
  struct Pending {  // an answer that waits for its time
    std::vector<Bytes> envelope;
    MessageHeader header;
    Bytes body;
    SharedBytes bulk;
    Sequence gate = 0;  // the log's end when it was computed
    bool read = false;
    bool durable = false;
    bool fetching = false;                      // a worker reads its data
    std::vector<LeaseTable::Number> waits_for;  // recalls
    Instant executed{};  // when it was computed and, a mutation, in this node's log
    // Instead of a message: called once, with kNotExecutor when the volume is closed first.
    std::function<void(const PeerLinks::Answer&)> done;
  };
  struct Opening;  // a volume being opened on a worker

 public:
  // How long commands take here, by stage; since the process started.
  struct Latencies {
    LatencyHistogram execute;  // in the executor and its store
    LatencyHistogram log;      // a mutation's record into this node's log file
    LatencyHistogram partner;  // a mutation, from then until the partner holds it (or both synced)
    LatencyHistogram read;     // a read, from its execution until it may be answered
  };
  const Latencies& latencies() const { return latencies_; }

 private:
  void feed(const PairEvent& event);
  void perform(PairEffects effects);
  void do_open(Epoch epoch);
  void opening_failed(const std::string& why, bool log_bad);
  void do_close();
  void do_append_epoch(Epoch epoch, bool solo);
  void do_sync();
  void start_sync();
  SharedBytes records_for(Sequence first, Sequence last);
  bool in_tail(Sequence first, Sequence last) const;
  bool copy_in_memory(const LinkMessage& message);
  void serve_ring();
  void append(LogRecord record);
  void append_command(const CommandInput& input, Executed& executed);
  bool refuse(ReplyStatus* status) const;
  void execute(std::shared_ptr<Pending> pending, const CommandInput& input);
  void coordinate(const CoordinatorEvent& event);
  void answer_decided();
  void execute_internal(const CommandInput& input);
  void begin_serving();
  void run_follow_ups();
  void run_slices();
  void send_for_slice(const SliceEffects::Send& send);
  void send_when_durable(const SliceEffects::Send& send);
  void drop_parked();
  void answer_status(const std::vector<Bytes>& envelope, const MessageHeader& request,
                     ReplyStatus status);
  void take_held_requests();
  bool must_wait_for_room(const MessageHeader& header, uint64_t bulk_bytes);
  void take_requests_that_waited_for_room();
  void execute_request(std::vector<Bytes> envelope, const MessageHeader& header, SharedBytes body,
                       SharedBytes bulk);
  uint64_t room_bytes();
  uint64_t tight_checkpoint_bytes();
  void look_at_log_room();
  void note_change(uint16_t op);
  void look_at_reach();
  void compare_reach();
  void reopen_if_elements_returned();
  void release_answers();
  bool waits_for_recalls(Pending& pending) const;
  void send_recalls();
  void watch_sync();
  Executed run_command(const CommandInput& input);
  void note_elements();
  void consider_maintenance();
  void consider_checkpoint();
  void finish_checkpoint(const std::shared_ptr<Checkpoint>& checkpoint, Sequence contains,
                         uint32_t chain, std::shared_ptr<Result<Bytes>> token, uint64_t life);

  const VolumeRuntimeConfig config_;
  NodeServices& services_;
  RingLink ring_;
  std::unique_ptr<CommandLog> log_;
  PairCore core_;

  std::unique_ptr<VolumeStore> store_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<TransactionCoordinator> coordinator_;
  Instant coordinator_wake_ = Instant::max();
  Instant transactions_at_{};  // when to look at open transactions next
  Instant slices_wake_ = Instant::max();
  uint64_t slices_seen_ = 0;            // slices_version() when it was last looked at
  std::set<uint64_t> slices_waiting_;   // tags of what is sent once the log is durable
  Instant reopen_at_ = Instant::max();  // the volume could not be opened: when to try again
  Duration reopen_after_{};
  std::string open_problem_;
  uint64_t life_ = 0;        // counts openings and closings, so that late worker results are known
  std::string cannot_open_;  // why
  bool began_serving_ = false;
  bool answered_ = false;  // a client, since the volume was opened

  Latencies latencies_;
  std::deque<std::shared_ptr<Pending>> pending_;
  std::map<RequestId, std::shared_ptr<Pending>> by_request_;  // mutations on their way
  std::map<RequestId, std::shared_ptr<Pending>> parked_;      // waiting locks and transactions
  std::deque<CommandInput> decided_;  // parked ones whose transaction came to its end
  // The way by which each session was last heard of: where its recalls go.
  std::unordered_map<SessionId, std::vector<Bytes>> ways_;
  // Requests that came a moment too early: the volume is being opened, paired or handed over.
  // Held, so that their senders need not ask again; a sender that does is dropped as repeated.
  struct HeldRequest {
    std::vector<Bytes> envelope;
    MessageHeader header;
    SharedBytes body, bulk;
  };
  std::deque<HeldRequest> held_;
  uint64_t held_bytes_ = 0;

  // Room for what commands bring, in the store and in both logs (volume_room.cc).
  RoomWatch room_watch_;
  std::deque<HeldRequest> room_waiters_;
  uint64_t store_room_bytes_ = 0;
  Instant store_room_at_{};
  uint64_t logged_bytes_ = 0;                       // by this process
  uint64_t log_room_bytes_ = 0, log_room_end_ = 0;  // own, and logged_bytes_ when it was looked at
  Instant log_room_at_{};
  uint64_t partner_room_bytes_ = ~0ULL;

  // Which elements each node reaches (volume_reach.cc).
  bool looking_at_reach_ = false;
  Instant reach_at_{}, compare_reach_at_{}, opened_at_{}, reach_differs_since_ = Instant::max();
  Instant returned_since_ = Instant::max();  // enough elements to open the volume anew
  uint64_t reached_ = 0, partner_reached_ = 0;

  bool appended_ = false;  // since the last flush
  bool want_durable_ = false;
  struct Tail {
    Sequence sequence;
    Bytes head;
    SharedBytes bulk;
  };
  std::deque<Tail> tail_;  // the newest records, to send without reading them back
  uint64_t tail_bytes_ = 0;
  // Through memory: the last record that went, and what the partner was told by a message.
  Sequence copied_through_ = 0;
  Sequence told_sync_ = 0;
  Instant told_at_{};

  bool syncing_ = false, sync_again_ = false;
  Duration sync_age_{};  // counted in periods of housekeeping, so that a frozen process ages not
  bool preparing_segment_ = false;
  std::deque<PairEvent> events_;
  bool feeding_ = false;

  // Maintenance of elements; never while a consistency point is written.
  struct Job {
    std::function<void(Maintenance&)> work;      // worker
    std::function<void(bool carried_out)> done;  // loop
  };
  std::deque<Job> jobs_;
  bool maintaining_ = false;
  Instant maintenance_at_ = Instant::max();
  uint64_t executed_ = 0, executed_at_maintenance_ = 0;
  uint64_t logged_elements_ = 0;  // version that the log has
  Sequence elements_gate_ = 0;    // its record, which every later answer waits for

  bool checkpointing_ = false;
  bool checkpoint_wanted_ = false;
  std::function<void()> finished_point_;  // waits until the log may grow
  bool freed_ = false;  // something was deleted or cut: the next consistency point makes room
  Instant last_checkpoint_{};
  Instant next_housekeeping_{};
  uint64_t bytes_since_checkpoint_ = 0;
  uint64_t commands_since_checkpoint_ = 0;
  Duration execute_time_{};  // spent executing what a replay would execute again
};

}  // namespace pairfs
