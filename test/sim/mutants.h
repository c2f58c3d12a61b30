// Deliberate protocol bugs (common/test_switch.h), each of which the oracles must see.
#pragma once

#include "test/sim/runner.h"

namespace pairfs::sim {

// Runs seeds with each mutant on, until three of them failed or all have run; and the same seeds
// without any. Prints a line per mutant. `only`: that mutant alone, when not empty. True when every
// mutant was caught and the seeds are clean without them.
bool run_mutants(const RunOptions& options, const std::string& only);
// Turns a mutant on in this process; false: there is none of that name.
bool turn_on_mutant(const std::string& name);

// How often each point of the product's code was reached since the last call; every name is there.
std::map<std::string, uint64_t> take_reached();

}  // namespace pairfs::sim
