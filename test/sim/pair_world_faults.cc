// PairWorld: which faults strike, and when, and what an operator says about them.
#include <fmt/core.h>

#include "test/sim/pair_world.h"

namespace pairfs::sim {
using namespace std::chrono_literals;

// A node that has the volume alone is gone, or died with a log that is known to be bad, and an
// operator does not wait for it (P9).
void PairWorld::start_alone(int n) {
  Node& node = nodes_[static_cast<size_t>(n)];
  Node& other = nodes_[static_cast<size_t>(1 - n)];
  if (!node.alive || now_ < node.frozen_until) return;
  if (other.alive && !other.log.damaged) return;
  if (!record_.solo || record_.executor.name != other.name || node.log.damaged) return;
  if (node.core->record().epoch != record_.epoch) return;
  if (!node.core->start_alone_obstacle(false, now_).empty()) return;
  note("an operator starts " + node.name + " alone");
  ++stats_.counts["fault.operators_word"];
  feed(n, pair_event::StartAlone{});
}

void PairWorld::operator_looks() {
  for (int n = 0; n < 2; ++n) start_alone(n);
  at(now_ + 1s, [this] { operator_looks(); });
}

// The map has taken his word: what only the other node has is lost, unless he decides otherwise.
void PairWorld::note_started_alone(int n) {
  Node& node = nodes_[static_cast<size_t>(n)];
  Node& other = nodes_[static_cast<size_t>(1 - n)];
  std::set<uint64_t> held;
  for (const Entry& e : node.log.entries) held.insert(e.command);
  for (const uint64_t command : answered_)
    if (!held.contains(command)) lost_copies_[command] = 3;
  other.history_stays =
      !other.log.entries.empty() && other.log.entries.back().epoch >= record_.epoch;
  node.history_stays = false;
}

// What the other node has not synced yet has no copy now that a power loss there would leave.
void PairWorld::note_damage(int n) {
  ++stats_.counts["fault.rot"];
  const Log& log = nodes_[static_cast<size_t>(n)].log;
  for (Sequence s = nodes_[static_cast<size_t>(1 - n)].log.synced_through; s < log.entries.size();
       ++s)
    if (log.entries[s].command != 0) lost_copies_[log.entries[s].command] |= 1 << n;
}

// And, later, gives up what only this node has (P10).
void PairWorld::drop_history(int n) {
  Node& node = nodes_[static_cast<size_t>(n)];
  if (!node.alive || now_ < node.frozen_until || !node.core->diverged()) return;
  node.history_stays = false;
  feed(n, pair_event::DropHistory{});
}

void PairWorld::schedule_fault(Duration mean, std::function<void()> strike) {
  if (mean == Duration{}) return;
  at(now_ + random_.duration(mean / 10, mean * 2), [this, mean, strike = std::move(strike)] {
    if (!faults_on_) return;
    strike();
    schedule_fault(mean, strike);
  });
}

void PairWorld::schedule_faults() {
  const auto any_node = [this] { return static_cast<int>(random_.between(0, 1)); };
  schedule_fault(faults_.kill, [=, this] {
    crash(any_node(), false);
    if (random_.one_in(5)) crash(any_node(), false);
  });
  schedule_fault(faults_.power_loss, [=, this] {
    crash(any_node(), true);
    if (random_.one_in(5)) crash(any_node(), true);
  });
  schedule_fault(faults_.freeze, [=, this] {
    Node& node = nodes_[static_cast<size_t>(any_node())];
    node.frozen_until = std::max(node.frozen_until, now_ + random_.duration(20ms, 3s));
    note(node.name + " freezes");
    ++stats_.counts["fault.freeze"];
  });
  schedule_fault(faults_.cut, [=, this] {
    const Instant until = now_ + random_.duration(20ms, 3s);
    const auto which = random_.between(1, 3);
    if (which & 1) cut_until_[0] = until;
    if (which & 2) cut_until_[1] = until;
    note(fmt::format("link cut {}", which));
    ++stats_.counts[which == 3 ? "fault.cut_both_ways" : "fault.cut_one_way"];
  });
  schedule_fault(faults_.operators_word, [=, this] {
    for (int n = 0; n < 2; ++n) start_alone(n);
  });
  schedule_fault(faults_.map_outage, [=, this] {
    map_down_until_ = now_ + random_.duration(50ms, 4s);
    note("map down");
    ++stats_.counts["fault.map_outage"];
  });
}

}  // namespace pairfs::sim
