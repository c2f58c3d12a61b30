#include "test/sim/pair_world.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/crc32c.h"

namespace pairfs::sim {
using namespace std::chrono_literals;
namespace {
constexpr Duration kFaultPhase = 30s;
constexpr Duration kHealPhase = 30s;
constexpr Duration kOperatorLooks = 15s;  // after the faults, at what did not heal by itself
}  // namespace

LogSummary PairWorld::Log::log_summary() const {
  LogSummary s;
  s.base = base;
  s.base_chain = base == 0 ? 0 : entries[base - 1].chain;
  s.last = entries.size();
  s.last_chain = last_chain();
  s.last_epoch = entries.size() > base ? entries.back().epoch : 0;
  s.power_kept = power_kept;
  s.damaged = damaged;
  return s;
}
std::optional<uint32_t> PairWorld::Log::chain_at(Sequence s) const {
  if (s < base || s > entries.size()) return std::nullopt;
  return s == 0 ? 0 : entries[s - 1].chain;
}
bool PairWorld::Log::has_epoch(Epoch epoch) const {
  return std::any_of(entries.begin() + static_cast<std::ptrdiff_t>(base), entries.end(),
                     [&](const Entry& e) { return e.epoch == epoch; });
}

PairWorld::PairWorld(uint64_t seed, bool trace)
    : seed_(seed), tracing_(trace), random_(seed), now_(Duration(1s)) {
  // Swarm: each fault is off, rare or frequent.
  const auto rate = [&](Duration frequent) -> Duration {
    switch (random_.between(0, 2)) {
      case 0:
        return Duration{};
      case 1:
        return frequent * 5;
      default:
        return frequent;
    }
  };
  faults_.kill = rate(2s);
  faults_.power_loss = rate(4s);
  faults_.freeze = rate(2s);
  faults_.cut = rate(2s);
  faults_.map_outage = rate(3s);
  faults_.lose_one_in = random_.one_in(3) ? random_.between(5, 200) : 0;
  faults_.duplicate_one_in = random_.one_in(3) ? random_.between(5, 200) : 0;
  faults_.operators_word = rate(4s);
  faults_.rot_one_in = random_.one_in(3) ? random_.between(3, 20) : 0;
  faults_.latency_max = random_.one_in(3) ? 50ms : 1ms;
  nodes_[0].name = "1a";
  nodes_[1].name = "1b";
}

void PairWorld::note(const std::string& what) {
  for (const char c : what)
    fingerprint_ = (fingerprint_ ^ static_cast<uint8_t>(c)) * 0x100000001b3ULL;
  fingerprint_ ^= static_cast<uint64_t>(now_.time_since_epoch().count());
  if (tracing_)
    trace_.push_back(fmt::format("{:12.6f} {}",
                                 static_cast<double>(now_.time_since_epoch().count()) / 1e9, what));
}

void PairWorld::fail(const std::string& what) {
  note("FAILED: " + what);
  if (failure_.empty()) failure_ = what;
}

void PairWorld::at(Instant when, std::function<void()> what) {
  queue_.push({when, order_++, std::make_shared<std::function<void()>>(std::move(what))});
}

// Runs in the node's present life only; a frozen node does it when it thaws.
void PairWorld::at_node(int n, Duration delay, std::function<void()> what) {
  const uint64_t life = nodes_[static_cast<size_t>(n)].life;
  at(now_ + delay, [this, n, life, what = std::move(what)] {
    Node& node = nodes_[static_cast<size_t>(n)];
    if (!node.alive || node.life != life) return;
    if (now_ < node.frozen_until || !node.deferred.empty()) {
      node.deferred.push_back(what);  // in the order in which it was due
      if (node.deferred.size() == 1) at(node.frozen_until, [this, n, life] { thaw(n, life); });
    } else {
      what();
    }
  });
}

void PairWorld::thaw(int n, uint64_t life) {
  Node& node = nodes_[static_cast<size_t>(n)];
  if (node.life != life) return;
  if (now_ < node.frozen_until) {
    at(node.frozen_until, [this, n, life] { thaw(n, life); });
    return;
  }
  while (!node.deferred.empty() && node.life == life) {
    const auto what = std::move(node.deferred.front());
    node.deferred.pop_front();
    what();
  }
}

void PairWorld::start_node(int n) {
  Node& node = nodes_[static_cast<size_t>(n)];
  node.alive = true;
  ++node.life;
  node.incarnation = static_cast<uint64_t>(now_.time_since_epoch().count());
  node.link_up = false;
  node.syncing = node.sync_again = false;
  node.log.synced_through = node.log.entries.size();  // recovery syncs what it found
  node.core = std::make_unique<PairCore>(PairCore::Config{{1, 0},
                                                          {ShortText(node.name), node.incarnation},
                                                          nodes_[static_cast<size_t>(1 - n)].name,
                                                          n == 0,
                                                          {},
                                                          {},
                                                          node.kept},
                                         node.log, now_);
  note(node.name + " starts");
  connect();
  publish_record();
  feed(n, pair_event::Tick{});
}

void PairWorld::crash(int n, bool power) {
  Node& node = nodes_[static_cast<size_t>(n)];
  if (!node.alive) return;
  node.alive = false;
  if (node.core->record().epoch > 0) node.kept = node.core->record();
  ++node.life;
  node.core.reset();
  node.deferred.clear();
  node.pending.clear();
  node.frozen_until = {};
  note(node.name + (power ? " loses power" : " is killed"));
  ++stats_.counts[power ? "fault.power_loss" : "fault.kill"];
  if (power) {
    Log& log = node.log;
    const Sequence from = std::max(log.synced_through, log.base);
    const Sequence kept = random_.between(from, std::max<Sequence>(from, log.entries.size()));
    for (size_t i = kept; i < log.entries.size(); ++i)
      if (log.entries[i].command != 0) lost_copies_[log.entries[i].command] |= 1 << n;
    log.entries.resize(kept);
    log.power_kept = false;
  }
  const int other = 1 - n;
  if (nodes_[static_cast<size_t>(other)].link_up) {
    nodes_[static_cast<size_t>(other)].link_up = false;
    at_node(other, random_.duration(100us, 2ms),
            [this, other] { feed(other, pair_event::LinkDown{}); });
  }
  at(now_ + random_.duration(20ms, 3s), [this, n] { start_node(n); });
}

// Connections come up, one way and the other, some time after both ends live.
void PairWorld::connect() {
  for (int n = 0; n < 2; ++n) {
    at_node(n, random_.duration(1ms, 40ms), [this, n] {
      Node& node = nodes_[static_cast<size_t>(n)];
      if (node.link_up || !nodes_[static_cast<size_t>(1 - n)].alive) return;
      node.link_up = true;
      feed(n, pair_event::LinkUp{});
    });
  }
}

void PairWorld::append(Node& node, Epoch epoch, uint64_t command) {
  if (!node.log.entries.empty() && node.log.entries.back().epoch > epoch)
    fail(fmt::format("{} appends a record of epoch {} behind one of {}", node.name, epoch,
                     node.log.entries.back().epoch));
  Bytes text = fmt::format("{}/{}/{}", epoch, command, node.log.entries.size());
  node.log.entries.push_back({epoch, crc32c(text, node.log.last_chain()), command});
}

bool PairWorld::holds_all_answered(const Node& node) const {
  std::set<uint64_t> held;
  for (const Entry& e : node.log.entries) held.insert(e.command);
  return !node.log.damaged &&
         std::all_of(answered_.begin(), answered_.end(), [&](uint64_t command) {
           const auto copies = lost_copies_.find(command);
           return held.contains(command) || (copies != lost_copies_.end() && copies->second == 3);
         });
}

void PairWorld::feed(int n, const PairEvent& event) {
  Node& node = nodes_[static_cast<size_t>(n)];
  perform(n, node.core->step(event, now_));
  if (!node.alive) return;
  if (node.core->may_execute() && !node.core->solo()) last_healthy_ = now_;
  release(n);
  const uint64_t generation = ++node.tick_generation;
  const Duration wait = std::max<Duration>(node.core->next_wake() - now_, 100us);
  at_node(n, wait, [this, n, generation] {
    if (nodes_[static_cast<size_t>(n)].tick_generation == generation) feed(n, pair_event::Tick{});
  });
}

void PairWorld::perform(int n, PairEffects effects) {
  Node& node = nodes_[static_cast<size_t>(n)];
  for (PairEffect& effect : effects) {
    std::visit(
        [&]<class E>(E& e) {
          if constexpr (std::is_same_v<E, pair_effect::Send>) {
            send(n, e.message);
          } else if constexpr (std::is_same_v<E, pair_effect::Swap>) {
            swap(n, e.expected_version, e.record);
          } else if constexpr (std::is_same_v<E, pair_effect::ReadMap>) {
            at_node(n, random_.duration(100us, 2ms), [this, n] {
              if (now_ < map_down_until_) return;
              feed(n, pair_event::Record{record_, record_version_});
              feed(n, pair_event::MapAnswered{});
            });
          } else if constexpr (std::is_same_v<E, pair_effect::Open>) {
            node.pending.clear();
            at_node(n, random_.duration(1ms, 100ms), [this, n, epoch = e.epoch] {
              Node& opened = nodes_[static_cast<size_t>(n)];
              if (opened.core->role() != PairCore::Role::kOpening || opened.core->epoch() != epoch)
                return;
              // The other copy is the partner's, which has a right to it only as half of a pair.
              opened.log.damaged = faults_on_ && random_.one_in(faults_.rot_one_in) &&
                                   was_paired_ &&
                                   holds_all_answered(nodes_[static_cast<size_t>(1 - n)]);
              if (opened.log.damaged) note_damage(n);
              feed(n, pair_event::Opened{!opened.log.damaged, opened.log.damaged});
            });
          } else if constexpr (std::is_same_v<E, pair_effect::Close>) {
            node.pending.clear();
          } else if constexpr (std::is_same_v<E, pair_effect::AppendEpoch>) {
            append(node, e.epoch, 0);
            at_node(n, 0us, [this, n] { feed(n, pair_event::Appended{}); });
          } else if constexpr (std::is_same_v<E, pair_effect::Sync>) {
            sync(n);
          } else if constexpr (std::is_same_v<E, pair_effect::ResetLog>) {
            // The records up to the base are in the shared store's consistency point.
            const Log& theirs = nodes_[static_cast<size_t>(1 - n)].log;
            if (e.base > theirs.entries.size() ||
                (e.base > 0 && theirs.entries[e.base - 1].chain != e.base_chain)) {
              if (e.base != 0) return fail("a log was reset to a base that no store has");
            }
            if (node.history_stays)
              return fail(node.name +
                          " drops a history that was answered, and no operator said so");
            node.log.entries.assign(theirs.entries.begin(),
                                    theirs.entries.begin() + static_cast<std::ptrdiff_t>(e.base));
            if (tracing_) note(fmt::format("{} resets its log to {}", node.name, e.base));
            node.log.base = node.log.synced_through = e.base;
            node.log.power_kept = true;
            node.log.damaged = false;
            node.log.apart = false;
            ++stats_.counts["rejoin.reset"];
          } else if constexpr (std::is_same_v<E, pair_effect::Trim>) {
            node.log.base =
                std::max(node.log.base, std::min<Sequence>(e.through, node.log.entries.size()));
            ++stats_.counts["log.trim"];
          } else if constexpr (std::is_same_v<E, pair_effect::Checkpoint>) {
            const Sequence contains = node.log.entries.size();
            at_node(n, random_.duration(1ms, 50ms), [this, n, contains] {
              Node& executor = nodes_[static_cast<size_t>(n)];
              if (!executor.core->may_execute()) return;
              append(executor, executor.core->record_epoch(), 0);
              feed(n, pair_event::Appended{});
              feed(n, pair_event::Confirmable{executor.log.entries.size(), contains});
            });
          } else if constexpr (std::is_same_v<E, pair_effect::Role>) {
            note(fmt::format("{} e{} {}", node.name, node.core->epoch(), e.text));
            ++stats_.counts["role." + e.text];
          } else if constexpr (std::is_same_v<E, pair_effect::KeepApart>) {
            node.log.apart = e.on;
          } else if constexpr (std::is_same_v<E, pair_effect::GiveUp>) {
            at_node(n, 0us, [this, n] { crash(n, false); });
          }
        },
        effect);
  }
  // One executor per epoch.
  if (node.core->role() == PairCore::Role::kExecutor) {
    const auto self = std::pair(node.name, node.incarnation);
    const auto [found, fresh] = executor_of_epoch_.emplace(node.core->epoch(), self);
    if (!fresh && found->second != self)
      fail(fmt::format("two executors in epoch {}", node.core->epoch()));
  }
}

void PairWorld::send(int n, const LinkMessage& message) {
  const int other = 1 - n;
  std::vector<Entry> records;
  const Log& log = nodes_[static_cast<size_t>(n)].log;
  if (static_cast<LinkMessage::Kind>(message.kind) == LinkMessage::Kind::kRecords)
    for (Sequence s = message.first; s <= message.last; ++s) records.push_back(log.entries[s - 1]);
  if (!nodes_[static_cast<size_t>(n)].link_up) return;
  int copies = 1;
  if (cut(n) || (faults_on_ && random_.one_in(faults_.lose_one_in))) copies = 0;
  if (faults_on_ && random_.one_in(faults_.duplicate_one_in)) ++copies;
  for (int i = 0; i < copies; ++i) {
    // In order on one connection, unless it is a late duplicate.
    Instant when = now_ + random_.duration(20us, faults_on_ ? faults_.latency_max : 1ms);
    if (i == 0)
      when = last_delivery_[static_cast<size_t>(n)] =
          std::max(when, last_delivery_[static_cast<size_t>(n)]);
    at_node(other, when - now_,
            [this, other, message, records] { deliver(other, message, records); });
  }
}

// What the real log does: records that do not continue the chain are not appended.
bool PairWorld::message_continues(const Log& log, const std::vector<Entry>& records) {
  uint32_t chain = log.last_chain();
  Sequence at = log.entries.size();
  for (const Entry& e : records) {
    if (e.chain != crc32c(fmt::format("{}/{}/{}", e.epoch, e.command, at++), chain)) return false;
    chain = e.chain;
  }
  return true;
}

void PairWorld::deliver(int n, LinkMessage message, std::vector<Entry> records) {
  Node& node = nodes_[static_cast<size_t>(n)];
  bool appended = false;
  if (node.core->accepts_records(message) && message.last >= message.first &&
      message.first == node.log.entries.size() + 1 && message_continues(node.log, records)) {
    node.log.entries.insert(node.log.entries.end(), records.begin(), records.end());
    appended = true;
    if (tracing_)
      note(fmt::format("{} e{} holds through {}", node.name, node.core->epoch(),
                       node.log.entries.size()));
  }
  feed(n, pair_event::Received{message, appended});
}

void PairWorld::sync(int n) {
  Node& node = nodes_[static_cast<size_t>(n)];
  if (node.syncing) {
    node.sync_again = true;
    return;
  }
  node.syncing = true;
  node.sync_again = false;
  const Sequence through = node.log.entries.size();
  at_node(n, random_.duration(200us, random_.one_in(20) ? 80ms : 3ms), [this, n, through] {
    Node& synced = nodes_[static_cast<size_t>(n)];
    synced.log.synced_through =
        std::max(synced.log.synced_through, std::min<Sequence>(through, synced.log.entries.size()));
    synced.syncing = false;
    feed(n, pair_event::Synced{});
    if (synced.alive && synced.sync_again) sync(n);
  });
}

void PairWorld::swap(int n, uint64_t expected_version, const VolumeRecord& record) {
  ++stats_.counts["map.swap"];
  const uint64_t life = nodes_[static_cast<size_t>(n)].life;
  at(now_ + random_.duration(100us, 5ms), [=, this] {
    const bool reached = now_ >= map_down_until_;
    bool swapped = false;
    if (reached && record_version_ == expected_version) {
      swapped = true;
      was_paired_ = !record_.solo;
      const std::string& name = nodes_[static_cast<size_t>(n)].name;
      if (record_.solo && record_.epoch > 0 && record.executor.name == name &&
          record_.executor.name != name)
        note_started_alone(n);
      if (!record.solo)  // what its log had, the other one has
        for (Node& each : nodes_) each.history_stays = false;
      record_ = record;
      ++record_version_;
      note(fmt::format("map: epoch {} executor {} {}", record.epoch, record.executor.name,
                       record.solo ? "solo" : "paired"));
      publish_record();
    }
    const bool answer_lost = !reached || (faults_on_ && random_.one_in(20));
    if (answer_lost) ++stats_.counts["map.unknown_outcome"];
    if (nodes_[static_cast<size_t>(n)].life != life) return;
    const pair_event::Swapped known{true, swapped, record_, record_version_};
    at_node(n, answer_lost ? Duration(1s) : random_.duration(100us, 2ms), [=, this] {
      feed(n, answer_lost ? PairEvent(pair_event::Swapped{}) : PairEvent(known));
    });
  });
}

void PairWorld::publish_record() {
  for (int n = 0; n < 2; ++n)
    at_node(n, random_.duration(200us, 5ms), [this, n] {
      if (now_ >= map_down_until_)
        feed(n, pair_event::Record{record_, record_version_});
      else
        at(map_down_until_ + 1ms, [this] { publish_record(); });
    });
}

void PairWorld::execute_some(int n) {
  Node& node = nodes_[static_cast<size_t>(n)];
  if (!node.alive || now_ < node.frozen_until || !node.core->may_execute()) return;
  if (random_.one_in(4)) {
    node.pending.push_back({0, node.log.entries.size(), false, answered_.size()});
  } else {
    const uint64_t command = next_command_++;
    append(node, node.core->record_epoch(), command);
    const bool durable = random_.one_in(5);
    node.pending.push_back({command, node.log.entries.size(), durable, 0});
    feed(n, pair_event::Appended{});
    if (durable && node.alive) feed(n, pair_event::WantDurable{});
  }
  if (node.alive) release(n);
  if (node.alive && random_.one_in(200)) perform(n, {pair_effect::Checkpoint{}});
  if (node.alive && random_.one_in(2000)) feed(n, pair_event::HandOver{});
}

void PairWorld::release(int n) {
  Node& node = nodes_[static_cast<size_t>(n)];
  std::vector<Pending> kept;
  for (const Pending& p : node.pending) {
    if (!node.core->may_answer(p.gate, p.command == 0, p.durable, now_)) {
      kept.push_back(p);
      continue;
    }
    if (p.command != 0) {
      answered_.push_back(p.command);
      if (tracing_)
        note(fmt::format("{} e{} answers {} at {}", node.name, node.core->epoch(), p.command,
                         p.gate));
      ++stats_.counts["answered.mutation"];
      continue;
    }
    ++stats_.counts["answered.read"];
    std::set<uint64_t> seen;
    for (Sequence s = 1; s <= p.gate; ++s) seen.insert(node.log.entries[s - 1].command);
    for (size_t i = p.answered_before > 50 ? p.answered_before - 50 : 0; i < p.answered_before; ++i)
      if (!seen.contains(answered_[i]) && lost_copies_[answered_[i]] != 3)
        return fail(fmt::format("{} answered a read at {} of {} without command {}", node.name,
                                p.gate, node.log.entries.size(), answered_[i]));
  }
  node.pending = std::move(kept);
}

void PairWorld::client_loop() {
  if (!faults_on_ || random_.one_in(100))
    for (int n = 0; n < 2; ++n) drop_history(n);
  for (int n = 0; n < 2; ++n) execute_some(n);
  at(now_ + random_.duration(1ms, 40ms), [this] { client_loop(); });
}

void PairWorld::check_converged() {
  // A planned handover may be under way just now.
  if (now_ - last_healthy_ > 3s)
    return fail(fmt::format("no healthy pair after the faults ended: epoch {} executor {} {}",
                            record_.epoch, record_.executor.name,
                            record_.solo ? "solo" : "paired"));
  const Node* executor = &nodes_[record_.executor.name == "1a" ? 0 : 1];
  std::map<uint64_t, int> times;
  for (const Entry& e : executor->log.entries) ++times[e.command];
  for (const uint64_t command : answered_) {
    if (times[command] == 1) continue;
    if (times[command] == 0 && lost_copies_[command] == 3) continue;
    fail(
        fmt::format("command {} was answered and is in the log {} times", command, times[command]));
  }
}

std::string PairWorld::run() {
  record_.executor = {"", 0};
  record_version_ = 1;
  for (int n = 0; n < 2; ++n) start_node(n);
  client_loop();
  schedule_faults();
  const Instant faults_end = now_ + kFaultPhase;
  const Instant end = faults_end + kHealPhase;
  while (failure_.empty() && !queue_.empty() && queue_.top().when < end) {
    const Event event = queue_.top();
    queue_.pop();
    now_ = event.when;
    if (faults_on_ && now_ >= faults_end) {
      faults_on_ = false;
      cut_until_ = {};
      map_down_until_ = {};
      note("faults end");
      publish_record();
      connect();
      at(now_ + kOperatorLooks, [this] { operator_looks(); });
    }
    (*event.what)();
  }
  if (failure_.empty()) check_converged();
  return failure_;
}

}  // namespace pairfs::sim
