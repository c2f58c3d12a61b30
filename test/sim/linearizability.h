// Checks whether the history of one object is linearizable: whether there is an order of all
// operations, compatible with real time, in which each got the answer that the object would give.
// Wing and Gong's search with remembered states, as in Lowe, "Testing for linearizability" (2017).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/types.h"

namespace pairfs::sim {

struct Operation {
  enum class What : uint8_t {
    kWrite,   // state becomes argument
    kRead,    // result is the state
    kAdd,     // state grows by argument; result is the state then
    kSwapIf,  // result 1: state was argument >> 32 and becomes argument & 0xffffffff; 0: it was not
  };
  What what = What::kRead;
  uint64_t argument = 0;
  uint64_t result = 0;
  int client = 0;
  Instant called{};
  std::optional<Instant> returned;  // nullopt: never; it may or may not have happened
};

// Empty when the history is linearizable from `initial`; else a sentence with the operations at
// which every order ends.
std::string check_linearizable(const std::vector<Operation>& history, uint64_t initial);

}  // namespace pairfs::sim
