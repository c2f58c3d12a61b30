// The sessions of a volume in memory: a mirror of their rows, with the last reply of each slot, and
// what is never logged: when a session was last heard of, and whether it declared its open inodes
// to this executor. Loop thread.
#pragma once

#include <map>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "node/executor/schema.h"
#include "node/store/volume_store.h"

namespace pairfs {

// Remembers the last kKept numbers it was shown.
class RecentNumbers {
 public:
  static constexpr size_t kKept = 1024;
  // False when the number is among the remembered ones already.
  bool add(uint64_t number);

 private:
  std::vector<uint64_t> ring_;
  size_t next_ = 0;
  std::unordered_set<uint64_t> known_;
};

struct Session {
  SessionId id = 0;
  SessionRow row;
  std::unordered_map<uint32_t, ReplyRow> slots;  // also of other volumes whose slices came here
  // Not in rows:
  Instant heard;
  bool declared = true;
  uint64_t declared_sequence = 0;  // of its newest declaration here
  // By slot: what the last answer told of inodes that changed (MessageHeader::changed).
  struct ToldChanges {
    uint64_t sequence = 0;
    uint32_t grants = 0;
    uint64_t changed[2] = {};
  };
  std::unordered_map<uint32_t, ToldChanges> told_changes;
  // By slot: the CreateFile whose handle this executor counted.
  std::unordered_map<uint32_t, uint64_t> counted_creates;
  uint64_t last_sequence(uint32_t slot) const {
    const auto found = slots.find(slot);
    return found == slots.end() ? 0 : found->second.sequence;
  }
  RecentNumbers counted_requests;  // Opens and Closes, which are unslotted
};

class SessionTable {
 public:
  void load(const VolumeStore& store);

  Session* find(SessionId id);
  bool is_expired(SessionId id) const { return expired_.contains(id); }
  Session& open(SessionId id, SessionRow row);
  // The id is expired from now on.
  void close(SessionId id);

  std::map<SessionId, Session>& live() { return live_; }
  const std::map<SessionId, Session>& live() const { return live_; }
  const std::unordered_set<SessionId>& expired() const { return expired_; }

 private:
  std::map<SessionId, Session> live_;
  std::unordered_set<SessionId> expired_;
};

}  // namespace pairfs
