// Corner cases that chance reaches seldom, each as a named scenario: a cluster without random
// faults, to which something happens at a chosen moment.
#pragma once

#include "test/sim/runner.h"

namespace pairfs::sim {

// Runs each with `seeds` seeds from `first` on; `only`: that one alone, when not empty. Prints a
// line per scenario. True when all are clean.
bool run_scenarios(uint64_t first, uint64_t seeds, const std::string& only, bool trace);

}  // namespace pairfs::sim
