#include "node/pair/pair_core.h"

#include <algorithm>

#include "common/ensure.h"
#include "common/test_switch.h"

namespace pairfs {

const char* to_string(PairCore::Role role) {
  switch (role) {
    case PairCore::Role::kIdle:
      return "none";
    case PairCore::Role::kJoining:
      return "joining";
    case PairCore::Role::kLogger:
      return "logger";
    case PairCore::Role::kOpening:
      return "opening";
    case PairCore::Role::kExecutor:
      return "executor";
  }
  return "unknown";
}

PairCore::PairCore(Config config, const LogView& log, Instant now)
    : config_(std::move(config)),
      log_(log),
      started_at_(now),
      stepped_at_(now),
      next_wake_(now),
      last_heard_(now) {
  note_alone(config_.known_before);
  giveback_after_ = config_.timings.giveback_delay;
}

PairEffects PairCore::step(const PairEvent& event, Instant now) {
  Effects out;
  next_wake_ = now + config_.timings.heartbeat;
  // Who did not run for a while heard nothing in it, whatever the partner said.
  if (const Duration stalled = now - stepped_at_; stalled > config_.timings.silence / 3) {
    last_heard_ += stalled;
    progress_at_ += stalled;
  }
  stepped_at_ = now;
  std::visit(
      [&]<class E>(const E& e) {
        if constexpr (std::is_same_v<E, pair_event::Record>) {
          on_record(e.record, e.version, now, out);
        } else if constexpr (std::is_same_v<E, pair_event::Swapped>) {
          on_swapped(e, now, out);
        } else if constexpr (std::is_same_v<E, pair_event::LinkUp>) {
          link_up_ = true;
          last_heard_ = now;
          hello_at_ = {};
        } else if constexpr (std::is_same_v<E, pair_event::LinkDown>) {
          link_up_ = false;
          partner_incarnation_ = 0;
        } else if constexpr (std::is_same_v<E, pair_event::Received>) {
          on_received(e, now, out);
        } else if constexpr (std::is_same_v<E, pair_event::Appended>) {
          if (role_ == Role::kExecutor) {
            unsynced_.push_back({log_.log_summary().last, now});
            if (sent_ == partner_held_) progress_at_ = now;
          }
        } else if constexpr (std::is_same_v<E, pair_event::Opened>) {
          if (role_ == Role::kOpening && !e.ok) opening_failed(e.log_bad, now, out);
          if (role_ == Role::kOpening && e.ok) {
            set_role(Role::kExecutor, out);
            epoch_record_ = log_.log_summary().last + 1;
            out.push_back(pair_effect::AppendEpoch{epoch_, true});
            out.push_back(pair_effect::Sync{});
          }
        } else if constexpr (std::is_same_v<E, pair_event::WantDurable>) {
          want_durable(now, out);
        } else if constexpr (std::is_same_v<E, pair_event::PartnerDead>) {
          // P4: the promise was to that life, which cannot use it any more.
          if (role_ == Role::kLogger && e.incarnation == record_.executor.incarnation)
            promised_until_ = now;
        } else if constexpr (std::is_same_v<E, pair_event::HandOver>) {
          if (role_ == Role::kExecutor && !record_.solo && handing_over_ == HandingOver::kNone) {
            begin_handover(now, out);
          }
        } else if constexpr (std::is_same_v<E, pair_event::StartAlone>) {
          start_alone(now, out);
        } else if constexpr (std::is_same_v<E, pair_event::DropHistory>) {
          history_dropped_ = true;
          join_at_ = {};
        } else if constexpr (std::is_same_v<E, pair_event::MapAnswered>) {
          if (handing_over_ == HandingOver::kAskMap) handing_over_ = HandingOver::kDrain;
        } else if constexpr (std::is_same_v<E, pair_event::Copied>) {
          on_copied(e.through, now, out);
        } else if constexpr (std::is_same_v<E, pair_event::Confirmable>) {
          logged_cp_record_ = e.checkpoint_record;
          logged_cp_contains_ = e.contains;
          want_durable(now, out);
        } else if constexpr (std::is_same_v<E, pair_event::Synced>) {
          // A joiner's log may end in a history that the executor does not share: it reports
          // nothing before the executor told it where to go on.
          if ((role_ == Role::kLogger || streaming_) && log_.synced() > reported_synced_)
            send_held(false, 0, out);
          settle_unsynced();
        }
      },
      event);
  advance(now, out);
  return out;
}

void PairCore::on_record(const VolumeRecord& record, uint64_t version, Instant, Effects&) {
  if (record_known_ && version <= record_version_) return;
  record_known_ = true;
  record_ = record;
  record_version_ = version;
  if (!record.solo) paired_epoch_ = record.epoch;
  note_alone(record);
  if (swapping_ && version > swap_expected_version_) swapping_.reset();  // decided, either way
}

void PairCore::on_swapped(const pair_event::Swapped& event, Instant now, Effects& out) {
  // Also the answer to a swap that is decided already may bring a newer record.
  if (event.known) on_record(event.record, event.version, now, out);
  if (!swapping_) return;
  if (!event.known && !PAIRFS_MUTANT(unanswered_swap_forgotten)) {
    // It may still happen: ask again with the same words until the map answers.
    PAIRFS_REACHED(p5_unknown_swap_repeated);
    out.push_back(
        pair_effect::Swap{swap_expected_version_, *swapping_, config_.timings.map_timeout});
    return;
  }
  swapping_.reset();
}

void PairCore::request_swap(VolumeRecord record, Instant, Effects& out) {
  ENSURE(!swapping_, "a swap is on its way");
  swapping_ = record;
  swap_expected_version_ = record_version_;
  out.push_back(pair_effect::Swap{record_version_, std::move(record), config_.timings.map_timeout});
}

void PairCore::wake_at(Instant when) { next_wake_ = std::min(next_wake_, when); }

void PairCore::set_role(Role role, Effects& out) {
  if (role_ == role) return;
  role_ = role;
  out.push_back(pair_effect::Role{to_string(role)});
}

LinkMessage PairCore::message(LinkMessage::Kind kind) const {
  LinkMessage m;
  m.kind = static_cast<uint8_t>(kind);
  m.volume = config_.volume;
  m.epoch = epoch_;
  m.sender = config_.self.incarnation;
  m.receiver = partner_incarnation_;
  return m;
}

bool PairCore::partner_is(const NodeLife& life) const {
  return link_up_ && partner_incarnation_ != 0 && life.name == config_.partner &&
         life.incarnation == partner_incarnation_;
}

void PairCore::on_received(const pair_event::Received& event, Instant now, Effects& out) {
  const LinkMessage& m = event.message;
  if (m.volume != config_.volume) return;
  if (m.receiver != 0 && m.receiver != config_.self.incarnation) {  // P1: for another life
    PAIRFS_REACHED(p1_other_life_refused);
    if (!PAIRFS_MUTANT(stale_incarnation)) return;
  }
  const auto kind = static_cast<LinkMessage::Kind>(m.kind);
  if (kind == LinkMessage::Kind::kHello || kind == LinkMessage::Kind::kJoin) {
    // Incarnations grow with time: a late message of an earlier life must not displace this one.
    if (m.sender < partner_incarnation_ && now - last_heard_ < config_.timings.silence) return;
    if (partner_incarnation_ != m.sender) hello_at_ = {};  // introduce ourselves, too
    partner_incarnation_ = m.sender;
    partner_log_ = m.log;
    last_heard_ = now;
    if (kind == LinkMessage::Kind::kJoin) on_join(m, now, out);
    return;
  }
  if (m.sender != partner_incarnation_) {  // P1: from another life, or not introduced
    PAIRFS_REACHED(p1_other_life_refused);
    if (!PAIRFS_MUTANT(stale_incarnation)) return;
  }
  last_heard_ = now;
  if (m.epoch > record_.epoch) {  // P1
    PAIRFS_REACHED(p1_higher_epoch_seen);
    out.push_back(pair_effect::ReadMap{});
  }
  switch (kind) {
    case LinkMessage::Kind::kRecords:
      on_records(event, now, out);
      break;
    case LinkMessage::Kind::kHeld:
      on_held(m, now, out);
      break;
    case LinkMessage::Kind::kAccept:
      on_accept(m, now, out);
      break;
    default:
      break;
  }
}

void PairCore::advance(Instant now, Effects& out) {
  if (link_up_ && now - hello_at_ >= config_.timings.silence / 3) {
    hello_at_ = now;
    LinkMessage hello = message(LinkMessage::Kind::kHello);
    hello.receiver = 0;
    hello.log = log_.log_summary();
    hello.process = config_.process;
    out.push_back(pair_effect::Send{hello});
  }
  if (!record_known_) return;
  if (const bool apart = diverged(); apart != log_.kept_apart() && !history_dropped_)
    out.push_back(pair_effect::KeepApart{apart});
  if (record_.executor == config_.self) {
    // Not by a swap of ours: the partner had the volume meanwhile, if only to open it in vain. What
    // this node has open of it is worth nothing then.
    const bool serves = role_ == Role::kExecutor || role_ == Role::kOpening;
    if (serves && record_.epoch > epoch_ + 1) leave_executor(out);
    if (role_ != Role::kExecutor && role_ != Role::kOpening) {
      begin_opening(out);
    } else if (epoch_ != record_.epoch) {
      on_own_epoch(now, out);
    }
    if (role_ == Role::kExecutor) advance_executor(now, out);
    if (cannot_open_) opening_failed(true, now, out);
    return;
  }
  if (role_ == Role::kExecutor || role_ == Role::kOpening) leave_executor(out);
  if (cannot_open_) {
    out.push_back(pair_effect::GiveUp{});
    return;
  }
  if (record_.logger == config_.self && !record_.solo) {
    if (role_ != Role::kLogger || epoch_ != record_.epoch) {
      set_role(Role::kLogger, out);
      epoch_ = record_.epoch;
      streaming_ = false;
      PAIRFS_REACHED(p7_paired);
      // We may have granted nothing yet, but never less than a whole lease is waited (P7).
      promised_until_ = std::max(promised_until_, now + config_.timings.lease);
      last_heard_ = now;
      send_held(false, 0, out);
    }
    advance_logger(now, out);
    return;
  }
  if (role_ == Role::kLogger || (role_ == Role::kJoining && epoch_ != record_.epoch))
    set_role(Role::kIdle, out);
  advance_idle(now, out);
}

bool PairCore::may_execute() const {
  return role_ == Role::kExecutor && serving_ && record_.executor == config_.self &&
         handing_over_ != HandingOver::kDrain;
}

// Once a pairing has logged the next epoch's record, all that follows is of that epoch: while the
// map says solo nobody else can make a swap, so it becomes ours, paired or, given up, solo.
Epoch PairCore::record_epoch() const { return std::max(epoch_, log_.log_summary().last_epoch); }

bool PairCore::lease_valid(Instant now) const {
  if (now < lease_until_) return true;
  PAIRFS_REACHED(p4_lease_missing);
  return PAIRFS_MUTANT(lease_unchecked);
}

Sequence PairCore::durable_through() const {
  return record_.solo ? log_.synced() : std::min(log_.synced(), partner_synced_);
}

// While a swap of ours is undecided both rules hold (P5). When it pairs, the partner must have all
// that counted before.
bool PairCore::paired_rule() const {
  return !record_.solo || (swapping_ && !swapping_->solo) || pairing_ == Pairing::kClosing;
}

bool PairCore::solo_rule() const { return record_.solo || (swapping_ && swapping_->solo); }

bool PairCore::may_answer(Sequence sequence, bool read, bool durable, Instant now) const {
  if (role_ != Role::kExecutor || !serving_ || record_.executor != config_.self) return false;
  if (swapping_ && swapping_->executor != config_.self) return false;
  bool paired_rule = this->paired_rule();
  const bool solo_rule = this->solo_rule();
  if (paired_rule && solo_rule) PAIRFS_REACHED(p5_stricter_rule);
  if (PAIRFS_MUTANT(solo_without_map) && going_solo_) paired_rule = false;
  if (PAIRFS_MUTANT(unanswered_solo_believed) && swapping_ && swapping_->solo) paired_rule = false;
  if (solo_rule && log_.synced() < sequence && !PAIRFS_MUTANT(solo_ack_unsynced)) return false;
  if (paired_rule) {
    if (partner_held_ < sequence) {  // P2, P3
      if (read) {
        PAIRFS_REACHED(p3_read_waits);
        if (!PAIRFS_MUTANT(read_before_held)) return false;
      } else {
        PAIRFS_REACHED(p2_ack_waits);
        if (!PAIRFS_MUTANT(ack_before_held)) return false;
      }
    }
    const bool logger_known = !record_.solo || (swapping_ && !swapping_->solo);
    if (read && logger_known && !lease_valid(now)) return false;  // P4
    if (durable && log_.synced() < sequence) return false;
    if (durable && partner_synced_ < sequence && !PAIRFS_MUTANT(durable_here_only)) return false;
    if (!durable && !read && !unsynced_.empty() &&
        now - unsynced_.front().at > config_.timings.unsynced_max && durable_through() < sequence)
      return false;
  }
  return true;
}

std::string PairCore::takeover_obstacle() const {
  if (role_ != Role::kExecutor) return "this node does not execute the volume";
  if (record_.solo && partner_diverged_)
    return "the partner has a history of its own: see pairfs volume resolve";
  if (record_.solo)
    return pairing_ != Pairing::kNone ? "the partner is catching up"
                                      : "the partner is not connected";
  if (!link_up_) return "the partner is not connected";
  if (swapping_) return "a change of role is under way";
  return "";
}

}  // namespace pairfs
