#include "node/executor/lock_table.h"

#include <fcntl.h>

#include <algorithm>
#include <set>

#include "common/row_codec.h"
#include "node/executor/schema.h"

namespace pairfs {

namespace {
bool overlap(const HeldRange& a, const HeldRange& b) {
  return a.start <= b.end && b.start <= a.end;
}
bool conflict_between(const HeldRange& a, const HeldRange& b) {
  return overlap(a, b) && (a.type == F_WRLCK || b.type == F_WRLCK);
}
bool same_slot(const RequestId& request, SessionId session, uint32_t slot) {
  return request.session == session && request.slot == slot;
}
}  // namespace

HeldRanges with_range(const HeldRanges& held, const HeldRange& range) {
  HeldRanges result;
  for (const HeldRange& old : held) {
    if (!overlap(old, range)) {
      result.push_back(old);
      continue;
    }
    if (old.start < range.start) result.push_back({old.type, old.start, range.start - 1, old.pid});
    if (old.end > range.end) result.push_back({old.type, range.end + 1, old.end, old.pid});
  }
  if (range.type != F_UNLCK) result.push_back(range);
  std::sort(result.begin(), result.end(),
            [](const HeldRange& a, const HeldRange& b) { return a.start < b.start; });
  HeldRanges joined;
  for (const HeldRange& next : result) {
    if (!joined.empty() && joined.back().type == next.type && joined.back().end + 1 == next.start) {
      joined.back().end = next.end;
      joined.back().pid = next.pid;
    } else {
      joined.push_back(next);
    }
  }
  return joined;
}

Bytes encode_held_ranges(const HeldRanges& ranges) {
  RowWriter out(4 + ranges.size() * 21);
  out(static_cast<uint32_t>(ranges.size()));
  for (const HeldRange& range : ranges) out(range.type)(range.start)(range.end)(range.pid);
  return out.take();
}
std::optional<HeldRanges> decode_held_ranges(BytesView value) {
  RowReader in(value);
  uint32_t count = 0;
  in(count);
  if (count > in.remaining() / 21) return std::nullopt;
  HeldRanges ranges(count);
  for (HeldRange& range : ranges) in(range.type)(range.start)(range.end)(range.pid);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return ranges;
}

void LockTable::load(const VolumeStore& store) {
  *this = {};
  load_rows(store, family_key(Family::kLock));
}

void LockTable::load_slice(const VolumeStore& store, Slice slice) {
  Bytes prefix = family_key(Family::kLock);
  append_big_endian(prefix, slice);
  load_rows(store, prefix);
}

void LockTable::keep_only(const std::function<bool(uint64_t inode_id)>& here) {
  std::erase_if(held_, [&](const auto& item) { return !here(item.first); });
  waiting_.remove_if([&](const Waiting& waiting) { return !here(waiting.inode_id); });
}

void LockTable::load_rows(const VolumeStore& store, const Bytes& prefix) {
  store.scan(prefix, after_prefix(prefix), [&](BytesView key, BytesView value) {
    auto ranges = decode_held_ranges(value);
    ENSURE(ranges && key.size() == 26, "lock row");
    const LockOwner owner{read_big_endian<uint64_t>(key, 9), static_cast<LockSpace>(key[17]),
                          read_big_endian<uint64_t>(key, 18)};
    held_[read_big_endian<uint64_t>(key, 1)][owner] = std::move(*ranges);
    return true;
  });
}

std::optional<LockTable::Conflict> LockTable::conflict(uint64_t inode_id, const LockOwner& owner,
                                                       const HeldRange& range) const {
  const auto owners = held_.find(inode_id);
  if (owners == held_.end() || range.type == F_UNLCK) return std::nullopt;
  for (const auto& [other, ranges] : owners->second) {
    if (other == owner || other.space != owner.space) continue;
    for (const HeldRange& held : ranges)
      if (conflict_between(held, range)) return Conflict{other, held};
  }
  return std::nullopt;
}

const HeldRanges& LockTable::held(uint64_t inode_id, const LockOwner& owner) const {
  static const HeldRanges kNone;
  const auto owners = held_.find(inode_id);
  if (owners == held_.end()) return kNone;
  const auto found = owners->second.find(owner);
  return found == owners->second.end() ? kNone : found->second;
}

void LockTable::set_held(uint64_t inode_id, const LockOwner& owner, HeldRanges ranges) {
  released_ = true;
  Owners& owners = held_[inode_id];
  if (ranges.empty())
    owners.erase(owner);
  else
    owners[owner] = std::move(ranges);
  if (owners.empty()) held_.erase(inode_id);
}

std::vector<std::pair<uint64_t, LockOwner>> LockTable::of_session(SessionId session) const {
  std::vector<std::pair<uint64_t, LockOwner>> found;
  for (const auto& [inode_id, owners] : held_)
    for (const auto& [owner, ranges] : owners)
      if (owner.session == session) found.emplace_back(inode_id, owner);
  return found;
}

std::vector<LockOwner> LockTable::of_inode(uint64_t inode_id) const {
  std::vector<LockOwner> found;
  const auto owners = held_.find(inode_id);
  if (owners == held_.end()) return found;
  for (const auto& [owner, ranges] : owners->second) found.push_back(owner);
  return found;
}

void LockTable::wait(Waiting waiting) {
  stop_waiting(waiting.input.request.session, waiting.input.request.slot);
  waiting_.push_back(std::move(waiting));
}

void LockTable::stop_waiting(SessionId session, uint32_t slot) {
  waiting_.remove_if([&](const Waiting& w) { return same_slot(w.input.request, session, slot); });
}
void LockTable::stop_waiting(SessionId session) {
  waiting_.remove_if([&](const Waiting& w) { return w.input.request.session == session; });
}

std::vector<LockOwner> LockTable::blockers(uint64_t inode_id, const LockOwner& owner,
                                           const HeldRange& range) const {
  std::vector<LockOwner> found;
  const auto owners = held_.find(inode_id);
  if (owners == held_.end()) return found;
  for (const auto& [other, ranges] : owners->second) {
    if (other == owner || other.space != owner.space) continue;
    for (const HeldRange& held : ranges) {
      if (!conflict_between(held, range)) continue;
      found.push_back(other);
      break;
    }
  }
  return found;
}

bool LockTable::would_deadlock(uint64_t inode_id, const LockOwner& owner,
                               const HeldRange& range) const {
  if (owner.space != LockSpace::kRanges) return false;
  std::vector<LockOwner> to_visit = blockers(inode_id, owner, range);
  std::set<LockOwner> visited;
  while (!to_visit.empty()) {
    const LockOwner next = to_visit.back();
    to_visit.pop_back();
    if (next == owner) return true;
    if (!visited.insert(next).second) continue;
    for (const Waiting& waiting : waiting_) {
      if (waiting.owner != next) continue;
      const auto more = blockers(waiting.inode_id, waiting.owner, waiting.range);
      to_visit.insert(to_visit.end(), more.begin(), more.end());
    }
  }
  return false;
}

std::vector<CommandInput> LockTable::take_granted() {
  std::vector<CommandInput> granted = std::exchange(cancelled_, {});
  if (!std::exchange(released_, false)) return granted;
  for (auto it = waiting_.begin(); it != waiting_.end();) {
    if (conflict(it->inode_id, it->owner, it->range)) {
      ++it;
    } else {
      granted.push_back(std::move(it->input));
      it = waiting_.erase(it);
    }
  }
  return granted;
}

void LockTable::cancel(SessionId session, uint32_t slot) {
  for (auto it = waiting_.begin(); it != waiting_.end(); ++it) {
    if (!same_slot(it->input.request, session, slot)) continue;
    cancelled_.push_back(std::move(it->input));
    waiting_.erase(it);
    return;
  }
}

}  // namespace pairfs
