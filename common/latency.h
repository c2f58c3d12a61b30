// A histogram of durations: 16 buckets per power of two, so that a quantile is right within 7 %,
// from 1 µs to over an hour. 4 KiB. One thread.
#pragma once

#include <array>
#include <string>

#include "common/types.h"

namespace pairfs {

class LatencyHistogram {
 public:
  void add(Duration duration);
  uint64_t count() const { return count_; }
  // The duration that a share `q` (0 to 1) of all stayed below; 0 without any. Microseconds.
  uint64_t quantile_us(double q) const;
  // {"count":N,"p50_us":N,"p99_us":N}
  std::string json() const;

 private:
  std::array<uint64_t, 512> buckets_{};
  uint64_t count_ = 0;
};

}  // namespace pairfs
