// The series of measurements that `pairfs bench` makes on one directory: metadata, small files,
// sequential and random input and output, with one process and with several.
//
// Owns which steps there are, their order (a step uses files that an earlier one made) and their
// sizes. One thread, which forks (measurement.h).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/measurement.h"

namespace pairfs::bench {

struct Row {
  const char* name;
  const char* unit;    // "MiB/s", or what is counted by the second
  unsigned few, many;  // processes
};

// In the order of the table.
const std::vector<Row>& rows();

struct SeriesOptions {
  std::string dir;     // an empty directory; what is left in it is the caller's to remove
  bool quick = false;  // 0.4 s a step instead of 2 s
  bool cold = false;  // forget what the kernel caches before steps that are called cold; needs root
};

// Called after each step. Nothing when it could not be done; the work has said why on stderr.
using OnStep = std::function<void(const Row& row, unsigned processes,
                                  const std::optional<Measurement>& result)>;

// Runs all of it. False when a step failed; steps that need its files are left out then.
bool run_series(const SeriesOptions& options, const OnStep& on_step);

// True if this process may drop the kernel's caches.
bool can_drop_caches();

}  // namespace pairfs::bench
