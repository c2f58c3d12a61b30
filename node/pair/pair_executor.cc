// PairCore of an executor: streaming to the partner, solo, pairing, handing over.
#include <algorithm>

#include "common/test_switch.h"
#include "node/pair/pair_core.h"

namespace pairfs {
namespace {
constexpr uint64_t kBatchBytes = 1 << 20;
constexpr uint64_t kCatchUpWindowBytes = 8 << 20;
constexpr Sequence kPairingLagRecords = 64;  // close enough to close the gap with service stopped
constexpr Sequence kShortReplayRecords = 1024;
constexpr uint64_t kShortReplayBytes = 16 << 20;
constexpr int kHandoverPointsMax = 3;  // consistency points that a handover waits for
}  // namespace

void PairCore::start_stream(Incarnation to, Sequence held, Instant now) {
  stream_to_ = to;
  partner_held_ = held;
  partner_synced_ = 0;  // it says so itself
  rewind(held);
  progress_at_ = now;
  sent_at_ = {};
  sync_sent_ = 0;
  lease_until_ = {};
}

void PairCore::stop_stream() {
  stream_to_ = 0;
  pairing_ = Pairing::kNone;
  in_flight_.clear();
  in_flight_bytes_ = 0;
}

void PairCore::rewind(Sequence held) {
  sent_ = held;
  in_flight_.clear();
  in_flight_bytes_ = 0;
}

void PairCore::leave_executor(Effects& out) {
  stop_stream();
  serving_ = false;
  handing_over_ = HandingOver::kNone;
  going_solo_ = false;
  pairing_record_ = 0;
  unsynced_.clear();
  out.push_back(pair_effect::Close{});
  set_role(Role::kIdle, out);
}

void PairCore::send_records(Instant now, Effects& out, bool heartbeat) {
  if (stream_to_ == 0) return;
  const Sequence last = log_.log_summary().last;
  const uint64_t window = record_.solo ? kCatchUpWindowBytes : ~0ULL;
  const auto send = [&](Sequence first, Sequence through) {
    LinkMessage m = message(LinkMessage::Kind::kRecords);
    m.receiver = stream_to_;
    m.first = first;
    m.last = through;
    m.trim_through = std::min(confirmed_contains_, partner_held_);
    m.synced_through = durable_through();
    m.sync_wanted = sync_sent_;
    m.lease_stamp_ns = now.time_since_epoch().count();
    out.push_back(pair_effect::Send{m});
    sent_at_ = now;
  };
  bool sent_any = false;
  while (sent_ < last && in_flight_bytes_ < window) {
    Batch batch{sent_, 0};
    while (batch.through < last &&
           (batch.bytes == 0 || batch.bytes + log_.record_bytes(batch.through + 1) <= kBatchBytes))
      batch.bytes += log_.record_bytes(++batch.through);
    send(sent_ + 1, batch.through);
    if (sent_ == partner_held_ && in_flight_.empty()) progress_at_ = now;
    sent_ = batch.through;
    in_flight_.push_back(batch);
    in_flight_bytes_ += batch.bytes;
    sent_any = true;
  }
  if (!sent_any && (heartbeat || now - sent_at_ >= config_.timings.heartbeat))
    send(sent_ + 1, sent_);
  wake_at(sent_at_ + config_.timings.heartbeat);
}

void PairCore::want_durable(Instant now, Effects& out) {
  if (role_ != Role::kExecutor) return;
  const Sequence last = log_.log_summary().last;
  if (log_.synced() < last) out.push_back(pair_effect::Sync{});
  if (stream_to_ != 0 && sync_sent_ < last) {
    sync_sent_ = last;
    send_records(now, out, true);
  }
}

void PairCore::settle_unsynced() {
  const Sequence durable = durable_through();
  while (!unsynced_.empty() && unsynced_.front().through <= durable) unsynced_.pop_front();
}

void PairCore::partner_has(Sequence held, Instant now) {
  if (held > partner_held_) {
    partner_held_ = held;
    progress_at_ = now;
  }
  if (partner_held_ >= sent_) progress_at_ = now;
  while (!in_flight_.empty() && in_flight_.front().through <= partner_held_) {
    in_flight_bytes_ -= in_flight_.front().bytes;
    in_flight_.pop_front();
  }
  if (sent_ < partner_held_) rewind(partner_held_);
}

// P2. It says nothing about the partner's life, nor its disk: messages do (P4, P5).
void PairCore::on_copied(Sequence through, Instant now, Effects& out) {
  if (role_ != Role::kExecutor || stream_to_ == 0 || record_.solo) return;
  partner_has(through, now);
  confirm_checkpoint(out);
}

void PairCore::on_held(const LinkMessage& m, Instant now, Effects& out) {
  if (role_ != Role::kExecutor || m.sender != stream_to_ || m.epoch != epoch_) return;
  // What it holds must be our history: the same number in another one is worth nothing.
  const auto chain = log_.chain_at(m.held);
  if ((!chain || *chain != m.log.last_chain) && !PAIRFS_MUTANT(held_any_history)) return;
  const Sequence held = m.held;
  partner_has(held, now);
  partner_synced_ = std::max(partner_synced_, std::min(m.synced_through, held));
  if (m.resend && held >= partner_held_ && held < sent_) rewind(held);
  if (m.lease_stamp_ns != 0) {
    const Duration usable =
        config_.timings.lease * (100 - config_.timings.lease_margin_percent) / 100;
    PAIRFS_REACHED(p4_lease_granted);
    const Instant from =
        PAIRFS_MUTANT(lease_from_receipt) ? now : Instant(Duration(m.lease_stamp_ns));
    lease_until_ = std::max(lease_until_, from + usable);
  }
  settle_unsynced();
  confirm_checkpoint(out);
}

// A consistency point counts once its record is synced, at the partner too when paired: what only
// earlier points need is given up then, and a log without the record could not be opened any more.
void PairCore::confirm_checkpoint(Effects& out) {
  if (logged_cp_record_ == 0) return;
  Sequence safe = log_.synced();
  if (paired_rule()) safe = std::min(safe, partner_synced_);
  if (safe < logged_cp_record_ && !PAIRFS_MUTANT(trim_before_confirmed)) return;
  PAIRFS_REACHED(checkpoint_confirmed);
  out.push_back(pair_effect::Confirm{logged_cp_record_, logged_cp_contains_});
  confirmed_contains_ = logged_cp_contains_;
  logged_cp_record_ = 0;
  out.push_back(pair_effect::Trim{stream_to_ != 0 ? std::min(confirmed_contains_, partner_held_)
                                                  : confirmed_contains_});
}

void PairCore::on_join(const LinkMessage& m, Instant now, Effects& out) {
  if (role_ != Role::kExecutor || !serving_ || !record_.solo || swapping_ || m.epoch != epoch_)
    return;
  // Frozen for a while, a joiner believes itself forgotten; what it has already counts on.
  const bool again = pairing_ == Pairing::kClosing && m.sender == stream_to_;
  if (pairing_ == Pairing::kClosing && !again) return;
  const LogSummary mine = log_.log_summary();
  const LogSummary& theirs = m.log;
  // Its log is a part of ours and reaches back to a consistency point: it goes on from its end.
  const auto chain = log_.chain_at(theirs.last);
  const bool continues = !theirs.damaged && chain &&
                         (*chain == theirs.last_chain || PAIRFS_MUTANT(join_any_log)) &&
                         theirs.base <= std::max(confirmed_contains_, mine.base);
  if (again && !continues) return;
  // P10: what it has beyond ours was answered, or may have been.
  partner_diverged_ = !continues && !m.reset;
  if (partner_diverged_ && !PAIRFS_MUTANT(diverged_dropped)) {
    PAIRFS_REACHED(p10_history_kept);
    return;
  }
  LinkMessage accept = message(LinkMessage::Kind::kAccept);
  accept.reset = !continues;
  accept.log.base = continues ? theirs.last : mine.base;
  accept.log.last = theirs.last;
  accept.log.last_chain = theirs.last_chain;
  accept.log.base_chain = continues ? theirs.last_chain : mine.base_chain;
  out.push_back(pair_effect::Send{accept});
  if (again) {
    PAIRFS_REACHED(p7_joins_again);
    rewind(std::max(theirs.last, partner_held_));
    return;
  }
  start_stream(m.sender, accept.log.base, now);
  pairing_ = Pairing::kCatchingUp;
}

bool PairCore::partner_lost(Instant now) const {
  const PairTimings& t = config_.timings;
  return !link_up_ || partner_incarnation_ != stream_to_ || now - last_heard_ >= t.silence ||
         (partner_held_ < sent_ && now - progress_at_ >= t.silence);
}

void PairCore::go_solo(const char* why, Instant now, Effects& out) {
  if (swapping_) return;
  if (!going_solo_) {  // P5: sync the log before the swap
    going_solo_ = true;
    solo_after_ = log_.log_summary().last;
    out.push_back(pair_effect::Role{std::string("partner lost: ") + why});
    out.push_back(pair_effect::Sync{});
  }
  if (log_.synced() < solo_after_) return;
  PAIRFS_REACHED(p5_solo);
  request_swap({record_.epoch + 1, config_.self, record_.logger, true, record_.pinned}, now, out);
}

// Our own swap made a new epoch of which we are the executor still.
void PairCore::on_own_epoch(Instant now, Effects& out) {
  epoch_ = record_.epoch;
  if (role_ != Role::kExecutor) return;
  if (record_.solo) {
    going_solo_ = false;
    stop_stream();
    out.push_back(pair_effect::AppendEpoch{epoch_, true});
    out.push_back(pair_effect::Sync{});
    out.push_back(pair_effect::Role{"solo"});
    if (now - last_solo_at_ < std::chrono::minutes(10) && last_solo_at_ != Instant{})
      giveback_after_ = std::min(giveback_after_ * 2, config_.timings.giveback_delay_max);
    last_solo_at_ = now;
  } else {
    pairing_ = Pairing::kNone;
    paired_since_ = now;
    last_heard_ = now;
    progress_at_ = now;
    out.push_back(pair_effect::Role{"paired"});
    send_records(now, out, true);
  }
}

void PairCore::advance_pairing(Instant now, Effects& out) {
  if (partner_lost(now)) {
    const bool closing = pairing_ == Pairing::kClosing;
    stop_stream();
    // The log already has a record of the next epoch: make that epoch a solo one.
    pairing_record_ = 0;
    if (closing) go_solo("lost while pairing", now, out);
    return;
  }
  const Sequence last = log_.log_summary().last;
  if (pairing_ == Pairing::kCatchingUp) {
    if (partner_held_ + kPairingLagRecords < last || in_flight_bytes_ > kCatchUpWindowBytes / 2)
      return;
    pairing_ = Pairing::kClosing;
    pairing_record_ = last + 1;
    out.push_back(pair_effect::AppendEpoch{epoch_ + 1, false});
    want_durable(now, out);
    out.push_back(pair_effect::Sync{});
    return;
  }
  if (sync_sent_ < pairing_record_) want_durable(now, out);
  // P7: both have synced what was caught up and the epoch's first record.
  const bool caught_up = partner_held_ >= pairing_record_ && partner_synced_ >= pairing_record_;
  if ((caught_up || PAIRFS_MUTANT(paired_before_caught_up)) && log_.synced() >= pairing_record_)
    request_swap({epoch_ + 1,
                  config_.self,
                  {config_.partner, stream_to_},
                  false,
                  record_.pinned && stream_to_ == record_.logger.incarnation},
                 now, out);
}

// Whether what lies behind the last confirmed consistency point is replayed in an instant.
bool PairCore::short_replay() const {
  const Sequence last = log_.log_summary().last;
  const Sequence first = std::max(confirmed_contains_, log_.log_summary().base) + 1;
  if (last >= first + kShortReplayRecords) return false;
  uint64_t bytes = 0;
  for (Sequence s = first; s <= last; ++s) bytes += log_.record_bytes(s);
  return bytes <= kShortReplayBytes;
}

void PairCore::begin_handover(Instant now, Effects& out) {
  handing_over_ = HandingOver::kCheckpoint;
  handover_since_ = now;
  handover_points_ = 0;
  handover_point_ = 0;
  out.push_back(pair_effect::Role{"handing over"});
  if (short_replay()) return;
  handover_point_ = log_.log_summary().last;
  out.push_back(pair_effect::Checkpoint{});
}

// P8: drain, equal sequence, swap; the partner opens the volume then.
void PairCore::advance_handover(Instant now, Effects& out) {
  if (record_.solo || now - handover_since_ > std::chrono::seconds(15)) {
    handing_over_ = HandingOver::kNone;  // not now
    return;
  }
  if (handing_over_ == HandingOver::kCheckpoint) {
    if (logged_cp_record_ != 0 || confirmed_contains_ < handover_point_) return;
    // Little is left to replay, or under this load it never becomes little.
    if (!short_replay() && ++handover_points_ < kHandoverPointsMax) {
      handover_point_ = log_.log_summary().last;
      out.push_back(pair_effect::Checkpoint{});
      return;
    }
    // From the draining to the swap nobody serves: the map must be there.
    handing_over_ = HandingOver::kAskMap;
    map_asked_at_ = now;
    out.push_back(pair_effect::ReadMap{});
    return;
  }
  if (handing_over_ == HandingOver::kAskMap) {
    if (now - map_asked_at_ < config_.timings.map_timeout) return;
    PAIRFS_REACHED(p8_map_away);
    handing_over_ = HandingOver::kNone;
    out.push_back(pair_effect::Role{"handing over put off: the map does not answer"});
    return;
  }
  const Sequence last = log_.log_summary().last;
  if (partner_synced_ < last) {  // a record that says solo(it) promises a synced log
    if (sync_sent_ < last) want_durable(now, out);
    return;
  }
  out.push_back(pair_effect::Role{"drained"});
  PAIRFS_REACHED(p8_handover);
  request_swap({epoch_ + 1, {config_.partner, stream_to_}, config_.self, true, config_.home}, now,
               out);
}

void PairCore::advance_executor(Instant now, Effects& out) {
  const PairTimings& t = config_.timings;
  if (!serving_) {
    if (log_.synced() < epoch_record_) return;
    serving_ = true;
    out.push_back(pair_effect::Role{"serving"});
  }
  if (!record_.solo && stream_to_ == 0)
    start_stream(record_.logger.incarnation, partner_held_, now);
  confirm_checkpoint(out);
  settle_unsynced();
  send_records(now, out, false);
  if (!unsynced_.empty()) {
    const Instant due = unsynced_.front().at + t.background_sync;
    if (now >= due) {
      want_durable(now, out);
      wake_at(now + t.background_sync);
    } else {
      wake_at(due);
    }
  }
  if (stream_to_ != 0 && partner_held_ < sent_ && now - progress_at_ >= t.resend &&
      now - sent_at_ >= t.resend / 2)
    rewind(partner_held_);
  if (swapping_) return;
  if (going_solo_) {
    go_solo("", now, out);
    return;
  }
  if (!record_.solo) {
    if (partner_lost(now)) {
      go_solo(!link_up_ ? "connection lost" : "silent", now, out);
      return;
    }
    if (handing_over_ != HandingOver::kNone) {
      advance_handover(now, out);
    } else if (!config_.home && t.automatic_giveback && !record_.pinned &&
               now - paired_since_ >= giveback_after_) {
      PAIRFS_REACHED(p7_giveback);
      paired_since_ = now;  // if it fails, try again after the delay
      begin_handover(now, out);
    }
  } else if (stream_to_ != 0) {
    advance_pairing(now, out);
  }
}

}  // namespace pairfs
