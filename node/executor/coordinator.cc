#include "node/executor/coordinator.h"

#include <algorithm>

#include "common/codec.h"
#include "common/command_slice.h"
#include "common/test_switch.h"
#include "node/executor/transaction_script.h"

namespace pairfs {

namespace {
using std::chrono::milliseconds;
constexpr Duration kResendAfter = milliseconds(300);
constexpr Duration kAttemptMax = std::chrono::seconds(5);  // of preparing
constexpr Duration kAnswerAfter = milliseconds(500);       // of telling participants
constexpr Duration kAskAfter = std::chrono::seconds(1);    // what is held here undecided
constexpr Duration kPauseMax = milliseconds(40);
constexpr Duration kNotReadyPause = milliseconds(50);  // the volume has no executor just now
}  // namespace

TransactionCoordinator::TransactionCoordinator(Config config)
    : config_(std::move(config)), random_(config_.seed | 1), map_(config_.map) {}
TransactionCoordinator::~TransactionCoordinator() = default;

TransactionCoordinator::Effects TransactionCoordinator::step(const CoordinatorEvent& event,
                                                             Instant now) {
  effects_ = {};
  std::visit([&](const auto& what) { on(what, now); }, event);
  if (std::holds_alternative<TransactionTick>(event)) settle_removed_volumes(now);
  on_timers(now);
  effects_.wake_at = next_wake();
  return std::move(effects_);
}

Duration TransactionCoordinator::random_pause() {
  random_ ^= random_ << 13;
  random_ ^= random_ >> 7;
  random_ ^= random_ << 17;
  return milliseconds(1) +
         Duration(static_cast<int64_t>(random_ % static_cast<uint64_t>(kPauseMax.count())));
}

template <class C>
void TransactionCoordinator::send(const TransactionId& id, const C& command, Instant now) {
  Outgoing out{next_tag_++,
               {.op = C::kOp,
                .request = {0, kUnslotted, 0},
                .slice = slice_of(command),
                .body = SharedBytes::from(encode(command)),
                .volume = volume_of(command)}};
  pending_[out.tag] = {id, out.input, now + kResendAfter};
  effects_.send.push_back(std::move(out));
}

// An abort needs no confirmation: who misses it asks.
void TransactionCoordinator::send_once(const TransactionId& id, VolumeId volume, bool commit,
                                       Instant now) {
  send(id, Decide{.id = id, .volume = volume, .commit = commit}, now);
  pending_.erase(next_tag_ - 1);
}

void TransactionCoordinator::drop_pending(const TransactionId& id) {
  std::erase_if(pending_, [&](const auto& item) { return item.second.id == id; });
}

// ---- attempts ----

void TransactionCoordinator::on(const BeginTransaction& event, Instant now) {
  const RequestId& request = event.input.request;
  if (transactions_.contains(request)) return;  // a retry; the answer comes when it is there
  Transaction& transaction = transactions_[request];
  PAIRFS_REACHED(transaction_begun);
  transaction.client = event.input;
  transaction.plan = event.plan;
  start_attempt(transaction, now);
}

void TransactionCoordinator::start_attempt(Transaction& transaction, Instant now) {
  transaction.id = {transaction.client.request, config_.volume, config_.epoch, next_attempt_++};
  transaction.phase = Phase::kPreparing;
  transaction.stage = 0;
  transaction.participants.clear();
  transaction.limit = now + kAttemptMax;
  transaction.script = make_script(transaction.client, transaction.plan);
  if (transaction.script == nullptr)
    conclude(transaction, false, EIO, {}, now);
  else
    prepare_next(transaction, nullptr, now);
}

void TransactionCoordinator::prepare_next(Transaction& transaction, const PrepareReply* last,
                                          Instant now) {
  TransactionScript& script = *transaction.script;
  const auto next = script.next(last);
  if (!next) {
    const int refusal = script.refusal();
    conclude(transaction, refusal == 0 && script.changes_anything(), refusal,
             refusal == 0 ? script.reply() : Bytes(), now);
    return;
  }
  send(transaction.id,
       Prepare{.id = transaction.id,
               .slice = next->slice,
               .stage = transaction.stage++,
               .part = next->part,
               .credentials = script.credentials},
       now);
}

void TransactionCoordinator::on_prepared(Transaction& transaction, const CommandAnswered& event,
                                         Instant now) {
  if (event.status == ReplyStatus::kBusy || event.error == ECANCELED) {
    give_up_attempt(transaction, now);
    return;
  }
  const auto vote = event.error == 0 ? decode<PrepareReply>(event.reply) : std::nullopt;
  auto& participants = transaction.participants;
  const bool told = participants.empty() || !PAIRFS_MUTANT(participant_forgotten);
  if (vote && vote->volume != config_.volume && told &&
      std::find(participants.begin(), participants.end(), vote->volume) == participants.end())
    participants.push_back(vote->volume);
  if (event.status != ReplyStatus::kOutcome || (event.error == 0 && !vote))
    return conclude(transaction, false, EIO, {}, now);
  if (event.error != 0) {
    PAIRFS_REACHED(transaction_refused_vote);
    conclude(transaction, false, event.error, {}, now);
  } else {
    prepare_next(transaction, &*vote, now);
  }
}

// Forgets the attempt everywhere; the client's command is executed again a little later.
void TransactionCoordinator::give_up_attempt(Transaction& transaction, Instant now) {
  PAIRFS_REACHED(transaction_given_up);
  std::set<VolumeId> asked(transaction.participants.begin(), transaction.participants.end());
  asked.insert(config_.volume);
  for (const auto& [tag, pending] : pending_)  // its promise may be on the way
    if (pending.id == transaction.id && pending.input.op == Prepare::kOp)
      asked.insert(map_.volume_of(pending.input.slice));
  drop_pending(transaction.id);
  for (const VolumeId volume : asked) send_once(transaction.id, volume, false, now);
  transaction.phase = Phase::kPausing;
  transaction.limit = now + random_pause();
}

// ---- the decision ----

void TransactionCoordinator::conclude(Transaction& transaction, bool commit, int error, Bytes reply,
                                      Instant now) {
  drop_pending(transaction.id);
  transaction.phase = Phase::kConcluding;
  transaction.commit = commit;
  transaction.error = error;
  transaction.reply = std::move(reply);
  send(transaction.id,
       Conclude{.id = transaction.id,
                .volume = config_.volume,
                .slice = transaction.client.slice,
                .commit = commit,
                .error = static_cast<uint32_t>(error),
                .reply = transaction.reply,
                .participants = transaction.participants},
       now);
  if (PAIRFS_MUTANT(decide_before_concluded) && commit)
    for (const VolumeId volume : transaction.participants)
      send_once(transaction.id, volume, true, now);
}

void TransactionCoordinator::on_concluded(Transaction& transaction, const CommandAnswered& event,
                                          Instant now) {
  if (event.error == EALREADY) {  // the client's retry was executed on this volume alone
    give_up_attempt(transaction, now);
    answer(transaction);
    transactions_.erase(RequestId(transaction.client.request));
    return;
  }
  if (event.status != ReplyStatus::kOutcome || event.error != 0) {
    give_up_attempt(transaction, now);  // a participant's question came first
    return;
  }
  const TransactionId id = transaction.id;
  if (!transaction.commit) {
    PAIRFS_REACHED(transaction_aborted);
    for (const VolumeId volume : transaction.participants) send_once(id, volume, false, now);
    answer(transaction);
    transactions_.erase(id.request);
    return;
  }
  PAIRFS_REACHED(transaction_committed);
  transaction.phase = Phase::kDeciding;
  transaction.limit = now + kAnswerAfter;
  for (const VolumeId volume : transaction.participants)
    send(id, Decide{.id = id, .volume = volume, .commit = true}, now);
  if (!transaction.participants.empty()) return;
  answer(transaction);
  transactions_.erase(id.request);
}

void TransactionCoordinator::on_decided(Transaction& transaction, VolumeId volume, Instant now) {
  PAIRFS_REACHED(transaction_told);
  std::erase(transaction.participants, volume);
  if (!transaction.participants.empty() && !PAIRFS_MUTANT(forget_unconfirmed)) return;
  answer(transaction);
  transaction.phase = Phase::kForgetting;
  transaction.limit = Instant::max();
  send(transaction.id, ForgetTransaction{transaction.id, config_.volume}, now);
}

void TransactionCoordinator::answer(Transaction& transaction) {
  if (transaction.answered) return;
  transaction.answered = true;
  effects_.answer.push_back(transaction.client);
}

void TransactionCoordinator::on(const CommandAnswered& event, Instant now) {
  const auto found = pending_.find(event.tag);
  if (found == pending_.end()) return;
  const uint16_t op = found->second.input.op;
  const bool later = event.status == ReplyStatus::kNotExecutor ||
                     (event.status == ReplyStatus::kBusy && op != Prepare::kOp);
  if (later) {
    found->second.resend_at = now + kNotReadyPause;
    return;
  }
  const Pending pending = std::move(found->second);
  pending_.erase(found);
  if (op == ResolveTransaction::kOp) return on_resolved(pending, event, now);
  const auto transaction = transactions_.find(pending.id.request);
  if (transaction == transactions_.end() || transaction->second.id != pending.id) return;
  switch (op) {
    case Prepare::kOp:
      return on_prepared(transaction->second, event, now);
    case Conclude::kOp:
      return on_concluded(transaction->second, event, now);
    case Decide::kOp:
      return on_decided(transaction->second, pending.input.volume, now);
    default:
      PAIRFS_REACHED(transaction_forgotten);
      transactions_.erase(transaction);
  }
}

bool TransactionCoordinator::is_active(const TransactionId& id) const {
  const auto found = transactions_.find(id.request);
  if (found == transactions_.end() || found->second.id != id) return false;
  return found->second.phase == Phase::kPreparing || found->second.phase == Phase::kConcluding;
}

// ---- what others, or an earlier executor, left open ----

void TransactionCoordinator::on_resolved(const Pending& question, const CommandAnswered& event,
                                         Instant now) {
  const auto reply = decode<ResolveReply>(event.reply);
  if (event.status == ReplyStatus::kOutcome && event.error == 0 && reply)
    send_once(question.id, config_.volume, reply->commit, now);
  held_since_.erase(question.id);  // asked again, should it still be held
}

void TransactionCoordinator::on(const TransactionTick& event, Instant now) {
  if (!event.open) return;
  std::map<TransactionId, Instant> held;
  for (const TransactionId& id : event.open->held) {
    const auto active = transactions_.find(id.request);
    if (active != transactions_.end() && active->second.id == id) continue;
    const auto known = held_since_.find(id);
    const Instant since = known == held_since_.end() ? now : known->second;
    held[id] = since;
    if (now - since < kAskAfter || since == Instant::max()) continue;
    PAIRFS_REACHED(transaction_asked);
    held[id] = Instant::max();  // asked
    send(id, ResolveTransaction{id, id.coordinator}, now);
  }
  held_since_ = std::move(held);
  for (const auto& [id, participants] : event.open->decided) {
    if (transactions_.contains(id.request)) continue;
    PAIRFS_REACHED(transaction_taken_up);
    Transaction& transaction = transactions_[id.request];
    transaction.id = id;
    transaction.phase = Phase::kDeciding;
    transaction.limit = Instant::max();
    transaction.commit = true;
    transaction.answered = true;  // the client's retry finds the answer
    transaction.participants = participants;
    for (const VolumeId volume : participants)
      send(id, Decide{.id = id, .volume = volume, .commit = true}, now);
  }
}

// A pair leaves the cluster only when it holds nothing and has decided everything: its volumes have
// carried out what they were told, and what they did not commit was aborted.
void TransactionCoordinator::settle_removed_volumes(Instant now) {
  if (map_.pairs.empty()) return;
  std::vector<Pending> settled;
  std::erase_if(pending_, [&](const auto& item) {
    const VolumeId volume = item.second.input.volume;
    const bool gone = volume != VolumeId{} && map_.find_volume(volume) == nullptr;
    if (gone) settled.push_back(item.second);
    return gone;
  });
  for (const Pending& pending : settled) {
    const auto transaction = transactions_.find(pending.id.request);
    if (pending.input.op == ResolveTransaction::kOp)
      send_once(pending.id, config_.volume, false, now);
    else if (transaction != transactions_.end() && transaction->second.id == pending.id &&
             transaction->second.phase == Phase::kDeciding)
      on_decided(transaction->second, pending.input.volume, now);
  }
}

void TransactionCoordinator::on_timers(Instant now) {
  for (auto it = transactions_.begin(); it != transactions_.end();) {
    Transaction& transaction = it->second;
    if (now < transaction.limit) {
      ++it;
      continue;
    }
    const Phase phase = transaction.phase;
    transaction.limit = Instant::max();
    if (phase == Phase::kPreparing) give_up_attempt(transaction, now);
    if (phase == Phase::kDeciding || phase == Phase::kPausing) answer(transaction);
    // The client's command from the start: it may be answered meanwhile, or need no transaction.
    it = phase == Phase::kPausing ? transactions_.erase(it) : std::next(it);
  }
  for (auto& [tag, pending] : pending_) {
    if (now < pending.resend_at) continue;
    pending.resend_at = now + kResendAfter;
    effects_.send.push_back({tag, pending.input});
  }
}

Instant TransactionCoordinator::next_wake() const {
  Instant wake = Instant::max();
  for (const auto& [request, transaction] : transactions_) wake = std::min(wake, transaction.limit);
  for (const auto& [tag, pending] : pending_) wake = std::min(wake, pending.resend_at);
  return wake;
}

}  // namespace pairfs
