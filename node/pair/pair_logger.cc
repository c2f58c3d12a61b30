// PairCore of a logger, or of a joiner that is about to become one.
#include <algorithm>

#include "common/test_switch.h"
#include "node/pair/pair_core.h"

namespace pairfs {

bool PairCore::accepts_records(const LinkMessage& m) const {
  if (static_cast<LinkMessage::Kind>(m.kind) != LinkMessage::Kind::kRecords) return false;
  if (!PAIRFS_MUTANT(stale_incarnation) &&
      (m.sender != record_.executor.incarnation || m.receiver != config_.self.incarnation))
    return false;  // P1
  if ((m.epoch != epoch_ || record_.epoch != epoch_) && !PAIRFS_MUTANT(stale_epoch)) return false;
  // After an unanswered takeover swap a node neither holds nor grants (P5).
  if (swapping_ && !PAIRFS_MUTANT(unanswered_takeover_holds)) return false;
  return role_ == Role::kLogger || (role_ == Role::kJoining && streaming_);
}

Incarnation PairCore::holds_for() const {
  const bool holds = role_ == Role::kLogger && record_.epoch == epoch_ && !swapping_ && link_up_ &&
                     !loss_told_ && partner_incarnation_ == record_.executor.incarnation;
  return holds ? record_.executor.incarnation : 0;
}

void PairCore::send_held(bool resend, int64_t stamp, Effects& out) {
  LinkMessage held = message(LinkMessage::Kind::kHeld);
  const LogSummary log = log_.log_summary();
  held.held = log.last;
  held.log.last_chain = log.last_chain;
  held.synced_through = log_.synced();
  held.resend = resend;
  held.lease_stamp_ns = stamp;
  reported_synced_ = held.synced_through;
  out.push_back(pair_effect::Send{held});
}

void PairCore::on_records(const pair_event::Received& event, Instant now, Effects& out) {
  const LinkMessage& m = event.message;
  if (!accepts_records(m)) return;
  records_heard_ = now;
  // P4: the promise counts from the receipt. A joiner's is kept once the map calls it the logger.
  if (!PAIRFS_MUTANT(promise_forgotten)) promised_until_ = now + config_.timings.lease;
  const int64_t stamp = m.lease_stamp_ns;
  if (m.sync_wanted > log_.synced()) out.push_back(pair_effect::Sync{});
  if (m.trim_through > 0) out.push_back(pair_effect::Trim{m.trim_through});
  const bool missing = log_.log_summary().last < m.last;
  send_held(missing, stamp, out);
}

void PairCore::on_accept(const LinkMessage& m, Instant now, Effects& out) {
  if (role_ != Role::kJoining || m.epoch != epoch_ || m.sender != record_.executor.incarnation)
    return;
  const LogSummary log = log_.log_summary();
  // Only the answer to what our log is now: an older one may tell to go on from elsewhere.
  if (streaming_ || m.log.last != log.last || m.log.last_chain != log.last_chain) return;
  PAIRFS_REACHED(p7_joins);
  if (m.reset) {
    PAIRFS_REACHED(p7_log_reset);
    out.push_back(pair_effect::ResetLog{m.log.base, m.log.base_chain});
  }
  streaming_ = true;
  records_heard_ = now;
}

void PairCore::advance_logger(Instant now, Effects& out) {
  if (swapping_) return;
  const PairTimings& t = config_.timings;
  // A new connection is the old partner's only once it said so.
  const bool connection_lost = !link_up_ || partner_incarnation_ != record_.executor.incarnation;
  const bool silent = now - last_heard_ >= t.silence;
  if (!connection_lost && !silent) {
    loss_told_ = false;
    wake_at(last_heard_ + t.silence);
    return;
  }
  if (!loss_told_) {
    loss_told_ = true;
    out.push_back(pair_effect::Role{std::string("partner lost: ") +
                                    (connection_lost ? "connection lost" : "silent")});
  }
  // A record that says solo(it) promises a synced log: it may start alone with it later (P9).
  const LogSummary log = log_.log_summary();
  const bool synced = log_.synced() >= log.last;
  if (!synced) out.push_back(pair_effect::Sync{});
  if (now < promised_until_ && !PAIRFS_MUTANT(takeover_inside_lease)) {
    wake_at(promised_until_);
    return;
  }
  if (log.damaged || (!synced && !PAIRFS_MUTANT(takeover_unsynced))) return;
  PAIRFS_REACHED(p5_logger_takes_over);
  request_swap({record_.epoch + 1, config_.self, record_.executor, true}, now, out);
}

}  // namespace pairfs
