#include "node/executor/handle_table.h"

#include <algorithm>

#include "common/row_codec.h"
#include "node/executor/schema.h"

namespace pairfs {

void HandleTable::load(const VolumeStore& store) {
  *this = {};
  store.scan(family_key(Family::kOrphan), after_prefix(family_key(Family::kOrphan)),
             [&](BytesView key, BytesView) {
               add_orphan(read_big_endian<uint64_t>(key, 1));
               return true;
             });
}

void HandleTable::add(SessionId session, uint64_t inode_id, uint32_t count) {
  if (count == 0) return;
  by_session_[session][inode_id] += count;
  holders_[inode_id] += count;
}

void HandleTable::released(uint64_t inode_id) {
  holders_.erase(inode_id);
  if (orphans_.contains(inode_id)) maybe_free_.push_back(inode_id);
}

void HandleTable::remove(SessionId session, uint64_t inode_id, uint32_t count) {
  const auto of_session = by_session_.find(session);
  if (of_session == by_session_.end()) return;
  const auto held = of_session->second.find(inode_id);
  if (held == of_session->second.end()) return;
  const uint32_t removed = std::min(count, held->second);
  held->second -= removed;
  if (held->second == 0) of_session->second.erase(held);
  if ((holders_[inode_id] -= removed) == 0) released(inode_id);
}

void HandleTable::replace(SessionId session, std::unordered_map<uint64_t, uint32_t> counts) {
  // The new ones first, so that nothing seems released in between.
  std::unordered_map<uint64_t, uint32_t> before;
  if (auto node = by_session_.extract(session)) before = std::move(node.mapped());
  for (const auto& [inode_id, count] : counts) add(session, inode_id, count);
  for (const auto& [inode_id, count] : before)
    if ((holders_[inode_id] -= count) == 0) released(inode_id);
}

uint32_t HandleTable::count(SessionId session, uint64_t inode_id) const {
  const auto of_session = by_session_.find(session);
  if (of_session == by_session_.end()) return 0;
  const auto held = of_session->second.find(inode_id);
  return held == of_session->second.end() ? 0 : held->second;
}

void HandleTable::merge_into(SessionId session,
                             std::unordered_map<uint64_t, uint32_t>& counts) const {
  const auto of_session = by_session_.find(session);
  if (of_session == by_session_.end()) return;
  counts.insert(of_session->second.begin(), of_session->second.end());
}

void HandleTable::remove_session(SessionId session) {
  replace(session, {});
  by_session_.erase(session);
}

void HandleTable::add_orphan(uint64_t inode_id, Instant not_before) {
  orphans_.insert(inode_id);
  if (not_before != Instant{}) {
    kept_.emplace_back(not_before, inode_id);
    kept_ids_.insert(inode_id);
  } else if (!is_held(inode_id)) {
    maybe_free_.push_back(inode_id);
  }
}

void HandleTable::keep_only(const std::function<bool(uint64_t inode_id)>& here) {
  std::erase_if(orphans_, [&](uint64_t inode_id) { return !here(inode_id); });
  std::erase_if(holders_, [&](const auto& item) { return !here(item.first); });
  for (auto& [session, counts] : by_session_)
    std::erase_if(counts, [&](const auto& item) { return !here(item.first); });
}

void HandleTable::set_all_declared(bool declared) {
  if (declared && !all_declared_) {
    maybe_free_.assign(orphans_.begin(), orphans_.end());
    std::sort(maybe_free_.begin(), maybe_free_.end());
  }
  all_declared_ = declared;
}

std::vector<uint64_t> HandleTable::take_free(size_t most, Instant now) {
  std::vector<uint64_t> free;
  for (; !kept_.empty() && kept_.front().first <= now; kept_.pop_front()) {
    kept_ids_.erase(kept_.front().second);
    maybe_free_.push_back(kept_.front().second);
  }
  while (all_declared_ && free.size() < most && !maybe_free_.empty()) {
    const uint64_t inode_id = maybe_free_.front();
    maybe_free_.pop_front();
    if (orphans_.contains(inode_id) && !is_held(inode_id) && !kept_ids_.contains(inode_id))
      free.push_back(inode_id);
  }
  return free;
}

}  // namespace pairfs
