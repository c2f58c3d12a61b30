#include "test/sim/mutants.h"

#include <fmt/core.h>

#include <algorithm>

#include "common/test_switch.h"

namespace pairfs::sim {
namespace {
using test_switch::Mutant;

struct Description {
  Mutant mutant;
  const char* name;
  const char* breaks;
  Worlds worlds = Worlds::kAll;  // that can catch it
};
#define PAIRFS_DESCRIBE(name, breaks) \
  { Mutant::name, #name, breaks }
#define PAIRFS_BETWEEN(name, breaks) \
  { Mutant::name, #name, breaks, Worlds::kVolumes }
constexpr Description kMutants[] = {
    PAIRFS_DESCRIBE(ack_before_held, "a change is answered before the partner holds it"),
    PAIRFS_DESCRIBE(read_before_held, "a read shows a change that the partner does not hold"),
    PAIRFS_DESCRIBE(lease_unchecked, "the lease is not checked when a read's answer goes out"),
    PAIRFS_DESCRIBE(solo_without_map, "solo before the map says so"),
    PAIRFS_DESCRIBE(unanswered_solo_believed, "an unanswered swap to solo counts as done"),
    PAIRFS_DESCRIBE(unanswered_takeover_holds, "a logger that asked to take over still holds"),
    PAIRFS_DESCRIBE(unanswered_swap_forgotten, "an unanswered swap counts as refused"),
    PAIRFS_DESCRIBE(stale_incarnation, "messages of and for earlier lives are accepted"),
    PAIRFS_DESCRIBE(stale_epoch, "records of another epoch are accepted"),
    PAIRFS_DESCRIBE(takeover_inside_lease, "the logger takes over before its promise has run out"),
    PAIRFS_DESCRIBE(promise_forgotten, "the logger grants leases and does not remember it"),
    PAIRFS_DESCRIBE(lease_from_receipt, "a lease counts from its receipt, not from the asking"),
    PAIRFS_DESCRIBE(start_without_waiting, "a restarted node does not wait a lease"),
    PAIRFS_DESCRIBE(takeover_unsynced, "takeover with a log that is not synced"),
    PAIRFS_DESCRIBE(solo_ack_unsynced, "solo answers what is not synced"),
    PAIRFS_DESCRIBE(durable_here_only, "fsync does not wait for the partner's disk"),
    PAIRFS_DESCRIBE(paired_before_caught_up, "paired before the partner has caught up"),
    PAIRFS_DESCRIBE(join_any_log, "a joiner's forked log is continued"),
    PAIRFS_DESCRIBE(held_any_history, "what a partner holds of another history counts"),
    PAIRFS_DESCRIBE(lone_start_after_power_loss, "a lone start with a log that lost power"),
    PAIRFS_DESCRIBE(shorter_log_wins, "of two logs the shorter one starts"),
    PAIRFS_DESCRIBE(trim_before_confirmed, "logs are trimmed before the consistency point counts"),
    PAIRFS_DESCRIBE(log_cut_in_the_middle, "a damaged log is cut as if its tail were torn"),
    PAIRFS_DESCRIBE(takeover_drops_tail, "takeover forgets the last record"),
    PAIRFS_DESCRIBE(checkpoint_claims_more, "a consistency point claims a record too many"),
    PAIRFS_DESCRIBE(reply_cache_dropped, "a new executor forgets the stored replies"),
    PAIRFS_DESCRIBE(retry_executed, "a retry is executed again"),
    PAIRFS_DESCRIBE(lower_sequence_executed, "a late duplicate is executed"),
    PAIRFS_DESCRIBE(unknown_session_executed, "a command of an expired session is executed"),
    PAIRFS_DESCRIBE(new_id_on_retry, "a client retries under a new request id"),
    PAIRFS_DESCRIBE(opens_not_declared, "a client does not tell a new executor what is open"),
    PAIRFS_BETWEEN(prepare_ignores_locks, "a transaction prepares what another one holds"),
    PAIRFS_BETWEEN(decide_before_concluded, "participants are told before the decision is logged"),
    PAIRFS_BETWEEN(abort_not_remembered, "a participant is told 'aborted' and it is not logged"),
    PAIRFS_BETWEEN(forget_unconfirmed, "a decision is forgotten before everyone has confirmed"),
    PAIRFS_BETWEEN(read_under_intent, "a name under an undecided transaction is shown"),
    PAIRFS_BETWEEN(vote_unsynced, "a vote of yes is not synced"),
    PAIRFS_BETWEEN(decision_unsynced, "participants are told before the decision is synced"),
    PAIRFS_BETWEEN(part_unsynced, "a participant confirms before its part is synced"),
    PAIRFS_BETWEEN(concluded_without_slice, "a volume decides for a slice that has moved away"),
    PAIRFS_BETWEEN(answered_and_concluded, "a request that has an answer is decided once more"),
    PAIRFS_BETWEEN(participant_forgotten, "only the first participant is told the decision"),
    PAIRFS_BETWEEN(walk_ignores_walks, "two transactions move directories at the same time"),
    PAIRFS_BETWEEN(walk_ends_at_volume, "the way up is looked at on one volume only"),
    PAIRFS_BETWEEN(rename_ignores_walks, "a local rename moves a directory under a walk"),
    PAIRFS_BETWEEN(pinned_removed, "a directory that is to gain a name is removed"),
    PAIRFS_BETWEEN(half_way_is_safe, "the old parent's way to the root says that a move is safe"),
    PAIRFS_BETWEEN(move_under_intent, "a slice moves while a transaction holds something in it"),
    PAIRFS_BETWEEN(move_under_walk, "a slice moves while a transaction relies on the way up"),
    PAIRFS_BETWEEN(still_slice_changed, "commands on other slices change one that stands still"),
    PAIRFS_BETWEEN(changes_not_copied, "what commands change during a copy is not copied again"),
    PAIRFS_BETWEEN(counter_left_behind, "the inode counter does not move with its slice"),
    PAIRFS_BETWEEN(replies_left_behind, "answers do not move with their slice"),
    PAIRFS_BETWEEN(given_and_forgotten, "a new executor does not go on with what was given"),
    PAIRFS_BETWEEN(cleared_before_opened, "the source clears its copy before the target serves"),
    PAIRFS_BETWEEN(old_copy_kept, "what an earlier move left is not cleared"),
    PAIRFS_BETWEEN(older_move_received, "parts of an older move are accepted"),
    PAIRFS_BETWEEN(part_received_twice, "a part that comes again is stored again"),
    PAIRFS_BETWEEN(taken_unsynced, "the target's promise is not synced"),
    PAIRFS_BETWEEN(given_unsynced, "the target serves before the commit is synced"),
    PAIRFS_BETWEEN(opened_unsynced, "the source clears before the target's opening is synced"),
    PAIRFS_BETWEEN(opened_when_taken, "the target serves before the source has given"),
    PAIRFS_BETWEEN(given_and_kept, "the source serves on after it gave"),
    PAIRFS_BETWEEN(given_unsealed, "an earlier attempt's GiveSlice gives"),
    PAIRFS_BETWEEN(numbers_kept, "inode numbers go on where they were when a slice comes back"),
    PAIRFS_BETWEEN(orphans_forgotten, "a slice's orphans are not looked after at its target"),
    PAIRFS_DESCRIBE(diverged_dropped, "a history that was answered is dropped without an operator"),
    PAIRFS_DESCRIBE(earlier_leases_forgotten,
                    "a new executor does not wait for leases of the old one"),
    PAIRFS_DESCRIBE(recall_not_waited_for, "a change is answered before its leases came back"),
    PAIRFS_DESCRIBE(reads_overtake_recalls, "a read shows a change whose leases are still out"),
    PAIRFS_DESCRIBE(lease_survives_term, "a client answers under a lease that has run out"),
    PAIRFS_DESCRIBE(lease_survives_epoch, "a client keeps the leases of a deposed executor"),
    PAIRFS_DESCRIBE(late_grant_believed, "a client believes a grant that a recall overtook"),
    PAIRFS_DESCRIBE(recall_unheeded, "a client gives a lease back and goes on answering"),
    PAIRFS_DESCRIBE(writer_not_asked, "a file is shown while another's answered writes are out"),
    PAIRFS_DESCRIBE(writers_not_noted, "a new executor does not know who answers writes itself"),
    PAIRFS_DESCRIBE(given_back_unwritten, "a file is given back before its writes are executed"),
    PAIRFS_DESCRIBE(writes_overtaken, "a client's commands pass writes that it has answered"),
    PAIRFS_DESCRIBE(unanswered_not_noted, "a new executor forgets changes that wait for leases"),
    PAIRFS_DESCRIBE(own_change_unnoticed, "a client's own change leaves its cache as it was"),
};
#undef PAIRFS_BETWEEN
#undef PAIRFS_DESCRIBE

#define PAIRFS_NAME(name) #name,
constexpr const char* kReached[] = {PAIRFS_REACHED_POINTS(PAIRFS_NAME)};
#undef PAIRFS_NAME

constexpr uint64_t kEnough = 3;

}  // namespace

std::map<std::string, uint64_t> take_reached() {
  std::map<std::string, uint64_t> counts;
  for (size_t i = 0; i < std::size(kReached); ++i)
    counts[std::string("reached.") + kReached[i]] = std::exchange(test_switch::reached[i], 0);
  return counts;
}

bool turn_on_mutant(const std::string& name) {
  for (const Description& d : kMutants)
    if (name == d.name) {
      test_switch::mutant = d.mutant;
      return true;
    }
  return false;
}

bool run_mutants(const RunOptions& options, const std::string& only) {
  uint64_t most = 0, missed = 0, caught = 0;
  for (const Description& d : kMutants) {
    if (!only.empty() && only != d.name) continue;
    RunOptions with = options;
    with.failures_max = kEnough;
    if (options.worlds == Worlds::kAll) with.worlds = d.worlds;
    with.prepare = [&d] {
      test_switch::mutant = d.mutant;
      // What a broken invariant prints is expected here.
      if (std::freopen("/dev/null", "w", stderr) == nullptr) std::abort();
    };
    const RunSummary summary = run_seeds(with, [](const SeedResult&) {});
    const std::string first = summary.failed.empty() ? "" : summary.failed.front().why;
    fmt::print("{:28} {:>6} in {} of {} seeds: {}\n", d.name,
               summary.failed.empty() ? "MISSED" : "caught", summary.failed.size(), summary.seeds,
               summary.failed.empty() ? d.breaks : first.substr(0, first.find('\n')));
    std::fflush(stdout);
    ++(summary.failed.empty() ? missed : caught);
    most = std::max(most, summary.seeds);
  }
  RunOptions without = options;
  without.seeds = most;
  const RunSummary clean = run_seeds(without, [](const SeedResult& result) {
    fmt::print("without mutants, seed {} failed: {}\n", result.seed, result.why);
  });
  fmt::print("{} mutants caught, {} missed; without them {} of the same {} seeds failed\n", caught,
             missed, clean.failed.size(), clean.seeds);
  return missed == 0 && clean.failed.empty();
}

}  // namespace pairfs::sim
