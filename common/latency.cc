#include "common/latency.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>

namespace pairfs {
namespace {

constexpr uint64_t kPerPower = 16;

// 0 to 15 are themselves; from there each power of two has 16 buckets.
size_t bucket_of(uint64_t us) {
  if (us < kPerPower) return us;
  const unsigned power = std::bit_width(us) - 5;  // us >> power is within 16 to 31
  return (power + 1) * kPerPower + ((us >> power) - kPerPower);
}

uint64_t upper_bound_of(size_t bucket) {
  if (bucket < kPerPower) return bucket;
  const size_t power = bucket / kPerPower - 1;
  return ((kPerPower + bucket % kPerPower + 1) << power) - 1;
}

}  // namespace

void LatencyHistogram::add(Duration duration) {
  const auto us = std::max<int64_t>(duration.count() / 1000, 0);
  ++buckets_[std::min(bucket_of(static_cast<uint64_t>(us)), buckets_.size() - 1)];
  ++count_;
}

uint64_t LatencyHistogram::quantile_us(double q) const {
  const auto wanted = static_cast<uint64_t>(q * static_cast<double>(count_));
  uint64_t below = 0;
  for (size_t i = 0; i < buckets_.size(); ++i) {
    below += buckets_[i];
    if (below > wanted || (below == count_ && count_ > 0)) return upper_bound_of(i);
  }
  return 0;
}

std::string LatencyHistogram::json() const {
  return fmt::format("{{\"count\":{},\"p50_us\":{},\"p99_us\":{}}}", count_, quantile_us(0.5),
                     quantile_us(0.99));
}

}  // namespace pairfs
