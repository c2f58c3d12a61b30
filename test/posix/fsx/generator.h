// Draws operations from a seed.
//
// Owns: how likely each operation and argument is. Few names, few slots and small files are
// preferred, so that operations meet each other.
#pragma once

#include <vector>

#include "test/posix/fsx/op.h"

namespace pairfs::fsx {

struct GeneratorOptions {
  uint64_t seed = 1;
  size_t ops = 1000;
  int mounts = 1;
  bool root = false;  // other users, devices and trusted attributes too
  bool locks = true;  // flock and open file description locks
  bool holes = true;  // fallocate with its modes
  bool acls = true;
  bool foreign_links = true;  // links by other users, which fs.protected_hardlinks restricts
  int64_t largest_offset = int64_t{1} << 40;  // rare far writes stay below it
};

// The same options give the same list.
std::vector<Op> generate(const GeneratorOptions& options);

}  // namespace pairfs::fsx
