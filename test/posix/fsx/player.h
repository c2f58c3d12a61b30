// Plays a list of operations in two worlds and stops at the first difference.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "test/posix/fsx/world.h"

namespace pairfs::fsx {

struct PlayOptions {
  std::vector<std::string> dirs;  // the filesystem under test: one directory per mount
  std::string oracle;             // a directory on a native filesystem
  SnapshotOptions snapshot;
  Plant plant = Plant::none;
  size_t verify_every = 250;  // operations between comparisons of the whole trees
  bool trace = false;         // print every operation with its outcome
  bool keep = false;          // leave the trees behind when they differ
};

struct Difference {
  size_t position = 0;  // in the list
  std::string text;     // what differs, in several lines
};

// Plays `ops` in fresh directories. Nothing if both worlds agree to the end.
// Throws std::runtime_error if the directories cannot be made.
std::optional<Difference> play(const PlayOptions& options, const std::vector<Op>& ops);

// The positions of a small part of `ops` that still shows a difference; tries for `seconds`.
std::vector<size_t> shrink(const PlayOptions& options, const std::vector<Op>& ops, size_t failed_at,
                           double seconds);

}  // namespace pairfs::fsx
