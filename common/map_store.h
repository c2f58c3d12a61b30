// The map store: small keyed records, each changed only by compare-and-swap on its version.
// Implementations: a file-backed one, served by a router process (router/map_server), and
// ZooKeeper. The map_version counts all changes.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/messages.h"
#include "common/transport.h"

namespace pairfs {

// On disk, local, synchronous, fsynced. Used by the process that serves the map, and by
// `pairfs up` to create a cluster while nothing runs. One thread.
class FileMapStore {
 public:
  // Opens or creates `directory`; takes a lock on it. nullptr: `why` is a sentence.
  static std::unique_ptr<FileMapStore> open(const std::string& directory, std::string* why);
  virtual ~FileMapStore() = default;
  virtual uint64_t map_version() const = 0;
  virtual const std::vector<MapEntry>& entries() const = 0;  // sorted by key
  // Durable when it returns. expected_version 0: the key must be absent. A disk that refuses the
  // new file (logged) swaps nothing; one that fails after the rename ends the process.
  virtual MapSwapReply swap(const MapSwap& request) = 0;
  // Replaces all records by those of `map`, which must not be older. Durable when it returns true;
  // false: nothing has changed. For a node's copy of the map, and for a rebuilt one. Any thread,
  // one at a time.
  virtual bool adopt(const MapReadReply& map) = 0;
};

// The map as seen from a node, router or tool: keeps a copy fresh and swaps records, over the
// network, without blocking. One thread, the one that runs the owner's loop.
class MapClient {
 public:
  virtual ~MapClient() = default;
  // Adds the sockets that must wake the loop. Call once.
  virtual void add_to(Poller& poller) = 0;
  // Sends, receives, retries; calls back. Call after every wake-up and at next_wake().
  virtual void step(Instant now) = 0;
  virtual Instant next_wake() const = 0;

  // Called from step() whenever the copy changed (and first when it is known).
  std::function<void()> on_change;
  bool known() const { return map_version() != 0; }
  virtual uint64_t map_version() const = 0;
  virtual const MapEntry* find(BytesView key) const = 0;
  virtual const std::vector<MapEntry>& entries() const = 0;  // sorted by key
  // When the store answered last; Instant{}: never.
  virtual Instant last_answer() const = 0;
  // True when the store answered within the last second.
  virtual bool reachable(Instant now) const = 0;
  // Asks for a fresh copy now rather than when the watch tells.
  virtual void refresh() = 0;

  enum class SwapOutcome { kSwapped, kConflict, kUnknown };
  // Calls done once, from step(). kUnknown: sent, but no answer within `timeout`: it may or may
  // not have happened, and a copy read after this tells. The copy is updated before the call.
  virtual void swap(MapSwap request, Duration timeout,
                    std::function<void(SwapOutcome, const MapEntry& current)> done) = 0;
};

// `endpoints`: one or more places where the same map is served; the next one is tried when one is
// silent for a second. A router's client endpoint serves it too, for reading only: a swap is never
// answered there. Or one endpoint of a ZooKeeper ensemble (common/zookeeper_map_client.h).
// `cluster_id` 0: not known yet, the first answer's is taken. Throws
// std::runtime_error with a sentence when an endpoint is malformed.
//
// A swap whose connection is lost is sent again within its timeout, which is safe, as the versions
// let it take effect once. kConflict then means: the record is `current`, whoever made it so.
std::unique_ptr<MapClient> make_map_client(Context& context,
                                           const std::vector<std::string>& endpoints,
                                           uint64_t cluster_id);

// CLOCK_BOOTTIME as an Instant.
Instant boot_now();

}  // namespace pairfs
