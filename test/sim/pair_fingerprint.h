// What makes two states of the explored pair the same: all that a PairCore, its messages and
// records hold, counted from where the pair is now. Times are relative to now and cut off where no
// timer looks that far back; epochs are relative to the map's, lives to the newest, sequences to
// what both logs have; a chain crc is the place in a log where it stands.
#pragma once

#include <algorithm>
#include <vector>

#include "node/pair/pair_core.h"

namespace pairfs::sim {

class Fingerprint {
 public:
  struct Origin {
    Instant now;
    Epoch epoch = 0;
    Incarnation next_incarnation = 0;
    uint64_t version = 0;
    Sequence both = 0;                // the logs are the same, and synced, up to here
    std::vector<uint32_t> chains[2];  // of the records of both logs
  };
  explicit Fingerprint(Origin origin) : origin_(std::move(origin)) {}

  uint64_t value() const { return value_; }

  template <class... T>
  void add(const T&... values) {
    (mix(static_cast<uint64_t>(values)), ...);
  }
  // A time that has passed, and is `looked_back` at to that far at most.
  void add_past(Instant when, Duration looked_back) {
    mix(static_cast<uint64_t>(std::max<Duration>(when - origin_.now, -looked_back).count()));
  }
  // A time that is waited for.
  void add_future(Instant when) { add_past(when, Duration(0)); }
  void add_epoch(Epoch epoch) { add_relative(epoch, origin_.epoch, 4); }
  void add_incarnation(Incarnation life) { add_relative(life, origin_.next_incarnation, 6); }
  void add_version(uint64_t version) { add_relative(version, origin_.version, 3); }
  void add_sequence(Sequence sequence) { add_relative(sequence, origin_.both, 4); }
  void add_chain(uint32_t chain);
  void add_record(const VolumeRecord& record);
  void add_summary(const LogSummary& log);
  void add_message(const LinkMessage& message);
  void add_core(const PairCore& core, const PairTimings& timings);

 private:
  void mix(uint64_t part) {
    value_ = (value_ ^ part) * 0x9e3779b97f4a7c15ULL;
    value_ ^= value_ >> 29;
  }
  // 0 means "none" everywhere; what is further back than `most` is all the same.
  void add_relative(uint64_t value, uint64_t origin, int64_t most) {
    mix(value == 0 ? 0x5eedULL
                   : static_cast<uint64_t>(std::max(
                         static_cast<int64_t>(value) - static_cast<int64_t>(origin), -most)));
  }
  void add_life(const NodeLife& life);

  const Origin origin_;
  uint64_t value_ = 0x243f6a8885a308d3ULL;
};

}  // namespace pairfs::sim
