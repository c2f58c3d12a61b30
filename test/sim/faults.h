// Strikes the world with the faults of its swarm, at times drawn from the seed.
#pragma once

#include "test/sim/node_host.h"

namespace pairfs::sim {

inline constexpr const char* kFaultNames[] = {
    "kill",         "kill_both",         "power_loss",    "power_loss_both",
    "freeze",       "link_cut",          "map_outage",    "map_cut",
    "router_kill",  "router_freeze",     "client_freeze", "client_cut",
    "peer_cut",     "disk_hang",         "sync_error",    "wipe",
    "rot",          "failed_checkpoint", "planned",       "slice_move",
    "message_lost", "message_repeated"};

class Faults {
 public:
  explicit Faults(ClusterWorld& world) : world_(world), sim_(world.sim) {}
  void begin();

 private:
  void every(const char* name, Duration mean, std::function<bool()> strike);
  NodeHost& any_node();
  // A node of whose volumes the partner holds everything: its own disk may be lost.
  NodeHost* replaceable_node();

  ClusterWorld& world_;
  Simulation& sim_;
  std::map<size_t, Instant> pair_shaken_;  // when a pair last lost a disk or power
};

}  // namespace pairfs::sim
