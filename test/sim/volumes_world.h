// Volumes without their pairs: executors and transaction coordinators of three volumes and an empty
// one, with their logs and a network (test/unit/executor/cluster_harness.h). Clients work on a few
// names while slices move, executors are taken over, volumes lose power or are cut off, all from
// one seed. Every other seed takes some of the faults at each step (step_faults.h) instead. Quick,
// so that it sees many orders of what happens between volumes. Checks:
//   - a single client gets the answers that one volume would give;
//   - every command is answered, every move ends, every slice has one owner;
//   - when all is settled the tree is sound and no lock, intent, decision or orphan is left;
//   - replaying each log gives the same state.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/types.h"

namespace pairfs::sim {

class VolumesWorld {
 public:
  VolumesWorld(uint64_t seed, bool trace) : seed_(seed), traced_(trace) {}
  // Empty: all is well; else what went wrong.
  std::string run();
  const std::map<std::string, uint64_t>& counts() const { return counts_; }
  // What happened is printed as it happens.
  const std::vector<std::string>& trace() const { return trace_; }
  uint64_t fingerprint() const { return fingerprint_; }

 private:
  void work();
  void take_steps();

  const uint64_t seed_;
  const bool traced_;
  std::map<std::string, uint64_t> counts_;
  std::vector<std::string> trace_;
  uint64_t fingerprint_ = 0;
};

// A check of the tests' harness that did not hold, as this exception, also outside of a test case.
struct CheckFailed {
  std::string what;
};
// Before any harness is used in a process.
void checks_throw();

}  // namespace pairfs::sim
