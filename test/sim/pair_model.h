// One state of the explored pair, and what can happen in it: see explorer.h. Copied at each step,
// so it holds values only.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "node/pair/pair_core.h"

namespace pairfs::sim {

struct ModelRecord {
  Epoch epoch = 0;
  uint32_t chain = 0;
  int command = 0;  // 0: a record of the protocol itself
};
using ModelLog = std::vector<ModelRecord>;

// What a PairCore sees of the log of the node that it works for just now.
class ModelLogView final : public LogView {
 public:
  void look_at(const ModelLog& log, Sequence synced, bool power_kept, bool apart) {
    apart_ = apart;
    log_ = &log;
    synced_ = synced;
    power_kept_ = power_kept;
  }
  LogSummary log_summary() const override;
  std::optional<uint32_t> chain_at(Sequence s) const override;
  uint64_t record_bytes(Sequence) const override { return 200; }
  bool has_epoch(Epoch epoch) const override;
  Sequence synced() const override { return synced_; }
  bool kept_apart() const override { return apart_; }

 private:
  const ModelLog* log_ = nullptr;
  Sequence synced_ = 0;
  bool power_kept_ = true;
  bool apart_ = false;
};

class PairModel {
 public:
  static constexpr int kCommands = 2, kReads = 1;
  static constexpr const char* kNames[] = {"1a", "1b"};
  // In steps of kUnit, as time passes here.
  static constexpr Duration kUnit = std::chrono::milliseconds(100);
  static PairTimings timings();

  // A pair that has just been started for the first time.
  explicit PairModel(int faults);
  PairModel(const PairModel& other);
  PairModel& operator=(const PairModel&) = delete;

  enum class What {
    // quick: time waits for them
    kTurn,
    kSyncEnds,
    kOpens,
    kLinkUp,
    kLinkDown,
    kSwapAtMap,
    kSwapAnswered,
    kMapNews,
    kMapAnswers,
    // at any time, or never
    kCommand,
    kRead,
    kLateMessage,
    kStraySwap,
    kPartnerDead,
    kRestart,
    kThaw,
    kHealLink,
    kMapUp,
    // faults
    kKill,
    kPowerLoss,
    kFreeze,
    kCut,
    kMapDown,
    kMessageLate,
    kAnswerLost,
    kHandOver,
    // nothing quick is left
    kTime
  };
  struct Action {
    What what;
    int node = 0;
  };
  std::vector<Action> actions() const;
  void perform(const Action& action);
  static std::string describe(const Action& action);
  std::string summary() const;

  // Empty, or what must not be.
  const std::string& broken() const { return broken_; }
  // One step of a future without faults, in which all that is broken heals. False: there is nothing
  // to wait for any more, the pair is whole and idle.
  bool go_on_healthily();
  bool whole() const;

  // Of everything that matters to the future. `with_budget`: faults and client's commands left,
  // too.
  uint64_t fingerprint(bool with_budget) const;

 private:
  struct Message {
    LinkMessage link;
    std::vector<ModelRecord> records;
  };
  struct Swap {
    uint64_t expected = 0;
    VolumeRecord record;
  };
  struct Waiting {
    int command = 0;  // 0: a read
    Sequence gate = 0;
    int answered_before = 0;  // mask
  };
  struct Node {
    bool alive = false, frozen = false;
    Incarnation incarnation = 0;
    std::unique_ptr<PairCore> core;
    ModelLog log;
    Sequence synced = 0;
    bool power_kept = true;
    bool apart = false;
    bool link_up = false, link_news = false;
    Incarnation dead_partner = 0;  // whose end the kernel could tell
    std::optional<Sequence> syncing;
    bool sync_again = false;
    bool opening = false;
    bool asked_map = false;
    uint64_t map_seen = 0;
    std::optional<Swap> swap, stray;
    std::optional<pair_event::Swapped> answer;
    VolumeRecord kept;  // of an earlier life
    std::vector<Waiting> waiting;
    std::vector<Message> inbox;
    std::optional<Message> late;
  };
  Node& at(int n) { return nodes_[static_cast<size_t>(n)]; }
  const Node& at(int n) const { return nodes_[static_cast<size_t>(n)]; }
  bool runs(int n) const { return at(n).alive && !at(n).frozen; }
  void look(int n) const;
  void start(int n);
  void end_life(int n, bool power);
  void feed(int n, const PairEvent& event);
  void carry_out(int n, PairEffects effects);
  void append(int n, Epoch epoch, int command);
  void deliver(int n, const Message& message);
  void add_quick(int n, std::vector<Action>& out) const;
  Sequence synced_by_both() const;
  void swap_at_map(std::optional<Swap>& swap, int n);
  void release(int n);
  void check(int n);
  void fail(const std::string& what);

  std::array<Node, 2> nodes_;
  std::array<bool, 2> cut_{};  // what this node sends waits
  VolumeRecord record_;
  uint64_t version_ = 1;
  bool map_down_ = false;
  Instant now_{std::chrono::seconds(1000)};
  int faults_left_;
  int commands_left_ = kCommands, reads_left_ = kReads;
  int answered_ = 0;  // mask
  std::vector<std::pair<Epoch, Incarnation>> executors_;
  Incarnation next_incarnation_ = 1;
  int current_ = -1;  // which node does what is quick just now; -1: either
  std::string broken_;
};

}  // namespace pairfs::sim
