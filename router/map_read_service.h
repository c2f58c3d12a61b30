// Answers MapRead from one copy of the map, at once or when it has changed (long poll). Used for
// the map store itself and for a router's copy. It owns the waiting requests and the encoded map.
// No I/O; one thread.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "common/header.h"
#include "common/messages.h"

namespace pairfs {

class MapReadService {
 public:
  // Bounds: a request waits at most kWaitMax whatever it asks for, and beyond kWaitersMax the one
  // that would have waited is answered at once.
  static constexpr Duration kWaitMax = std::chrono::seconds(10);
  static constexpr size_t kWaitersMax = 16384;

  struct Answer {
    std::vector<Bytes> envelope;
    SharedBytes head;
  };

  explicit MapReadService(uint64_t cluster_id) : cluster_id_(cluster_id) {}

  // The map as it is now. Those who wait for it are answered by the next take_answers().
  void set_map(uint64_t map_version, const std::vector<MapEntry>& entries);
  uint64_t map_version() const { return map_version_; }

  void on_read(const std::vector<Bytes>& envelope, const MessageHeader& header, const MapRead& read,
               Instant now);
  // What can be answered by now.
  std::vector<Answer> take_answers(Instant now);
  // When the next request has waited long enough; Instant::max() when none waits.
  Instant next_wake() const;

 private:
  struct Waiter {
    std::vector<Bytes> envelope;
    MessageHeader header;
    uint64_t known_version;
  };
  Answer answer(std::vector<Bytes> envelope, const MessageHeader& header,
                uint64_t known_version) const;

  const uint64_t cluster_id_;
  uint64_t map_version_ = 0;
  Bytes changed_body_, unchanged_body_;     // encoded replies
  std::multimap<Instant, Waiter> waiters_;  // by deadline
  std::vector<Answer> ready_;
  bool changed_ = false;
};

}  // namespace pairfs
