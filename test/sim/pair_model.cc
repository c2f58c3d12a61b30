#include "test/sim/pair_model.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/crc32c.h"

namespace pairfs::sim {
namespace {

constexpr size_t kStuckMax = 3;  // messages that wait for a frozen node; further ones are lost
const VolumeId kVolume{1, 0};

// The cores of all states look through these two at the log of the state that is worked on.
ModelLogView views[2];

uint32_t chain_of(const ModelRecord& record, Sequence at, uint32_t before) {
  return crc32c(fmt::format("{}/{}/{}", record.epoch, record.command, at), before);
}

}  // namespace

PairTimings PairModel::timings() {
  PairTimings t;
  t.lease = 2 * kUnit;
  t.heartbeat = kUnit;
  t.silence = 3 * kUnit;
  t.resend = kUnit;
  t.background_sync = kUnit;
  t.unsynced_max = 2 * kUnit;
  t.map_timeout = 3 * kUnit;
  t.alone_wait = 4 * kUnit;
  t.automatic_giveback = false;
  return t;
}

LogSummary ModelLogView::log_summary() const {
  LogSummary s;
  s.last = log_->size();
  s.last_chain = log_->empty() ? 0 : log_->back().chain;
  s.last_epoch = log_->empty() ? 0 : log_->back().epoch;
  s.power_kept = power_kept_;
  return s;
}

std::optional<uint32_t> ModelLogView::chain_at(Sequence s) const {
  if (s > log_->size()) return std::nullopt;
  return s == 0 ? 0 : (*log_)[s - 1].chain;
}

bool ModelLogView::has_epoch(Epoch epoch) const {
  return std::any_of(log_->begin(), log_->end(),
                     [&](const ModelRecord& record) { return record.epoch == epoch; });
}

PairModel::PairModel(int faults) : faults_left_(0) {
  start(0);
  start(1);
  faults_left_ = faults;
}

PairModel::PairModel(const PairModel& other)
    : cut_(other.cut_),
      record_(other.record_),
      version_(other.version_),
      map_down_(other.map_down_),
      now_(other.now_),
      faults_left_(other.faults_left_),
      commands_left_(other.commands_left_),
      reads_left_(other.reads_left_),
      answered_(other.answered_),
      executors_(other.executors_),
      next_incarnation_(other.next_incarnation_),
      current_(other.current_),
      broken_(other.broken_) {
  for (int n = 0; n < 2; ++n) {
    Node& to = at(n);
    const Node& from = other.at(n);
    to.alive = from.alive;
    to.frozen = from.frozen;
    to.incarnation = from.incarnation;
    if (from.core != nullptr) to.core = std::make_unique<PairCore>(*from.core);
    to.log = from.log;
    to.synced = from.synced;
    to.power_kept = from.power_kept;
    to.apart = from.apart;
    to.link_up = from.link_up;
    to.link_news = from.link_news;
    to.dead_partner = from.dead_partner;
    to.syncing = from.syncing;
    to.sync_again = from.sync_again;
    to.opening = from.opening;
    to.asked_map = from.asked_map;
    to.map_seen = from.map_seen;
    to.swap = from.swap;
    to.stray = from.stray;
    to.answer = from.answer;
    to.kept = from.kept;
    to.waiting = from.waiting;
    to.inbox = from.inbox;
    to.late = from.late;
  }
}

void PairModel::fail(const std::string& what) {
  if (broken_.empty()) broken_ = what;
}

void PairModel::look(int n) const {
  views[n].look_at(at(n).log, at(n).synced, at(n).power_kept, at(n).apart);
}

// ---- lives --------------------------------------------------------------------------------------

void PairModel::start(int n) {
  Node& node = at(n);
  node.alive = true;
  node.frozen = false;
  node.incarnation = next_incarnation_++;
  node.synced = node.log.size();  // recovery syncs what it found
  look(n);
  node.core = std::make_unique<PairCore>(PairCore::Config{kVolume,
                                                          {ShortText(kNames[n]), node.incarnation},
                                                          kNames[1 - n],
                                                          n == 0,
                                                          timings(),
                                                          {},
                                                          node.kept},
                                         views[n], now_);
  if (at(1 - n).alive)
    for (int each = 0; each < 2; ++each) at(each).link_up = at(each).link_news = true;
}

void PairModel::end_life(int n, bool power) {
  Node& node = at(n);
  Node& partner = at(1 - n);
  const Incarnation incarnation = node.incarnation;
  std::optional<Swap> stray = node.swap ? node.swap : node.stray;  // it may still arrive
  ModelLog log = std::move(node.log);
  if (power) log.resize(std::min<Sequence>(node.synced, log.size()));
  const bool power_kept = node.power_kept && !power;
  const bool apart = node.apart;
  const VolumeRecord kept = node.core->record().epoch > 0 ? node.core->record() : node.kept;
  node = Node{};
  node.kept = kept;
  node.apart = apart;
  node.log = std::move(log);
  node.power_kept = power_kept;
  node.stray = std::move(stray);
  if (power) partner.inbox.clear();  // a killed process's last messages may still arrive
  if (partner.alive && partner.link_up) {
    partner.link_up = false;
    partner.link_news = true;
    partner.dead_partner = incarnation;
  }
}

// ---- the core and its effects -------------------------------------------------------------------

void PairModel::feed(int n, const PairEvent& event) {
  look(n);
  carry_out(n, at(n).core->step(event, now_));
  release(n);
  check(n);
}

void PairModel::append(int n, Epoch epoch, int command) {
  ModelLog& log = at(n).log;
  if (!log.empty() && log.back().epoch > epoch)
    fail(fmt::format("{} appends a record of epoch {} behind one of {}", kNames[n], epoch,
                     log.back().epoch));
  ModelRecord record{epoch, 0, command};
  record.chain = chain_of(record, log.size(), log.empty() ? 0 : log.back().chain);
  log.push_back(record);
  look(n);
}

void PairModel::carry_out(int n, PairEffects effects) {
  Node& node = at(n);
  bool appended = false;
  for (PairEffect& effect : effects) {
    std::visit(
        [&]<class E>(E& e) {
          if constexpr (std::is_same_v<E, pair_effect::Send>) {
            if (!node.link_up || !at(1 - n).alive) return;
            if (cut_[static_cast<size_t>(n)]) return;
            if (at(1 - n).frozen && at(1 - n).inbox.size() >= kStuckMax) return;
            Message message{e.message, {}};
            if (static_cast<LinkMessage::Kind>(e.message.kind) == LinkMessage::Kind::kRecords)
              for (Sequence s = e.message.first; s <= e.message.last; ++s)
                message.records.push_back(node.log[s - 1]);
            at(1 - n).inbox.push_back(std::move(message));
          } else if constexpr (std::is_same_v<E, pair_effect::Swap>) {
            node.swap = Swap{e.expected_version, e.record};
          } else if constexpr (std::is_same_v<E, pair_effect::ReadMap>) {
            node.asked_map = true;
          } else if constexpr (std::is_same_v<E, pair_effect::Open>) {
            node.waiting.clear();
            node.opening = true;
          } else if constexpr (std::is_same_v<E, pair_effect::Close>) {
            node.waiting.clear();
            node.opening = false;
          } else if constexpr (std::is_same_v<E, pair_effect::AppendEpoch>) {
            append(n, e.epoch, 0);
            appended = true;
          } else if constexpr (std::is_same_v<E, pair_effect::Sync>) {
            if (node.syncing)
              node.sync_again = true;
            else
              node.syncing = node.log.size();
          } else if constexpr (std::is_same_v<E, pair_effect::ResetLog>) {
            if (e.base != 0) return fail("a log was reset to a base that no store has");
            node.log.clear();
            node.synced = 0;
            node.power_kept = true;
            node.apart = false;
            node.syncing.reset();
            node.sync_again = false;
            look(n);
          } else if constexpr (std::is_same_v<E, pair_effect::KeepApart>) {
            node.apart = e.on;
            look(n);
          } else if constexpr (std::is_same_v<E, pair_effect::GiveUp>) {
            fail("a node gave up without a reason");
          }
        },
        effect);
  }
  if (appended) feed(n, pair_event::Appended{});
}

void PairModel::deliver(int n, const Message& message) {
  Node& node = at(n);
  look(n);
  bool appended = false;
  const LinkMessage& link = message.link;
  if (node.core->accepts_records(link) && link.last >= link.first &&
      link.first == node.log.size() + 1) {
    appended = true;
    for (const ModelRecord& record : message.records) {
      const uint32_t before = node.log.empty() ? 0 : node.log.back().chain;
      if (record.chain != chain_of(record, node.log.size(), before) ||
          (!node.log.empty() && node.log.back().epoch > record.epoch)) {
        appended = false;
        break;
      }
      node.log.push_back(record);
    }
    look(n);
  }
  feed(n, pair_event::Received{link, appended});
}

void PairModel::swap_at_map(std::optional<Swap>& swap, int n) {
  const bool swapped = version_ == swap->expected;
  if (swapped) {
    record_ = swap->record;
    ++version_;
  }
  const bool own = &swap == &at(n).swap;
  swap.reset();
  if (own) at(n).answer = pair_event::Swapped{true, swapped, record_, version_};
}

// ---- what must be -------------------------------------------------------------------------------

void PairModel::release(int n) {
  Node& node = at(n);
  std::vector<Waiting> kept;
  for (const Waiting& waiting : node.waiting) {
    if (!node.core->may_answer(waiting.gate, waiting.command == 0, false, now_)) {
      kept.push_back(waiting);
    } else if (waiting.command != 0) {
      answered_ |= 1 << waiting.command;
    } else {
      int seen = 0;
      for (Sequence s = 1; s <= waiting.gate; ++s) seen |= 1 << node.log[s - 1].command;
      if ((waiting.answered_before & ~seen) != 0)
        fail(fmt::format("{} answers a read that misses an answered command", kNames[n]));
    }
  }
  node.waiting = std::move(kept);
}

void PairModel::check(int n) {
  const Node& node = at(n);
  if (node.core->role() != PairCore::Role::kExecutor) return;
  const auto known = std::find_if(executors_.begin(), executors_.end(), [&](const auto& each) {
    return each.first == node.core->epoch();
  });
  if (known == executors_.end())
    executors_.emplace_back(node.core->epoch(), node.incarnation);
  else if (known->second != node.incarnation)
    fail(fmt::format("two executors in epoch {}", node.core->epoch()));
  // Who is the executor by the map has all that was answered.
  if (record_.executor.incarnation != node.incarnation) return;
  int held = 0;
  for (const ModelRecord& record : node.log) held |= 1 << record.command;
  if ((answered_ & ~held) != 0)
    fail(fmt::format("{} executes without a command that was answered", kNames[n]));
}

}  // namespace pairfs::sim
