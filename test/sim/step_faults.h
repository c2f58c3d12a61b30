// Every command that concerns several volumes, and the moves of a slice, with one fault before each
// message that they send: a volume is taken over, loses power or is cut off, the message is lost,
// or comes once more much later. Afterwards the answer and the tree are those of a single volume,
// and nothing is left behind.
#pragma once

#include <cstdint>
#include <string>

namespace pairfs::sim {

// How many (command, message, fault) there are.
size_t step_fault_count();
// Runs one of them. Empty: all is well; else what went wrong. Throws CheckFailed (volumes_world.h).
void run_step_fault(size_t number);
// Which one it is, in words.
std::string describe_step_fault(size_t number);

}  // namespace pairfs::sim
