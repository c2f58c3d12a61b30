// A world of one pair: two real PairCores, their logs, the map's record and a client, with a
// simulated network, disks, clocks and crashes, all from one seed. Checks as it runs:
//   - a volume has one executor per epoch;
//   - an answered mutation is never lost, except when both copies were: by a power loss before it
//     was synced there, or with a log that was damaged while the other copy was not synced;
//   - an answered read has seen every mutation that was answered before it was asked;
//   - when the faults end, the pair is whole again and serves.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "node/pair/pair_core.h"
#include "test/sim/random.h"

namespace pairfs::sim {

// How often each fault strikes, drawn from the seed (swarm): a mean pause between two, 0 = never.
struct FaultRates {
  Duration kill{}, power_loss{}, freeze{}, cut{}, map_outage{}, operators_word{};
  uint64_t lose_one_in = 0, duplicate_one_in = 0;
  uint64_t rot_one_in = 0;  // of the openings: the log turns out to be damaged
  Duration latency_max{};
};

struct PairStats {
  std::map<std::string, uint64_t> counts;  // rules, faults and role changes reached
};

class PairWorld {
 public:
  PairWorld(uint64_t seed, bool trace);
  // Runs both phases. Empty: all is well; else what went wrong.
  std::string run();
  const PairStats& stats() const { return stats_; }
  // Of everything that happened; the same seed gives the same.
  uint64_t fingerprint() const { return fingerprint_; }
  const std::vector<std::string>& trace() const { return trace_; }

 private:
  struct Entry {
    Epoch epoch;
    uint32_t chain;
    uint64_t command;  // 0: a record of the protocol itself
  };
  struct Log final : LogView {
    std::vector<Entry> entries;  // the volume's whole history as this node knows it
    Sequence base = 0;
    Sequence synced_through = 0;
    bool power_kept = true;
    bool damaged = false;
    LogSummary log_summary() const override;
    std::optional<uint32_t> chain_at(Sequence s) const override;
    uint64_t record_bytes(Sequence) const override { return 200; }
    bool has_epoch(Epoch epoch) const override;
    Sequence synced() const override { return synced_through; }
    bool apart = false;
    bool kept_apart() const override { return apart; }
    uint32_t last_chain() const { return entries.empty() ? 0 : entries.back().chain; }
  };
  struct Pending {
    uint64_t command;  // 0: a read
    Sequence gate;
    bool durable;
    size_t answered_before;  // mutations answered when it was asked
  };
  struct Node {
    std::string name;
    Log log;
    std::unique_ptr<PairCore> core;
    VolumeRecord kept;  // of an earlier life: its copy of the map
    bool history_stays = false;
    Incarnation incarnation = 0;
    uint64_t life = 0;  // of timers and messages; grows at each crash
    bool alive = false;
    bool link_up = false;
    Instant frozen_until{};
    std::deque<std::function<void()>> deferred;  // what became due while it was frozen
    std::vector<Pending> pending;
    bool syncing = false, sync_again = false;
    uint64_t tick_generation = 0;
  };

  void at(Instant when, std::function<void()> what);
  void at_node(int node, Duration delay, std::function<void()> what);
  void thaw(int node, uint64_t life);
  void start_node(int node);
  void crash(int node, bool power);
  void feed(int node, const PairEvent& event);
  void perform(int node, PairEffects effects);
  void send(int node, const LinkMessage& message);
  static bool message_continues(const Log& log, const std::vector<Entry>& records);
  void deliver(int node, LinkMessage message, std::vector<Entry> records);
  void sync(int node);
  void swap(int node, uint64_t expected_version, const VolumeRecord& record);
  void publish_record();
  void connect();
  void execute_some(int node);
  void release(int node);
  bool holds_all_answered(const Node& node) const;
  void append(Node& node, Epoch epoch, uint64_t command);
  void schedule_faults();
  void schedule_fault(Duration mean, std::function<void()> strike);
  void start_alone(int node);
  void operator_looks();
  void note_started_alone(int node);
  void note_damage(int node);
  void drop_history(int node);
  void client_loop();
  void check_converged();
  void fail(const std::string& what);
  void note(const std::string& what);
  bool cut(int from) const { return now_ < cut_until_[static_cast<size_t>(from)]; }

  struct Event {
    Instant when;
    uint64_t order;
    std::shared_ptr<std::function<void()>> what;
    bool operator>(const Event& o) const {
      return when != o.when ? when > o.when : order > o.order;
    }
  };
  const uint64_t seed_;
  const bool tracing_;
  Random random_;
  FaultRates faults_;
  bool faults_on_ = true;
  Instant now_;
  uint64_t order_ = 0;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> queue_;
  std::array<Node, 2> nodes_;
  std::array<Instant, 2> cut_until_{};  // messages from this node are lost
  std::array<Instant, 2> last_delivery_{};
  VolumeRecord record_;
  uint64_t record_version_ = 0;
  bool was_paired_ = false;  // the epoch before the record's
  Instant map_down_until_{};
  std::map<Epoch, std::pair<std::string, Incarnation>> executor_of_epoch_;
  uint64_t next_command_ = 1;
  std::vector<uint64_t> answered_;       // mutations, in the order of their answers
  std::map<uint64_t, int> lost_copies_;  // of commands: bit per node
  Instant last_healthy_{};
  std::string failure_;
  uint64_t fingerprint_ = 0xcbf29ce484222325ULL;
  PairStats stats_;
  std::vector<std::string> trace_;
};

}  // namespace pairfs::sim
