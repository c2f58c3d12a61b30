// PairCore of a node without a role in the volume: first start, restart, both nodes down, joining.
#include <algorithm>

#include "common/test_switch.h"
#include "node/pair/pair_core.h"

namespace pairfs {

void PairCore::begin_opening(Effects& out) {
  set_role(Role::kOpening, out);
  epoch_ = record_.epoch;
  serving_ = false;
  streaming_ = false;
  stop_stream();
  partner_held_ = partner_synced_ = 0;
  lease_until_ = {};
  unsynced_.clear();
  handing_over_ = HandingOver::kNone;
  going_solo_ = false;
  logged_cp_record_ = logged_cp_contains_ = 0;
  confirmed_contains_ = 0;
  out.push_back(pair_effect::Open{epoch_});
}

// Nothing was ever logged in this epoch, as it did not begin. If the one before it was paired, the
// partner has all that was answered, and may open the volume in its place. With a bad log it must;
// elements that are missing here may come back sooner than a partner that is gone.
void PairCore::opening_failed(bool log_bad, Instant now, Effects& out) {
  const bool partner_known = link_up_ && partner_incarnation_ != 0;
  if (paired_epoch_ + 1 != record_.epoch || !(log_bad || partner_known)) {
    out.push_back(pair_effect::GiveUp{});
    return;
  }
  if (!cannot_open_) out.push_back(pair_effect::Role{"cannot open the volume"});
  cannot_open_ = true;
  if (swapping_) return;
  PAIRFS_REACHED(p6_left_to_partner);
  const Incarnation partner = partner_known ? partner_incarnation_ : record_.logger.incarnation;
  request_swap({record_.epoch + 1, {config_.partner, partner}, config_.self, true}, now, out);
}

void PairCore::request_own_epoch(Instant now, Effects& out) {
  Incarnation partner =
      record_.logger.name == config_.partner ? record_.logger.incarnation : partner_incarnation_;
  // An operator's word against a partner that served alone: this was never its half (note_alone).
  if (record_.solo && record_.executor.name == config_.partner) partner = 0;
  request_swap({record_.epoch + 1, config_.self, {config_.partner, partner}, true}, now, out);
}

// Where this node served solo, nobody else may go on without its log. But a record that names that
// life as the executor's last partner says that they were a pair after it: that life ended before
// it heard of its own swap.
void PairCore::note_alone(const VolumeRecord& record) {
  if (!record.solo) {
    alone_epoch_ = 0;
    history_dropped_ = false;
  } else if (record.executor.name == config_.self.name) {
    alone_epoch_ = record.epoch;
    alone_life_ = record.executor.incarnation;
  } else if (alone_life_ != 0 && record.logger == NodeLife{config_.self.name, alone_life_}) {
    PAIRFS_REACHED(p10_pair_unheard_of);
    alone_epoch_ = 0;
  }
}

bool PairCore::diverged() const {
  if (!record_.solo || record_.executor.name == config_.self.name || history_dropped_) return false;
  return log_.kept_apart() || (alone_epoch_ != 0 && log_.log_summary().last_epoch >= alone_epoch_);
}

std::string PairCore::start_alone_obstacle(bool force, Instant now) const {
  if (!record_known_ || record_.epoch == 0) return "the map is not known yet";
  if (role_ == Role::kExecutor || role_ == Role::kOpening) return "this node has the volume";
  if (swapping_) return "a change of role is under way";
  if (now < started_at_ + config_.timings.lease) return "the node has just started";
  if (!force && partner_is(record_.executor)) return "the partner executes the volume";
  return "";
}

void PairCore::start_alone(Instant now, Effects& out) {
  if (!start_alone_obstacle(true, now).empty()) return;
  PAIRFS_REACHED(p9_operators_word);
  out.push_back(pair_effect::Role{"started alone by an operator"});
  history_dropped_ = false;
  request_own_epoch(now, out);
}

// P9: this node's log has the first record of the record's epoch, without a gap, and nothing that
// was written can have been lost with the power.
bool PairCore::may_start_alone() const {
  const LogSummary log = log_.log_summary();
  return !log.damaged && (log.power_kept || PAIRFS_MUTANT(lone_start_after_power_loss)) &&
         log_.has_epoch(record_.epoch);
}

// P9: the longest log of the last epoch wins; equal ones: the home node.
bool PairCore::better_than_partner() const {
  const LogSummary mine = log_.log_summary();
  const LogSummary& theirs = partner_log_;
  if (mine.damaged != theirs.damaged) return theirs.damaged;
  if (mine.last_epoch != theirs.last_epoch) return mine.last_epoch > theirs.last_epoch;
  if (mine.last != theirs.last) return (mine.last > theirs.last) != PAIRFS_MUTANT(shorter_log_wins);
  return config_.home;
}

void PairCore::advance_idle(Instant now, Effects& out) {
  if (swapping_) return;
  const PairTimings& t = config_.timings;
  if (now < started_at_ + t.lease && !PAIRFS_MUTANT(start_without_waiting)) {
    // P7: leases that an earlier life granted must run out.
    PAIRFS_REACHED(p7_waits_a_lease);
    wake_at(started_at_ + t.lease);
    return;
  }
  const auto start = [&] { request_own_epoch(now, out); };
  const bool partner_known = link_up_ && partner_incarnation_ != 0;
  if (record_.epoch == 0) {  // a new volume: its home node begins
    if (config_.home || (!partner_known && now >= started_at_ + 3 * t.alone_wait))
      request_swap({1, config_.self, {config_.partner, 0}, true}, now, out);
    return;
  }
  if (partner_is(record_.executor)) {  // the partner executes: be its logger
    if (role_ != Role::kJoining) {
      set_role(Role::kJoining, out);
      epoch_ = record_.epoch;
      streaming_ = false;
      join_at_ = {};
    }
    if (streaming_ && now - records_heard_ < t.silence) return;  // else it forgot us: ask again
    if (now - join_at_ >= t.resend) {
      join_at_ = now;
      streaming_ = false;
      LinkMessage join = message(LinkMessage::Kind::kJoin);
      join.log = log_.log_summary();
      join.reset = !diverged();
      out.push_back(pair_effect::Send{join});
    }
    wake_at(join_at_ + t.resend);
    return;
  }
  if (role_ == Role::kJoining) set_role(Role::kIdle, out);
  if (record_.solo) {
    // Solo: only the executor's own log is complete.
    const LogSummary log = log_.log_summary();
    const bool never_paired = record_.logger.incarnation == 0;
    if (record_.executor.name == config_.self.name && !log.damaged &&
        (log.last_epoch > 0 || never_paired)) {
      PAIRFS_REACHED(p9_solo_restarts);
      start();
    }
    return;
  }
  // Paired, and one of the two named lives is this node's earlier one.
  const NodeLife& other =
      record_.executor.name == config_.self.name ? record_.logger : record_.executor;
  if (partner_is(other)) return;  // it lives: it takes over, or goes solo, and then we join
  if (partner_known) {
    if (better_than_partner() && !log_.log_summary().damaged) {
      PAIRFS_REACHED(p9_longest_log_starts);
      start();
    }
  } else if (now >= started_at_ + t.alone_wait) {
    if (may_start_alone()) {
      PAIRFS_REACHED(p9_starts_alone);
      start();
    }
  } else {
    PAIRFS_REACHED(p9_waits_for_partner);
    wake_at(started_at_ + t.alone_wait);
  }
}

}  // namespace pairfs
