// What a node is told at its start; everything else comes from the cluster map.
#pragma once

#include <string>
#include <vector>

#include "common/types.h"
#include "node/pair/pair_core.h"

namespace pairfs {

struct NodeConfig {
  std::string name;  // "1a"
  uint64_t cluster_id = 0;
  std::string state_dir;       // logs of its volumes, 0700
  std::string listen;          // where clients and other pairs reach it; empty: as the map says
  std::string link_listen;     // likewise, its partner
  std::string element_listen;  // likewise, where its partner reaches its elements
  std::vector<std::string> map_endpoints;
  std::string ready_file;  // empty: none
  bool insecure_network = false;
  std::string ring_dir;  // records go to the partner through memory in it; empty: as messages
  PairTimings timings;
  Duration stall_max = std::chrono::seconds(5);  // of one turn of the loop; half of a log's sync
  uint64_t log_segment_bytes = 8 << 20;
  uint64_t checkpoint_log_bytes = 96 << 20;
  Duration checkpoint_interval = std::chrono::seconds(10);
  Duration replay_max = std::chrono::milliseconds(100);
};

}  // namespace pairfs
