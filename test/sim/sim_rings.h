// The rings of the simulator's nodes (node/log/log_ring.h): memory that outlives a killed process,
// and goes with its machine's power.
#pragma once

#include <map>
#include <string>

#include "node/log/log_ring.h"

namespace pairfs::sim {

class SimRings {
 public:
  std::shared_ptr<RingPlace> place_of(std::string node, std::string partner);
  void lose_power(const std::string& node);

 private:
  class Place;
  std::map<std::pair<std::string, VolumeId>, std::shared_ptr<RingMemory>> rings_;
};

}  // namespace pairfs::sim
