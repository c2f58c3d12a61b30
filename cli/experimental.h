// What is built, but not yet trusted with data.
#pragma once

#include <cstdlib>

#include "cli/problem.h"

namespace pairfs::cli {

// A refusal, unless PAIRFS_EXPERIMENTAL is set. Random tests with moving slices still find commands
// that wait for ever.
inline Trouble refuse_moving_slices() {
  if (std::getenv("PAIRFS_EXPERIMENTAL") != nullptr) return std::nullopt;
  return refused("moving data between pairs is not finished in this version: commands may wait for ever"
                 " while it goes on. PAIRFS_EXPERIMENTAL=1 tries it, on data that you can lose");
}

}  // namespace pairfs::cli
