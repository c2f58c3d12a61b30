// A router process in the simulator: RouterCore, and what RouterLoop does with sockets.
#pragma once

#include "router/router_core.h"
#include "test/sim/cluster_world.h"

namespace pairfs::sim {

class RouterHost final : public Process {
 public:
  RouterHost(ClusterWorld& world, std::string name)
      : Process(world.sim, std::move(name)), world_(world) {}

  void start();
  void crash();
  void on_map();
  void node_changed(NodeHost& node, bool up);
  void on_client_message(const Bytes& client, const SharedBytes& head, const SharedBytes& bulk);
  void on_node_message(const std::string& node, const std::vector<Bytes>& envelope,
                       const SharedBytes& head, const SharedBytes& bulk);

 private:
  void to_client(const std::vector<Bytes>& envelope, const SharedBytes& head,
                 const SharedBytes& bulk);
  void refuse(const std::vector<RouterCore::Refusal>& refusals);

  ClusterWorld& world_;
  std::unique_ptr<RouterCore> core_;
  bool map_known_ = false;
};

}  // namespace pairfs::sim
