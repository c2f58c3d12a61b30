// A small generator of numbers that gives the same sequence for the same seed on every machine.
// (splitmix64, Steele, Lea and Flood 2014.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace pairfs::fsx {

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  // A number below `bound`, which is at least 1.
  uint64_t below(uint64_t bound) { return next() % bound; }
  // True once in `n` times.
  bool one_in(uint64_t n) { return below(n) == 0; }
  template <typename T, size_t N>
  const T& pick(const T (&values)[N]) {
    return values[below(N)];
  }

 private:
  uint64_t state_;
};

}  // namespace pairfs::fsx
