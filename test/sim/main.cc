// pairfs-sim: runs seeds of the simulated worlds. See docs/simulator.md.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "common/logging.h"
#include "test/sim/explorer.h"
#include "test/sim/mutants.h"
#include "test/sim/scenarios.h"

namespace {
using namespace pairfs;
using namespace pairfs::sim;

constexpr const char* kUsage = R"(pairfs-sim: runs simulated clusters from seeds
  --seeds N         how many (300; of each scenario 10; of each mutant at most 300)
  --seed S          the first one (1)
  --minutes M       begins no seed after this time
  --jobs N          processes at a time (one per core)
  --world W         pair, volumes, cluster, or all (default)
  --trace           runs in this process and prints what happened
  --stats           counts what was reached; exit code 1 when something never was
  --mutants         turns deliberate protocol bugs on, one by one; exit code 0 when all are caught
  --mutant NAME     only that one; without --mutants: leaves it on, to look at a seed
  --scenarios       corner cases by name; exit code 0 when all are clean
  --scenario TEXT   only those whose name contains the text
  --explore         all states of one pair and one client that a number of faults leads to
  --faults N        how many (3)
  --states N        fails when there are more states
)";

struct Options {
  RunOptions run;
  bool seeds_given = false;
  bool trace = false, stats = false, mutants = false, scenarios = false, exploring = false;
  int faults = 3;
  uint64_t states_max = 50'000'000;
  std::string mutant, scenario;
};

[[noreturn]] void refuse(const std::string& why) {
  fmt::print(stderr, "pairfs-sim: {}\n{}", why, kUsage);
  std::exit(2);
}

uint64_t number(const std::string& name, const std::string& text) {
  char* end = nullptr;
  const uint64_t value = std::strtoull(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || text[0] == '-')
    refuse(fmt::format("{} wants a whole number, not \"{}\"", name, text));
  return value;
}

Options parse(int argc, char** argv) {
  Options options;
  options.run.jobs = static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 == argc) refuse(name + " wants a value");
      return argv[++i];
    };
    if (name == "--seeds") {
      options.run.seeds = number(name, value());
      options.seeds_given = true;
    } else if (name == "--seed") {
      options.run.first = number(name, value());
    } else if (name == "--minutes") {
      options.run.limit =
          std::chrono::seconds(static_cast<int64_t>(std::atof(value().c_str()) * 60));
    } else if (name == "--jobs") {
      options.run.jobs = static_cast<unsigned>(number(name, value()));
    } else if (name == "--world") {
      const std::string world = value();
      if (world != "pair" && world != "volumes" && world != "cluster" && world != "all")
        refuse("--world wants pair, volumes, cluster or all, not \"" + world + "\"");
      options.run.worlds = world == "pair"      ? Worlds::kPair
                           : world == "volumes" ? Worlds::kVolumes
                           : world == "cluster" ? Worlds::kCluster
                                                : Worlds::kAll;
    } else if (name == "--trace") {
      options.trace = true;
    } else if (name == "--stats") {
      options.stats = true;
    } else if (name == "--mutants") {
      options.mutants = true;
    } else if (name == "--mutant") {
      options.mutant = value();
    } else if (name == "--scenarios") {
      options.scenarios = true;
    } else if (name == "--scenario") {
      options.scenarios = true;
      options.scenario = value();
    } else if (name == "--explore") {
      options.exploring = true;
    } else if (name == "--faults") {
      options.faults = static_cast<int>(number(name, value()));
    } else if (name == "--states") {
      options.states_max = number(name, value());
    } else if (name == "--help" || name == "-h") {
      fmt::print("{}", kUsage);
      std::exit(0);
    } else {
      refuse("there is no option \"" + name + "\"");
    }
  }
  return options;
}

void tell_failure(const SeedResult& result) {
  fmt::print("seed {} failed: {}\n  repeat: ./dev sim --seeds 1 --seed {} --trace\n", result.seed,
             result.why, result.seed);
  std::fflush(stdout);
}

int run_exploration(const Options& options) {
  const Exploration found = explore(options.faults, options.states_max);
  for (const std::string& step : found.path) fmt::print("{}\n", step);
  if (!found.why.empty()) fmt::print("failed: {}\n", found.why);
  fmt::print("{} states, {} steps, up to {} faults\n", found.states, found.steps, options.faults);
  fmt::print("{} passed, {} failed, 0 skipped\n", found.why.empty() ? 1 : 0,
             found.why.empty() ? 0 : 1);
  return found.why.empty() ? 0 : 1;
}

int run_traced(const Options& options) {
  uint64_t failed = 0;
  const RunOptions& run = options.run;
  for (uint64_t seed = run.first; seed < run.first + run.seeds; ++seed) {
    const SeedResult result = run_seed(seed, run.worlds, true);
    if (result.why.empty()) continue;
    tell_failure(result);
    ++failed;
  }
  fmt::print("{} passed, {} failed, 0 skipped\n", run.seeds - failed, failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const Options options = parse(argc, argv);
  silence_logging();

  if (options.scenarios)
    return run_scenarios(options.run.first, options.seeds_given ? options.run.seeds : 10,
                         options.scenario, options.trace)
               ? 0
               : 1;
  if (options.mutants) return run_mutants(options.run, options.mutant) ? 0 : 1;
  if (!options.mutant.empty() && !turn_on_mutant(options.mutant))
    refuse("there is no mutant \"" + options.mutant + "\"");
  if (options.exploring) return run_exploration(options);
  if (options.trace) return run_traced(options);
  const RunSummary summary = run_seeds(options.run, tell_failure);
  bool all_reached = true;
  if (options.stats)
    for (const auto& [name, count] : summary.counts) {
      fmt::print("{:40} {}{}\n", name, count, count == 0 ? "   <- never" : "");
      all_reached &= count != 0;
    }
  fmt::print("{} passed, {} failed, 0 skipped\n", summary.seeds - summary.failed.size(),
             summary.failed.size());
  return summary.failed.empty() && all_reached ? 0 : 1;
}
