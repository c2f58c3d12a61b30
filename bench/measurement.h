// One measurement: processes that do one kind of work, each in a directory of its own.
//
// Owns the processes (forked, waited for) and the clock around them. Called from one thread of a
// process that has no other, as it forks.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace pairfs::bench {

struct MeasurementOptions {
  std::string work;  // a name that is_work() knows
  std::string dir;   // exists; process i works in dir/p<i>
  unsigned processes = 1;
  uint64_t files = 1000;  // a process ends after so many names
  uint64_t mib = 64;      // size of a process's file, for work on data
  double seconds = 2;     // a process begins no operation after this
};

struct Measurement {
  uint64_t operations = 0;  // of all processes
  uint64_t least = 0;       // of the process that did fewest: so many files are in each directory
  double seconds = 0;       // of the process that took longest
  double per_second = 0, mib_per_second = 0;
  double p50_us = 0, p99_us = 0, max_us = 0;
};

// Nothing if a process could not do its work; it has said why on stderr.
std::optional<Measurement> measure(const MeasurementOptions& options);

}  // namespace pairfs::bench
