#include "router/map_read_service.h"

#include <algorithm>

#include "common/codec.h"

namespace pairfs {

void MapReadService::set_map(uint64_t map_version, const std::vector<MapEntry>& entries) {
  map_version_ = map_version;
  changed_body_ = encode(MapReadReply{map_version, entries});
  unchanged_body_ = encode(MapReadReply{map_version, {}});
  changed_ = true;
}

MapReadService::Answer MapReadService::answer(std::vector<Bytes> envelope,
                                              const MessageHeader& header,
                                              uint64_t known_version) const {
  MessageHeader reply;
  reply.op = MapRead::kOp;
  reply.flags = kFlagReply;
  reply.cluster_id = cluster_id_;
  reply.request = header.request;
  reply.trace_id = header.trace_id;
  static const Bytes kNoMap = encode(MapReadReply{});
  const Bytes& body = map_version_ == 0               ? kNoMap
                      : known_version == map_version_ ? unchanged_body_
                                                      : changed_body_;
  return {std::move(envelope), SharedBytes::from(make_head(reply, body))};
}

void MapReadService::on_read(const std::vector<Bytes>& envelope, const MessageHeader& header,
                             const MapRead& read, Instant now) {
  if (read.known_version < map_version_ || read.wait_ms == 0 || waiters_.size() >= kWaitersMax) {
    ready_.push_back(answer(envelope, header, read.known_version));
    return;
  }
  const Duration wait = std::min<Duration>(std::chrono::milliseconds(read.wait_ms), kWaitMax);
  waiters_.emplace(now + wait, Waiter{envelope, header, read.known_version});
}

std::vector<MapReadService::Answer> MapReadService::take_answers(Instant now) {
  for (auto at = waiters_.begin(); at != waiters_.end();) {
    const bool news = at->second.known_version < map_version_;
    if (!news && at->first > now) {
      if (!changed_) break;  // all later ones wait longer, and there is no news for anyone
      ++at;
      continue;
    }
    Waiter& waiter = at->second;
    ready_.push_back(answer(std::move(waiter.envelope), waiter.header, waiter.known_version));
    at = waiters_.erase(at);
  }
  changed_ = false;
  return std::exchange(ready_, {});
}

Instant MapReadService::next_wake() const {
  if (changed_ || !ready_.empty()) return Instant{};
  return waiters_.empty() ? Instant::max() : waiters_.begin()->first;
}

}  // namespace pairfs
