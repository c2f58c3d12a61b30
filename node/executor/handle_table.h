// Open handles: how many of each inode each session holds. In memory only; after a takeover the
// sessions declare theirs again. Also which inodes have no name any more (a mirror of the orphan
// rows), and which of those nobody holds, to be freed. Loop thread.
#pragma once

#include <deque>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/types.h"
#include "node/store/volume_store.h"

namespace pairfs {

class HandleTable {
 public:
  void load(const VolumeStore& store);

  // ---- handles ----
  void add(SessionId session, uint64_t inode_id, uint32_t count = 1);
  void remove(SessionId session, uint64_t inode_id, uint32_t count);
  // What the session declared, in place of what was counted before.
  void replace(SessionId session, std::unordered_map<uint64_t, uint32_t> counts);
  uint32_t count(SessionId session, uint64_t inode_id) const;
  // Adds to `counts` the inodes that the session holds and `counts` does not name.
  void merge_into(SessionId session, std::unordered_map<uint64_t, uint32_t>& counts) const;
  void remove_session(SessionId session);
  bool is_held(uint64_t inode_id) const { return holders_.contains(inode_id); }

  // ---- orphans ----
  // It is freed no earlier than at `not_before`.
  void add_orphan(uint64_t inode_id, Instant not_before = {});
  void remove_orphan(uint64_t inode_id) { orphans_.erase(inode_id); }
  bool is_orphan(uint64_t inode_id) const { return orphans_.contains(inode_id); }
  size_t orphans() const { return orphans_.size(); }
  // Forgets the orphans and handles of inodes that are not `here`.
  void keep_only(const std::function<bool(uint64_t inode_id)>& here);
  // Looks at all orphans again: may some be freed?
  void reconsider() { maybe_free_.assign(orphans_.begin(), orphans_.end()); }

  // While some session has yet to declare its opens, nothing may be freed.
  void set_all_declared(bool declared);
  bool all_declared() const { return all_declared_; }
  // True when the inode may go as soon as its last name does.
  bool may_free(uint64_t inode_id) const { return all_declared_ && !is_held(inode_id); }
  // Up to `most` orphans that nobody holds; each is given once per reason to look at it.
  std::vector<uint64_t> take_free(size_t most, Instant now);

 private:
  void released(uint64_t inode_id);
  std::unordered_map<SessionId, std::unordered_map<uint64_t, uint32_t>> by_session_;
  std::unordered_map<uint64_t, uint64_t> holders_;  // inode -> handles of all sessions
  std::unordered_set<uint64_t> orphans_;
  std::deque<uint64_t> maybe_free_;
  std::deque<std::pair<Instant, uint64_t>> kept_;  // orphans with a time before which they stay
  std::unordered_set<uint64_t> kept_ids_;
  bool all_declared_ = true;
};

}  // namespace pairfs
