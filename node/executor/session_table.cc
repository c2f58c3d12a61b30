#include "node/executor/session_table.h"

#include "common/row_codec.h"

namespace pairfs {

bool RecentNumbers::add(uint64_t number) {
  if (!known_.insert(number).second) return false;
  if (ring_.size() < kKept) {
    ring_.push_back(number);
  } else {
    known_.erase(ring_[next_]);
    ring_[next_] = number;
    next_ = (next_ + 1) % kKept;
  }
  return true;
}

void SessionTable::load(const VolumeStore& store) {
  live_.clear();
  expired_.clear();
  const auto scan_family = [&](Family family, const VolumeStore::Visit& visit) {
    store.scan(family_key(family), after_prefix(family_key(family)), visit);
  };
  scan_family(Family::kSession, [&](BytesView key, BytesView value) {
    auto row = decode_session(value);
    ENSURE(row && key.size() == 9, "session row");
    open(read_big_endian<uint64_t>(key, 1), std::move(*row));
    return true;
  });
  scan_family(Family::kReply, [&](BytesView key, BytesView value) {
    auto row = decode_reply_row(value);
    ENSURE(row && key.size() == 13, "reply row");
    const auto slot = read_big_endian<uint32_t>(key, 9);
    Session* session = find(read_big_endian<uint64_t>(key, 1));
    ENSURE(session != nullptr, "reply row of no session");
    session->slots[slot] = std::move(*row);
    return true;
  });
  scan_family(Family::kExpired, [&](BytesView key, BytesView) {
    expired_.insert(read_big_endian<uint64_t>(key, 1));
    return true;
  });
}

Session* SessionTable::find(SessionId id) {
  const auto found = live_.find(id);
  return found == live_.end() ? nullptr : &found->second;
}

Session& SessionTable::open(SessionId id, SessionRow row) {
  Session& session = live_[id];
  session.id = id;
  session.row = std::move(row);
  return session;
}

void SessionTable::close(SessionId id) {
  live_.erase(id);
  expired_.insert(id);
}

}  // namespace pairfs
