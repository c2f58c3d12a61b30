// What a VolumeStore must say, the simple way: a map of rows and, per inode, every byte and every
// block's state. Also the random changes that drive it, and the comparison.
#pragma once

#include <map>
#include <random>
#include <vector>

#include "node/store/block.h"
#include "node/store/volume_store.h"

namespace pairfs::test {

inline constexpr uint64_t kModelBlocks = 48;  // no test data lies beyond
inline constexpr uint64_t kModelBytes = kModelBlocks * kBlockBytes;

struct StoreModel {
  struct Inode {
    std::vector<char> bytes = std::vector<char>(kModelBytes);
    std::vector<BlockState> blocks = std::vector<BlockState>(kModelBlocks);
  };
  std::map<Bytes, Bytes> rows;
  std::map<uint64_t, Inode> inodes;
  Sequence sequence = 0;

  void apply(const Changes& changes, Sequence at);
};

using Random = std::mt19937_64;
Changes random_changes(Random& random);
// Fails the running test where store and model differ. `thorough` looks at everything, otherwise
// at a random part.
void check_equal(const VolumeStore& store, const StoreModel& model, Random& random, bool thorough);

// PAIRFS_SEED, or `fallback`; printed by the caller when a test fails.
uint64_t seed_or(uint64_t fallback);

}  // namespace pairfs::test
