#include "node/executor/lease_table.h"

#include <algorithm>
#include <utility>

#include "common/test_switch.h"

namespace pairfs {

namespace {
Slice slice_of_inode(uint64_t inode_id) { return static_cast<Slice>(inode_id >> 48); }
}  // namespace

void LeaseTable::begin(const std::vector<SessionId>& sessions, Instant now) {
  leases_.clear();
  sessions_.clear();
  recalls_.clear();
  writers_.clear();
  held_ = unknown_ = 0;
  if (PAIRFS_MUTANT(earlier_leases_forgotten)) return;
  for (const SessionId session : sessions) {
    SessionLeases& leases = sessions_[session];
    leases.unknown_until = now + term_with_margin_;
    leases.unknown_recall = next_number_++;
    // Sent when the session is heard: only then is it known where it is.
    recalls_[leases.unknown_recall] = {session, 0, now, Instant::max()};
    ++unknown_;
    next_look_ = std::min(next_look_, leases.unknown_until);
  }
}

// ---- sessions ----

bool LeaseTable::heard(SessionId session, Instant now) {
  SessionLeases& leases = sessions_[session];
  if (now >= leases.until && !leases.inodes.empty()) drop_all(session, leases);
  if (leases.unknown_recall != 0) {
    Open& open = recalls_.at(leases.unknown_recall);
    open.send_at = std::min(open.send_at, now);
    next_look_ = std::min(next_look_, now);
  }
  if (leases.oldest_recall != Instant::max() && now - leases.oldest_recall > kPatience)
    return false;
  leases.until = now + term_with_margin_;
  return true;
}

void LeaseTable::forget(SessionId session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) return;
  drop_all(session, found->second);
  if (found->second.unknown_recall != 0) end_recall(found->second.unknown_recall);
  sessions_.erase(session);
}

// ---- leases ----

bool LeaseTable::grant(SessionId session, uint64_t inode_id, Instant now) {
  const auto owner = sessions_.find(session);
  if (owner == sessions_.end()) return false;
  SessionLeases& of_session = owner->second;
  if (of_session.oldest_recall != Instant::max() && now - of_session.oldest_recall > kPatience)
    return false;
  if (!withdrawn_.empty() && withdrawn_.contains(slice_of_inode(inode_id))) return false;
  if (const SessionId writer = writer_of(inode_id); writer != 0 && writer != session) return false;
  Lease& lease = leases_[inode_id];
  for (const Holder& holder : lease.holders)
    if (holder.session == session) return holder.recall == 0;
  if (now < lease.contended_until) return false;
  // Somebody waits for it.
  for (const Holder& holder : lease.holders)
    if (holder.recall != 0) return false;
  lease.holders.push_back({session, 0});
  of_session.inodes.insert(inode_id);
  of_session.order.push_back(inode_id);
  ++held_;
  keep_within_limit(session, of_session, now);
  return true;
}

// What the session has had for longest is wanted back, though nobody waits for it.
void LeaseTable::keep_within_limit(SessionId session, SessionLeases& leases, Instant now) {
  if (leases.inodes.size() - leases.recalled <= kPerSessionMax) {
    // Gone ones add up where few inodes are granted and recalled again and again.
    if (leases.order.size() > 4 * kPerSessionMax)
      leases.order.assign(leases.inodes.begin(), leases.inodes.end());
    return;
  }
  for (int i = 0; i < 64 && !leases.order.empty(); ++i) {
    const uint64_t oldest = leases.order.front();
    leases.order.pop_front();
    if (!leases.inodes.contains(oldest)) continue;
    for (Holder& holder : leases_[oldest].holders)
      if (holder.session == session && holder.recall == 0) recall(oldest, holder, now);
  }
}

void LeaseTable::change(uint64_t inode_id, SessionId by, Instant now) {
  if (leases_.empty()) return;
  const auto found = leases_.find(inode_id);
  if (found == leases_.end()) return;
  Lease& lease = found->second;
  bool others = false;
  for (Holder& holder : lease.holders) {
    if (holder.session == by) continue;
    others = true;
    if (holder.recall == 0) recall(inode_id, holder, now);
  }
  if (others) lease.contended_until = now + kContended;
}

void LeaseTable::recall(uint64_t inode_id, Holder& holder, Instant now) {
  PAIRFS_REACHED(lease_recalled);
  holder.recall = next_number_++;
  recalls_[holder.recall] = {holder.session, inode_id, now, now};
  SessionLeases& leases = sessions_.at(holder.session);
  leases.oldest_recall = std::min(leases.oldest_recall, now);
  ++leases.recalled;
  next_look_ = std::min(next_look_, now);
}

void LeaseTable::withdraw(Slice slice, Instant now) {
  if (!withdrawn_.insert(slice).second) return;
  for (auto& [inode_id, lease] : leases_)
    if (slice_of_inode(inode_id) == slice)
      for (Holder& holder : lease.holders)
        if (holder.recall == 0) recall(inode_id, holder, now);
}

bool LeaseTable::may_be_held(Slice slice) const {
  if (unknown_ != 0) return true;
  return std::any_of(leases_.begin(), leases_.end(), [slice](const auto& item) {
    return slice_of_inode(item.first) == slice && !item.second.holders.empty();
  });
}

// ---- writers ----

bool LeaseTable::writes_alone(SessionId session, uint64_t inode_id) {
  const auto found = leases_.find(inode_id);
  if (found == leases_.end()) return false;
  Lease& lease = found->second;
  const bool again = std::exchange(lease.wrote_last, session) == session;
  return again && lease.holders.size() == 1 && lease.holders[0].session == session &&
         lease.holders[0].recall == 0;
}

void LeaseTable::end_writer(SessionId session, uint64_t inode_id) {
  if (writer_of(inode_id) != session) return;
  writers_.erase(inode_id);
  leases_[inode_id].wrote_last = 0;
}

SessionId LeaseTable::writer_of(uint64_t inode_id) const {
  if (writers_.empty()) return 0;
  const auto found = writers_.find(inode_id);
  return found == writers_.end() ? 0 : found->second;
}

void LeaseTable::recall_writer(uint64_t inode_id, Instant now) {
  Lease& lease = leases_.at(inode_id);
  for (Holder& holder : lease.holders)
    if (holder.recall == 0) recall(inode_id, holder, now);
  lease.contended_until = now + kContended;
}

bool LeaseTable::is_unknown(SessionId session) const {
  const auto found = sessions_.find(session);
  return found != sessions_.end() && found->second.unknown_recall != 0;
}

// ---- recalls ----

void LeaseTable::add_waits(uint64_t inode_id, SessionId asker, std::vector<Number>& waits) const {
  if (recalls_.empty() || PAIRFS_MUTANT(recall_not_waited_for)) return;
  const auto found = leases_.find(inode_id);
  if (found == leases_.end()) return;
  for (const Holder& holder : found->second.holders)
    if (holder.recall != 0 && holder.session != asker) waits.push_back(holder.recall);
}

void LeaseTable::add_unknown_waits(SessionId asker, std::vector<Number>& waits) const {
  if (unknown_ == 0) return;
  for (const auto& [session, leases] : sessions_)
    if (leases.unknown_recall != 0 && session != asker) waits.push_back(leases.unknown_recall);
}

bool LeaseTable::given_back(SessionId session, Number number) {
  const auto found = recalls_.find(number);
  if (found == recalls_.end() || found->second.session != session) return false;
  if (found->second.inode_id == 0)
    end_recall(number);
  else
    drop(found->second.inode_id, session);
  return true;
}

std::vector<uint64_t> LeaseTable::recalled_inodes() const {
  std::vector<uint64_t> inodes;
  for (const auto& [number, open] : recalls_)
    if (open.inode_id != 0 && !PAIRFS_MUTANT(unanswered_not_noted)) inodes.push_back(open.inode_id);
  return inodes;
}

void LeaseTable::end_recall(Number number) {
  const auto found = recalls_.find(number);
  if (found == recalls_.end()) return;
  const Open open = found->second;
  recalls_.erase(found);
  SessionLeases& leases = sessions_.at(open.session);
  if (open.inode_id == 0) {
    leases.unknown_recall = 0;
    --unknown_;
    return;
  }
  --leases.recalled;
  if (leases.oldest_recall != open.since) return;
  leases.oldest_recall = Instant::max();
  for (const auto& [other, recall] : recalls_)
    if (recall.session == open.session && recall.inode_id != 0)
      leases.oldest_recall = std::min(leases.oldest_recall, recall.since);
}

// The session holds nothing on the inode any more.
void LeaseTable::drop(uint64_t inode_id, SessionId session) {
  const auto found = leases_.find(inode_id);
  if (found == leases_.end()) return;
  std::vector<Holder>& holders = found->second.holders;
  const auto at = std::find_if(holders.begin(), holders.end(),
                               [&](const Holder& holder) { return holder.session == session; });
  if (at == holders.end()) return;
  const Number number = at->recall;
  holders.erase(at);
  if (writer_of(inode_id) == session) writers_.erase(inode_id);
  found->second.wrote_last = 0;
  --held_;
  sessions_.at(session).inodes.erase(inode_id);
  if (number != 0) end_recall(number);
  if (holders.empty() && found->second.contended_until == Instant{}) leases_.erase(found);
}

void LeaseTable::drop_all(SessionId session, SessionLeases& leases) {
  const std::vector<uint64_t> inodes(leases.inodes.begin(), leases.inodes.end());
  for (const uint64_t inode_id : inodes) drop(inode_id, session);
  leases.order.clear();
}

std::vector<LeaseTable::Recall> LeaseTable::take_recalls(Instant now) {
  std::vector<Recall> out;
  if (now < next_look_) return out;
  next_look_ = Instant::max();
  std::vector<SessionId> over;
  std::vector<Number> over_unknown;
  for (auto& [number, open] : recalls_) {
    SessionLeases& leases = sessions_.at(open.session);
    const Instant until = open.inode_id == 0 ? leases.unknown_until : leases.until;
    if (now >= until) {
      if (open.inode_id == 0)
        over_unknown.push_back(number);
      else
        over.push_back(open.session);
      continue;
    }
    next_look_ = std::min(next_look_, until);
    if (open.send_at <= now) {
      out.push_back({open.session, number, open.inode_id});
      open.send_at = now + kRecallAgain;
    }
    next_look_ = std::min(next_look_, open.send_at);
  }
  for (const Number number : over_unknown) end_recall(number);
  for (const SessionId session : over) {
    PAIRFS_REACHED(lease_ran_out);
    drop_all(session, sessions_.at(session));
  }
  // Inodes that were only kept for having been contended.
  if (leases_.size() > 2 * held_ + 4096)
    std::erase_if(leases_, [&](const auto& item) {
      return item.second.holders.empty() && item.second.contended_until <= now;
    });
  return out;
}

}  // namespace pairfs
