// What can happen to a PairModel, how it heals, and what tells its states apart.
#include <fmt/core.h>

#include <algorithm>

#include "test/sim/pair_fingerprint.h"
#include "test/sim/pair_model.h"

namespace pairfs::sim {

// ---- what can happen ----------------------------------------------------------------------------

void PairModel::add_quick(int n, std::vector<Action>& out) const {
  const Node& node = at(n);
  if (node.swap && !map_down_) out.push_back({What::kSwapAtMap, n});
  if (!runs(n)) return;
  if (!node.inbox.empty() || now_ >= node.core->next_wake()) out.push_back({What::kTurn, n});
  if (node.syncing) out.push_back({What::kSyncEnds, n});
  if (node.opening) out.push_back({What::kOpens, n});
  if (node.link_news) out.push_back({node.link_up ? What::kLinkUp : What::kLinkDown, n});
  if (node.answer) out.push_back({What::kSwapAnswered, n});
  if (map_down_) return;
  if (node.map_seen < version_) out.push_back({What::kMapNews, n});
  if (node.asked_map) out.push_back({What::kMapAnswers, n});
}

// What two nodes do in one moment touches different things, so it is enough that one goes first,
// either of them, and the other then.
std::vector<PairModel::Action> PairModel::actions() const {
  std::vector<Action> out;
  if (current_ >= 0) add_quick(current_, out);
  for (int n = 0; n < 2 && (out.empty() || current_ < 0); ++n) add_quick(n, out);
  const bool quick = !out.empty();
  for (int n = 0; n < 2; ++n) {
    const Node& node = at(n);
    if (node.stray && !map_down_) out.push_back({What::kStraySwap, n});
    if (!node.alive) out.push_back({What::kRestart, n});
    if (node.frozen) out.push_back({What::kThaw, n});
    if (cut_[static_cast<size_t>(n)]) out.push_back({What::kHealLink, n});
    if (!runs(n)) continue;
    if (node.late) out.push_back({What::kLateMessage, n});
    if (node.dead_partner != 0 && !node.link_news) out.push_back({What::kPartnerDead, n});
    if (!node.core->may_execute() || !node.waiting.empty()) continue;
    if (commands_left_ > 0) out.push_back({What::kCommand, n});
    if (reads_left_ > 0) out.push_back({What::kRead, n});
  }
  if (map_down_) out.push_back({What::kMapUp});
  if (!quick) out.push_back({What::kTime});
  if (faults_left_ == 0) return out;
  if (!map_down_) out.push_back({What::kMapDown});
  for (int n = 0; n < 2; ++n) {
    const Node& node = at(n);
    if (!cut_[static_cast<size_t>(n)]) out.push_back({What::kCut, n});
    if (!node.alive) continue;
    out.push_back({What::kKill, n});
    // What both hold unsynced is lost when both lose power; that is not promised to be survived.
    if (at(1 - n).alive && at(1 - n).power_kept) out.push_back({What::kPowerLoss, n});
    if (node.answer && node.answer->known) out.push_back({What::kAnswerLost, n});
    if (node.frozen) continue;
    out.push_back({What::kFreeze, n});
    if (!node.inbox.empty() && !node.late) out.push_back({What::kMessageLate, n});
    if (node.core->role() == PairCore::Role::kExecutor && !node.core->solo())
      out.push_back({What::kHandOver, n});
  }
  return out;
}

void PairModel::perform(const Action& action) {
  const int n = action.node;
  Node& node = at(n);
  if (action.what >= What::kKill && action.what < What::kTime) --faults_left_;
  current_ = action.what < What::kCommand ? n : -1;
  switch (action.what) {
    case What::kTurn:  // as a node's loop: all that has arrived, then the timers
      for (const Message& message : std::exchange(node.inbox, {})) deliver(n, message);
      if (now_ >= node.core->next_wake()) feed(n, pair_event::Tick{});
      return;
    case What::kSyncEnds:
      node.synced = std::max(node.synced, std::min<Sequence>(*node.syncing, node.log.size()));
      node.syncing.reset();
      if (std::exchange(node.sync_again, false)) node.syncing = node.log.size();
      return feed(n, pair_event::Synced{});
    case What::kOpens:
      node.opening = false;
      return feed(n, pair_event::Opened{true});
    case What::kLinkUp:
      node.link_news = false;
      return feed(n, pair_event::LinkUp{});
    case What::kLinkDown:
      node.link_news = false;
      return feed(n, pair_event::LinkDown{});
    case What::kSwapAtMap:
      return swap_at_map(node.swap, n);
    case What::kStraySwap:
      return swap_at_map(node.stray, n);
    case What::kSwapAnswered: {
      const pair_event::Swapped answer = *std::exchange(node.answer, std::nullopt);
      if (answer.known) node.map_seen = std::max(node.map_seen, answer.version);
      return feed(n, answer);
    }
    case What::kMapNews:
      node.map_seen = version_;
      return feed(n, pair_event::Record{record_, version_});
    case What::kMapAnswers:
      node.asked_map = false;
      return feed(n, pair_event::MapAnswered{});
    case What::kCommand: {
      look(n);
      append(n, node.core->record_epoch(), 1 + kCommands - commands_left_--);
      node.waiting.push_back({node.log.back().command, node.log.size(), 0});
      return feed(n, pair_event::Appended{});
    }
    case What::kRead:
      --reads_left_;
      node.waiting.push_back({0, node.log.size(), answered_});
      look(n);
      return release(n);
    case What::kPartnerDead:
      return feed(n, pair_event::PartnerDead{std::exchange(node.dead_partner, 0)});
    case What::kRestart:
      return start(n);
    case What::kThaw:
      node.frozen = false;
      return;
    case What::kHealLink:
      cut_[static_cast<size_t>(n)] = false;
      return;
    case What::kMapUp:
      map_down_ = false;
      return;
    case What::kKill:
      return end_life(n, false);
    case What::kPowerLoss:
      return end_life(n, true);
    case What::kFreeze:
      node.frozen = true;
      return;
    case What::kCut:
      cut_[static_cast<size_t>(n)] = true;
      return;
    case What::kMapDown:
      map_down_ = true;
      return;
    case What::kMessageLate:
      node.late = std::move(node.inbox.front());
      node.inbox.erase(node.inbox.begin());
      return;
    case What::kLateMessage:
      return deliver(n, *std::exchange(node.late, std::nullopt));
    case What::kAnswerLost:
      node.answer = pair_event::Swapped{};
      return;
    case What::kHandOver:
      return feed(n, pair_event::HandOver{});
    case What::kTime:
      now_ += kUnit;
      return;
  }
}

std::string PairModel::describe(const Action& action) {
  static const char* const kWords[] = {"has a turn",
                                       "has synced",
                                       "has opened",
                                       "is connected",
                                       "lost its connection",
                                       "swaps at the map",
                                       "learns of its swap",
                                       "hears of the map",
                                       "hears that the map is there",
                                       "gets a command",
                                       "gets a read",
                                       "gets a late message",
                                       "swaps late",
                                       "hears that its partner is dead",
                                       "starts",
                                       "thaws",
                                       "can send again",
                                       "the map is back",
                                       "is killed",
                                       "loses power",
                                       "freezes",
                                       "cannot send",
                                       "the map is down",
                                       "does not get a message yet",
                                       "loses its swap's answer",
                                       "is to hand over",
                                       "time passes"};
  const char* const words = kWords[static_cast<int>(action.what)];
  if (action.what == What::kMapUp || action.what == What::kMapDown || action.what == What::kTime)
    return words;
  return fmt::format("{} {}", kNames[action.node], words);
}

std::string PairModel::summary() const {
  std::string text = fmt::format("map: epoch {} {} {}{}", record_.epoch, record_.executor.name,
                                 record_.solo ? "solo" : "paired", map_down_ ? ", down" : "");
  for (int n = 0; n < 2; ++n) {
    const Node& node = at(n);
    text += fmt::format("; {} {} e{} log {} synced {} of e{}, {} messages, {} waiting", kNames[n],
                        !node.alive   ? "dead"
                        : node.frozen ? "frozen"
                                      : to_string(node.core->role()),
                        node.core == nullptr ? 0 : node.core->epoch(), node.log.size(), node.synced,
                        node.log.empty() ? 0 : node.log.back().epoch, node.inbox.size(),
                        node.waiting.size());
  }
  return text;
}

// ---- a future without faults --------------------------------------------------------------------

bool PairModel::whole() const {
  if (record_.solo || map_down_ || cut_[0] || cut_[1]) return false;
  for (int n = 0; n < 2; ++n) {
    if (!runs(n) || !at(n).waiting.empty()) return false;
    const bool executes = record_.executor.incarnation == at(n).incarnation;
    if (executes ? !at(n).core->may_execute() : at(n).core->role() != PairCore::Role::kLogger)
      return false;
  }
  return true;
}

bool PairModel::go_on_healthily() {
  if (whole()) return false;
  map_down_ = false;
  cut_ = {};
  for (int n = 0; n < 2; ++n) {
    if (!at(n).alive) start(n);
    at(n).frozen = false;
  }
  // Each thing that is possible gets its turn, so that none waits for ever for the others.
  for (const Action& action : actions()) {
    if (action.what >= What::kCommand && action.what != What::kTime) continue;
    const std::vector<Action> still = actions();
    const bool possible = std::any_of(still.begin(), still.end(), [&](const Action& each) {
      return each.what == action.what && each.node == action.node;
    });
    if (possible) perform(action);
  }
  return true;
}

// ---- identity -----------------------------------------------------------------------------------

Sequence PairModel::synced_by_both() const {
  const ModelLog &a = nodes_[0].log, &b = nodes_[1].log;
  const Sequence most =
      std::min({nodes_[0].synced, nodes_[1].synced, Sequence(a.size()), Sequence(b.size())});
  Sequence both = 0;
  while (both < most && a[both].chain == b[both].chain) ++both;
  return both;
}

uint64_t PairModel::fingerprint(bool with_budget) const {
  Fingerprint::Origin origin{now_,     record_.epoch,    next_incarnation_,
                             version_, synced_by_both(), {}};
  for (size_t n = 0; n < 2; ++n)
    for (const ModelRecord& record : nodes_[n].log) origin.chains[n].push_back(record.chain);
  const Sequence both = origin.both;
  Fingerprint print(std::move(origin));
  if (with_budget) print.add(faults_left_, commands_left_, reads_left_, current_ + 1);
  print.add(answered_, map_down_, cut_[0], cut_[1]);
  print.add_record(record_);
  for (const auto& [epoch, incarnation] : executors_) {
    if (epoch < record_.epoch) continue;
    print.add_epoch(epoch);
    print.add_incarnation(incarnation);
  }
  const auto add_swap = [&](const std::optional<Swap>& swap) {
    print.add(swap.has_value());
    if (!swap) return;
    print.add_version(swap->expected);
    print.add_record(swap->record);
  };
  const auto add_message = [&](const Message& message) {
    print.add_message(message.link);
    for (const ModelRecord& record : message.records) print.add_chain(record.chain);
  };
  int common = 0;
  for (Sequence s = 0; s < both; ++s) common |= 1 << nodes_[0].log[s].command;
  print.add(common);
  for (const Node& node : nodes_) {
    print.add(node.alive, node.frozen, node.power_kept, node.apart, node.link_up, node.link_news,
              node.syncing.has_value(), node.sync_again, node.opening, node.asked_map,
              node.waiting.size(), node.inbox.size(), node.answer.has_value(),
              node.late.has_value());
    print.add_incarnation(node.incarnation);
    print.add_incarnation(node.dead_partner);
    print.add_version(node.map_seen);
    print.add_sequence(node.synced);
    if (node.syncing) print.add_sequence(*node.syncing);
    bool has_epoch = false;
    for (Sequence s = 0; s < node.log.size(); ++s) {
      has_epoch |= node.log[s].epoch == record_.epoch;
      if (s < both) continue;
      print.add_epoch(node.log[s].epoch);
      print.add(node.log[s].command);
    }
    print.add(has_epoch);
    add_swap(node.swap);
    add_swap(node.stray);
    if (node.answer) {
      print.add(node.answer->known, node.answer->swapped);
      print.add_version(node.answer->version);
      print.add_record(node.answer->record);
    }
    for (const Waiting& waiting : node.waiting) {
      print.add(waiting.command, waiting.answered_before);
      print.add_sequence(waiting.gate);
    }
    for (const Message& message : node.inbox) add_message(message);
    if (node.late) add_message(*node.late);
    if (node.core == nullptr)
      print.add_record(node.kept);
    else
      print.add_core(*node.core, timings());
  }
  return print.value();
}

}  // namespace pairfs::sim
