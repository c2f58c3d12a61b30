// Latencies counted in buckets of at most 6 % width; plain memory, so it can be shared by
// processes.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace pairfs::bench {

class Histogram {
 public:
  void add(uint64_t nanoseconds) {
    ++counts_[bucket(nanoseconds)];
    if (nanoseconds > most_) most_ = nanoseconds;
  }
  void merge(const Histogram& other) {
    for (size_t i = 0; i < counts_.size(); ++i) counts_[i] += other.counts_[i];
    if (other.most_ > most_) most_ = other.most_;
  }
  // The latency in nanoseconds that a share (0 to 1) of the operations stayed below.
  uint64_t quantile(double share) const {
    uint64_t total = 0;
    for (const uint64_t count : counts_) total += count;
    const auto wanted = static_cast<uint64_t>(share * static_cast<double>(total));
    uint64_t seen = 0;
    for (size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > wanted) return upper_end(i);
    }
    return most_;
  }
  uint64_t most() const { return most_; }

 private:
  static constexpr size_t kPerDoubling = 16;

  static size_t bucket(uint64_t value) {
    if (value < kPerDoubling) return value;
    const auto doubling = static_cast<size_t>(std::bit_width(value)) - 5;
    return (doubling + 1) * kPerDoubling + ((value >> doubling) - kPerDoubling);
  }
  static uint64_t upper_end(size_t bucket) {
    if (bucket < kPerDoubling) return bucket;
    const size_t doubling = bucket / kPerDoubling - 1;
    return ((bucket % kPerDoubling + kPerDoubling + 1) << doubling) - 1;
  }

  std::array<uint64_t, 64 * kPerDoubling> counts_{};
  uint64_t most_ = 0;
};

}  // namespace pairfs::bench
