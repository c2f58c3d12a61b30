// What a mount has done so far, for people: read with getfattr -n pairfs.stats --only-values PATH.
// One thread, the loop's.
#pragma once

#include <array>
#include <string>

#include "common/latency.h"

namespace pairfs {

// The name that answers them, on every file of a mount. It is in no list of attributes.
inline constexpr const char* kStatisticsXattr = "pairfs.stats";

class MountStatistics {
 public:
  // A request as read from /dev/fuse.
  void count_request(BytesView request);
  // A command got its outcome, `taken` after it was submitted, retries included.
  void count_command(Duration taken) { commands_.add(taken); }
  // A write was answered before it was executed; it is no command above.
  void count_written_behind() { ++written_behind_; }
  // {"requests":N,"commands":{"count":N,"p50_us":N,"p99_us":N},"written_behind":N,
  // "by_request":{"LOOKUP":N,...}}
  std::string json() const;

 private:
  std::array<uint64_t, 64> requests_{};  // by the kernel's op code
  LatencyHistogram commands_;
  uint64_t written_behind_ = 0;
};

}  // namespace pairfs
