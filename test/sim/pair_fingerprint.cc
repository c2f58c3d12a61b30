#include "test/sim/pair_fingerprint.h"

namespace pairfs::sim {
namespace {
// An older stamp gives no lease any more.
constexpr Duration kLeaseStampLooksBack = std::chrono::milliseconds(300);
}  // namespace

void Fingerprint::add_chain(uint32_t chain) {
  if (chain == 0) return mix(0);
  for (uint64_t n = 0; n < 2; ++n) {
    const std::vector<uint32_t>& chains = origin_.chains[n];
    const auto found = std::find(chains.rbegin(), chains.rend(), chain);
    if (found == chains.rend()) continue;
    mix(n + 1);
    return add_sequence(static_cast<Sequence>(chains.rend() - found));
  }
  mix(3);  // of a record that neither log has any more
}

void Fingerprint::add_life(const NodeLife& life) {
  add_incarnation(life.incarnation);
  add(life.name.empty() ? 0 : life.name.back());
}

void Fingerprint::add_record(const VolumeRecord& record) {
  add_epoch(record.epoch);
  add(record.solo, record.pinned);
  add_life(record.executor);
  add_life(record.logger);
}

void Fingerprint::add_summary(const LogSummary& log) {
  add_sequence(log.base);
  add_sequence(log.last);
  add_chain(log.base_chain);
  add_chain(log.last_chain);
  add_epoch(log.last_epoch);
  add(log.power_kept, log.damaged);
}

void Fingerprint::add_message(const LinkMessage& m) {
  add(m.kind, m.resend, m.reset, m.lease_stamp_ns != 0);
  add_epoch(m.epoch);
  add_incarnation(m.sender);
  add_incarnation(m.receiver);
  for (const Sequence s :
       {m.first, m.last, m.trim_through, m.synced_through, m.sync_wanted, m.held})
    add_sequence(s);
  add_past(Instant(Duration(m.lease_stamp_ns)), kLeaseStampLooksBack);
  add_summary(m.log);
}

void Fingerprint::add_core(const PairCore& c, const PairTimings& t) {
  add(c.record_known_, c.swapping_.has_value(), c.role_, c.link_up_, c.streaming_, c.loss_told_,
      c.history_dropped_, c.partner_diverged_, c.serving_, c.cannot_open_, c.in_flight_bytes_,
      c.pairing_, c.handing_over_, c.handover_points_, c.going_solo_);
  add_version(c.record_version_);
  add_version(c.swap_expected_version_);
  add_incarnation(c.partner_incarnation_);
  add_incarnation(c.stream_to_);
  for (const Epoch epoch : {c.epoch_, c.paired_epoch_, c.alone_epoch_}) add_epoch(epoch);
  add_incarnation(c.alone_life_);
  add_record(c.record_);
  if (c.swapping_) add_record(*c.swapping_);
  add_summary(c.partner_log_);
  for (const Sequence s :
       {c.sync_wanted_, c.reported_synced_, c.epoch_record_, c.partner_held_, c.partner_synced_,
        c.sent_, c.sync_sent_, c.pairing_record_, c.handover_point_, c.logged_cp_record_,
        c.logged_cp_contains_, c.confirmed_contains_, c.solo_after_})
    add_sequence(s);
  add_past(c.started_at_, t.alone_wait * 3);
  add_past(c.hello_at_, t.silence);
  for (const Instant when : {c.stepped_at_, c.last_heard_, c.records_heard_, c.progress_at_})
    add_past(when, t.silence * 2);
  for (const Instant when : {c.join_at_, c.sent_at_}) add_past(when, t.silence);
  for (const Instant when : {c.next_wake_, c.promised_until_, c.lease_until_}) add_future(when);
  if (c.handing_over_ == PairCore::HandingOver::kAskMap) add_past(c.map_asked_at_, t.map_timeout);
  for (const auto& mark : c.unsynced_) {
    add_sequence(mark.through);
    add_past(mark.at, t.silence);
  }
  for (const auto& batch : c.in_flight_) {
    add_sequence(batch.through);
    add(batch.bytes);
  }
}

}  // namespace pairfs::sim
