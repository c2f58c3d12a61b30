// The seed of a random test: PAIRFS_SEED when set, else a fresh one. A test prints it with INFO, so
// that a failure can be repeated.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

namespace pairfs::test {

inline uint64_t test_seed() {
  if (const char* text = std::getenv("PAIRFS_SEED")) return std::strtoull(text, nullptr, 0);
  std::random_device device;
  return uint64_t{device()} << 32 | device();
}

}  // namespace pairfs::test
