// A small deterministic random source, the same on every machine and library (splitmix64).
#pragma once

#include <cstdint>

#include "common/types.h"

namespace pairfs::sim {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
  }
  // In [low, high], both included.
  uint64_t between(uint64_t low, uint64_t high) { return low + next() % (high - low + 1); }
  // True once in `n` times; never when n is 0.
  bool one_in(uint64_t n) { return n != 0 && next() % n == 0; }
  Duration duration(Duration low, Duration high) {
    return Duration(static_cast<int64_t>(
        between(static_cast<uint64_t>(low.count()), static_cast<uint64_t>(high.count()))));
  }

 private:
  uint64_t state_;
};

}  // namespace pairfs::sim
