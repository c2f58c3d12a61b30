// Runs seeds of the simulated worlds in child processes, so that a seed that aborts is a failed
// seed like any other and two run at a time.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "common/types.h"

namespace pairfs::sim {

// Which worlds a seed runs.
enum class Worlds { kPair, kVolumes, kCluster, kAll };

struct SeedResult {
  uint64_t seed = 0;
  std::string why;  // empty: clean
  std::map<std::string, uint64_t> counts;
};

// Runs one seed in this process: the worlds one after the other, and every 20th seed once more to
// compare fingerprints. `trace` prints what happened.
SeedResult run_seed(uint64_t seed, Worlds worlds, bool trace);

struct RunOptions {
  uint64_t first = 1;
  uint64_t seeds = 300;
  Worlds worlds = Worlds::kAll;
  unsigned jobs = 2;
  Duration limit = Duration::max();  // of real time; seeds not begun by then are left out
  // Ends after this many failed seeds.
  uint64_t failures_max = ~0ULL;
  // Runs in each child before its first seed.
  std::function<void()> prepare;
};
struct RunSummary {
  uint64_t seeds = 0;  // that ran
  std::vector<SeedResult> failed;
  std::map<std::string, uint64_t> counts;
};
// Calls `on_failure` for each failed seed as soon as it is known.
RunSummary run_seeds(const RunOptions& options,
                     const std::function<void(const SeedResult&)>& on_failure);

}  // namespace pairfs::sim
