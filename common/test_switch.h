// Switches that only the simulator turns: deliberate protocol bugs (mutants), which prove that its
// oracles see them, and counters of what was reached. In the product both are nothing at all. The
// simulator compiles the files that decide things once more, with PAIRFS_TEST_SWITCHES, where the
// macros look at the variables below.
//
//   if (partner_held_ < sequence && !PAIRFS_MUTANT(ack_before_held)) return false;
//   PAIRFS_REACHED(p5_solo);
//
// What each mutant breaks: test/sim/mutants.cc.
#pragma once

#ifndef PAIRFS_TEST_SWITCHES

#define PAIRFS_MUTANT(name) false
#define PAIRFS_REACHED(what) ((void)0)

#else

#include <cstdint>

// clang-format off
#define PAIRFS_MUTANTS(X)                                                                     \
  X(ack_before_held) X(read_before_held) X(lease_unchecked) X(solo_without_map)               \
  X(unanswered_solo_believed) X(unanswered_takeover_holds) X(unanswered_swap_forgotten)       \
  X(stale_incarnation) X(stale_epoch) X(takeover_inside_lease) X(promise_forgotten)           \
  X(lease_from_receipt) X(start_without_waiting) X(takeover_unsynced) X(solo_ack_unsynced)    \
  X(durable_here_only) X(paired_before_caught_up) X(join_any_log) X(held_any_history)         \
  X(lone_start_after_power_loss) X(shorter_log_wins) X(trim_before_confirmed)                 \
  X(log_cut_in_the_middle) X(takeover_drops_tail) X(checkpoint_claims_more)                   \
  X(reply_cache_dropped) X(retry_executed) X(lower_sequence_executed)                         \
  X(unknown_session_executed) X(new_id_on_retry) X(opens_not_declared) X(prepare_ignores_locks)\
  X(decide_before_concluded) X(abort_not_remembered) X(forget_unconfirmed)                    \
  X(read_under_intent) X(vote_unsynced) X(decision_unsynced) X(part_unsynced)                 \
  X(concluded_without_slice) X(answered_and_concluded) X(participant_forgotten)               \
  X(walk_ignores_walks) X(walk_ends_at_volume) X(rename_ignores_walks) X(pinned_removed)      \
  X(half_way_is_safe) X(move_under_intent) X(move_under_walk) X(still_slice_changed)          \
  X(changes_not_copied) X(counter_left_behind) X(replies_left_behind) X(given_and_forgotten)  \
  X(cleared_before_opened) X(old_copy_kept) X(older_move_received) X(part_received_twice)     \
  X(taken_unsynced) X(given_unsynced) X(opened_unsynced) X(opened_when_taken)                 \
  X(given_and_kept) X(given_unsealed) X(numbers_kept) X(orphans_forgotten) X(diverged_dropped)\
  X(earlier_leases_forgotten) X(recall_not_waited_for)                                        \
  X(lease_survives_term) X(lease_survives_epoch) X(late_grant_believed) X(recall_unheeded)    \
  X(own_change_unnoticed) X(reads_overtake_recalls) X(writer_not_asked) X(writers_not_noted)  \
  X(given_back_unwritten) X(writes_overtaken) X(unanswered_not_noted)

#define PAIRFS_REACHED_POINTS(X)                                                              \
  X(p1_other_life_refused) X(p1_higher_epoch_seen) X(p2_ack_waits) X(p3_read_waits)           \
  X(p4_lease_missing) X(p4_lease_granted) X(p5_solo) X(p5_unknown_swap_repeated)              \
  X(p5_stricter_rule) X(p5_logger_takes_over) X(p6_opened) X(p6_tail_replayed)                \
  X(p7_waits_a_lease) X(p7_joins) X(p7_log_reset) X(p7_paired) X(p7_giveback) X(p8_handover)  \
  X(p8_map_away) X(p6_left_to_partner) X(p6_gap_refused) X(p9_operators_word)                 \
  X(p10_history_kept) X(p10_pair_unheard_of) X(p7_joins_again)                                \
  X(p9_waits_for_partner) X(p9_starts_alone) X(p9_longest_log_starts) X(p9_solo_restarts)     \
  X(log_tail_cut) X(log_damage_found) X(log_trimmed) X(checkpoint_logged)                     \
  X(checkpoint_confirmed) X(checkpoint_failed) X(session_expired) X(retry_answered_again)     \
  X(stale_slot_dropped) X(transaction_begun) X(transaction_refused_vote)                      \
  X(transaction_given_up) X(transaction_committed) X(transaction_aborted)                     \
  X(transaction_told) X(transaction_forgotten) X(transaction_asked) X(transaction_taken_up)   \
  X(ring_copied) X(ring_closed) X(ring_recovered)                                             \
  X(lease_recalled) X(lease_ran_out) X(answered_from_lease) X(late_grant_ignored)             \
  X(writer_let) X(writer_asked) X(earlier_writer_waited_for) X(written_behind)                \
  X(behind_waited_for) X(give_back_waits_for_writes) X(unanswered_noted)
// clang-format on

namespace pairfs::test_switch {

#define PAIRFS_NAME(name) name,
enum class Mutant { none, PAIRFS_MUTANTS(PAIRFS_NAME) };
enum class Reached { PAIRFS_REACHED_POINTS(PAIRFS_NAME) kCount };
#undef PAIRFS_NAME

extern Mutant mutant;  // the one that is on
extern uint64_t reached[static_cast<int>(Reached::kCount)];

}  // namespace pairfs::test_switch

#define PAIRFS_MUTANT(name) (::pairfs::test_switch::mutant == ::pairfs::test_switch::Mutant::name)
#define PAIRFS_REACHED(what) \
  (++::pairfs::test_switch::reached[static_cast<int>(::pairfs::test_switch::Reached::what)])

#endif
