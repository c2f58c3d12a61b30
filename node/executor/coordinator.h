// Carries out the commands of one volume that concern other volumes too (mkdir placed elsewhere,
// link and rename across volumes, rmdir and unlink of a child that lives elsewhere), by two-phase
// commit; and asks what became of attempts that other volumes left here undecided. A state machine
// without I/O, clock or thread.
//
// How the shell drives it, one per volume that this node executes, made anew with each Executor:
// * Executed::cross_volume: keep the request as one that waits (as for a lock), and step
//   BeginTransaction with the input and Executed::reply.
// * Effects::send: pass the command to whoever executes input.volume (0.0: the volume that has
//   input.slice now), also when that is this volume itself; at least once, in any order. Its
//   execution is like a client's: logged, and answered when both nodes hold it, after a sync when
//   Executed::needs_sync. Step CommandAnswered with the tag. Give up silently when nobody can be
//   reached: it is sent again.
// * Effects::answer: execute the input again, as for a lock that can be granted, and answer the
//   request with what comes out: mostly the answer that its slot has now. After an attempt that met
//   another's lock it may be cross_volume once more.
// * Step TransactionTick at Effects::wake_at, and every 200 ms while open_transactions() has any.
// Commands of the kind kInternal are taken from nodes of the cluster only.
//
// The order of things (design: one namespace over many pairs): each part is prepared in turn, so
// that a later one knows what an earlier one found; a part that meets another transaction's lock
// ends the attempt, and the client's command is executed anew after a random pause. Conclude on
// this volume is the commit point. Then all participants are told, again and again until each has
// confirmed; then the client is answered (at the latest half a second after the commit) and the
// decision forgotten. What a crash leaves is picked up by the next executor's coordinator:
// decisions from rows, undecided attempts by the participants' questions.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <variant>

#include "node/executor/executor.h"

namespace pairfs {

class TransactionScript;

struct BeginTransaction {
  CommandInput input;
  Bytes plan;
};
struct CommandAnswered {
  uint64_t tag = 0;
  ReplyStatus status = ReplyStatus::kOutcome;
  int error = 0;
  Bytes reply;
};
struct TransactionTick {
  // nullopt: not looked at now. What is missing from a list that is given is known to be over.
  std::optional<OpenTransactions> open;
};
using CoordinatorEvent = std::variant<BeginTransaction, CommandAnswered, TransactionTick>;

class TransactionCoordinator {
 public:
  struct Config {
    VolumeId volume;
    Epoch epoch = 0;
    ClusterMap map;
    uint64_t seed = 1;  // of the pauses before another attempt
  };
  struct Outgoing {
    uint64_t tag = 0;
    CommandInput input;
  };
  struct Effects {
    std::vector<Outgoing> send;
    std::vector<CommandInput> answer;
    Instant wake_at = Instant::max();
  };

  explicit TransactionCoordinator(Config config);
  ~TransactionCoordinator();

  Effects step(const CoordinatorEvent& event, Instant now);
  // The cluster has changed: where parts go from now on.
  void set_map(ClusterMap map) { map_ = std::move(map); }
  // True while the attempt may still be committed here. The shell answers a ResolveTransaction for
  // it with kBusy, since executing the question would abort it.
  bool is_active(const TransactionId& id) const;
  bool idle() const { return transactions_.empty() && pending_.empty(); }

 private:
  enum class Phase { kPreparing, kConcluding, kDeciding, kForgetting, kPausing };
  struct Transaction {
    CommandInput client;
    Bytes plan;
    TransactionId id;
    std::unique_ptr<TransactionScript> script;
    Phase phase = Phase::kPreparing;
    uint32_t stage = 0;
    std::vector<VolumeId> participants;  // who promised something, without this volume
    bool commit = false;
    int error = 0;
    Bytes reply;
    Instant limit{};  // of the phase: the attempt ends, the client is answered, the pause ends
    bool answered = false;
  };
  struct Pending {  // a command without an answer yet
    TransactionId id;
    CommandInput input;
    Instant resend_at{};
  };

  void on(const BeginTransaction& event, Instant now);
  void on(const CommandAnswered& event, Instant now);
  void on(const TransactionTick& event, Instant now);
  void on_timers(Instant now);
  void settle_removed_volumes(Instant now);

  void start_attempt(Transaction& transaction, Instant now);
  void prepare_next(Transaction& transaction, const PrepareReply* last, Instant now);
  void on_prepared(Transaction& transaction, const CommandAnswered& event, Instant now);
  void conclude(Transaction& transaction, bool commit, int error, Bytes reply, Instant now);
  void on_concluded(Transaction& transaction, const CommandAnswered& event, Instant now);
  void on_decided(Transaction& transaction, VolumeId volume, Instant now);
  void on_resolved(const Pending& question, const CommandAnswered& event, Instant now);
  void give_up_attempt(Transaction& transaction, Instant now);
  void answer(Transaction& transaction);

  template <class C>
  void send(const TransactionId& id, const C& command, Instant now);
  void send_once(const TransactionId& id, VolumeId volume, bool commit, Instant now);
  void drop_pending(const TransactionId& id);
  Duration random_pause();
  Instant next_wake() const;

  const Config config_;
  uint64_t random_;
  uint64_t next_tag_ = 1;
  uint64_t next_attempt_ = 1;
  std::map<RequestId, Transaction> transactions_;
  std::map<uint64_t, Pending> pending_;  // by tag
  std::map<TransactionId, Instant> held_since_;
  ClusterMap map_;
  Effects effects_;
};

}  // namespace pairfs
