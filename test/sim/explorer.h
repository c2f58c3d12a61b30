// Explores exhaustively what two real PairCores, the map's record and one client can come to: from
// a healthy pair on, all orders of messages, syncs, swaps, timers and faults, up to a number of
// faults. Time passes in steps of 100 ms, and only when nothing that is quick is left to be done; a
// fault makes something slow or loses it. States that differ in nothing but the hour are the same
// state.
//
// Checked in each state:
//   - an epoch has one executor;
//   - who can answer has every command that was answered, and an answered read saw all of them;
//   - once everything heals, the pair becomes whole, serves and answers.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pairfs::sim {

struct Exploration {
  uint64_t states = 0;
  uint64_t steps = 0;
  std::string why;                // empty: all is well
  std::vector<std::string> path;  // to the state that is not
};

// All states that at most `faults` faults lead to. Stops at the first bad one, or beyond
// `states_max` (then `why` says so).
Exploration explore(int faults, uint64_t states_max);

}  // namespace pairfs::sim
