// Serves a FileMapStore: MapRead with long poll, and MapSwap. It owns the store; the caller owns
// the socket and the clock. A swap syncs the disk before it returns, a few milliseconds; swaps are
// rare. One thread.
#pragma once

#include <memory>

#include "common/map_store.h"
#include "router/map_read_service.h"

namespace pairfs {

class MapServer {
 public:
  MapServer(std::unique_ptr<FileMapStore> store, uint64_t cluster_id);

  // A message from the map's socket. False: it is malformed or of another cluster, and dropped;
  // `why` says how.
  bool on_message(const std::vector<Bytes>& envelope, BytesView head, Instant now,
                  const char** why);
  std::vector<MapReadService::Answer> take_answers(Instant now);
  Instant next_wake() const { return reads_.next_wake(); }

  const FileMapStore& store() const { return *store_; }
  uint64_t swap_count() const { return swap_count_; }

 private:
  const std::unique_ptr<FileMapStore> store_;
  const uint64_t cluster_id_;
  MapReadService reads_;
  std::vector<MapReadService::Answer> swap_answers_;
  uint64_t swap_count_ = 0;
};

}  // namespace pairfs
