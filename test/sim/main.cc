// pairfs-sim: runs seeds of the simulated worlds.
//   pairfs-sim --seeds N [--seed FIRST] [--trace] [--stats]
#include <fmt/core.h>

#include <CLI/CLI.hpp>

#include "test/sim/pair_world.h"

int main(int argc, char** argv) {
  CLI::App app{"runs simulated pairs from seeds", "pairfs-sim"};
  uint64_t seeds = 300, first = 1;
  bool trace = false, stats = false;
  app.add_option("--seeds", seeds, "how many");
  app.add_option("--seed", first, "the first one");
  app.add_flag("--trace", trace, "print what happened");
  app.add_flag("--stats", stats, "count what was reached");
  CLI11_PARSE(app, argc, argv);
  uint64_t failed = 0;
  std::map<std::string, uint64_t> counts;
  for (uint64_t seed = first; seed < first + seeds; ++seed) {
    pairfs::sim::PairWorld world(seed, trace);
    std::string why = world.run();
    if (why.empty() && seed % 20 == 0) {
      pairfs::sim::PairWorld again(seed, false);
      again.run();
      if (again.fingerprint() != world.fingerprint()) why = "two runs of the seed differ";
    }
    for (const auto& [name, count] : world.stats().counts) counts[name] += count;
    if (trace)
      for (const std::string& line : world.trace()) fmt::print("{}\n", line);
    if (why.empty()) continue;
    ++failed;
    fmt::print("seed {} failed: {}\n  repeat: ./dev sim --seeds 1 --seed {} --trace\n", seed, why,
               seed);
  }
  if (stats)
    for (const auto& [name, count] : counts) fmt::print("{:40} {}\n", name, count);
  fmt::print("{} passed, {} failed, 0 skipped\n", seeds - failed, failed);
  return failed == 0 ? 0 : 1;
}
