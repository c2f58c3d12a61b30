// A whole cluster in one thread, from one seed: clients (ClientCore), routers (RouterCore), nodes
// (VolumeRuntime with PairCore, command log, executor and transaction coordinator) and the map
// store, with a network, disks and clocks that fail. First a phase of faults, then everything heals
// and must converge; what is checked is in oracles.cc and in the clients' lanes.
#pragma once

#include <array>
#include <memory>
#include <set>

#include "common/cluster_map.h"
#include "common/header.h"
#include "node/store/memory_store.h"
#include "test/sim/log_disk.h"
#include "test/sim/sim_rings.h"
#include "test/sim/simulation.h"

namespace pairfs::sim {

class NodeHost;
class RouterHost;
class ClientHost;

// Drawn from the seed: which faults strike and how often (mean pause between two, 0 = never), and
// how the cluster is made. A scenario sets its own.
struct Swarm {
  explicit Swarm(Random& random);
  Swarm() = default;

  Duration fault_phase = std::chrono::seconds(28);
  size_t pairs = 2;
  Duration kill{}, kill_both{}, power_loss{}, power_loss_both{}, freeze{}, link_cut{}, map_outage{},
      map_cut{}, router_kill{}, router_freeze{}, client_freeze{}, client_cut{}, peer_cut{},
      disk_hang{}, sync_error{}, wipe{}, rot{}, failed_checkpoint{}, planned{}, slice_move{};
  uint64_t lose_one_in = 0, duplicate_one_in = 0, swap_answer_lost_one_in = 0;
  Duration latency_max = std::chrono::milliseconds(1);
  Duration sync_max = std::chrono::milliseconds(3);
  int clock_error = 0;  // parts per thousand, either way
  Duration checkpoint_interval = std::chrono::seconds(2);
  Duration giveback_delay = std::chrono::seconds(2);
  Duration session_timeout = std::chrono::seconds(60);
  Duration lease_term = std::chrono::seconds(2);
  Duration think_max = std::chrono::milliseconds(150);
  // Clients fsync after every change: both nodes of a pair may lose power at once.
  bool durable_clients = false;
  bool rings = false;  // the nodes of a pair copy records to each other through memory
};

class ClusterWorld {
 public:
  static constexpr uint64_t kClusterId = 42;

  ClusterWorld(uint64_t seed, bool trace, const Swarm* scenario = nullptr);
  ~ClusterWorld();
  // Runs both phases. Empty: all is well; else what went wrong.
  std::string run();

  Simulation sim;
  Swarm swarm;
  // Called when the faults begin: a scenario's own.
  std::function<void(ClusterWorld&)> script;
  ClusterMap cluster;
  uint64_t cluster_version = 1;

  SimRings rings;

  // ---- the map store ----
  struct Record {
    VolumeRecord record;
    uint64_t version = 0;
  };
  std::map<VolumeId, Record> records;
  bool map_reachable(const Process& from) const;
  void swap(NodeHost& node, VolumeId volume, uint64_t expected_version, const VolumeRecord& record,
            Duration timeout);
  void send_map(Process& to);  // its copy is fresh soon after
  // What the node says of its volume's slices reaches the map soon, if the map can be reached.
  void publish_slices(NodeHost& node, VolumeId volume);
  // Begins to move a slice that clients use to another volume; false: nobody could.
  bool move_slice(Slice slice, VolumeId to);
  bool move_any_slice();
  std::set<Slice> used_slices;  // that clients sent commands for

  // ---- the network ----
  // Passes `deliver` to `to`: in order with what `from` sent before, maybe late, or never; and once
  // more when `repeatable` and the seed says so.
  void send(Process& from, Process& to, bool repeatable, std::function<void()> deliver);
  void cut(const Process& a, const Process& b, Duration how_long);  // messages from a to b
  bool is_cut(const Process& a, const Process& b) const;
  void cut_client(size_t number, Duration how_long);  // from all routers, both ways

  // ---- who is there ----
  std::vector<std::unique_ptr<NodeHost>> nodes;
  std::vector<std::unique_ptr<RouterHost>> routers;
  std::vector<std::unique_ptr<ClientHost>> clients;
  NodeHost& node(const Bytes& name);
  NodeHost& partner_of(const NodeHost& node);

  // ---- disks that outlive nodes ----
  std::map<VolumeId, RecordArchive> archives;
  std::map<VolumeId, std::unique_ptr<MemoryDisk>> stores;
  std::unique_ptr<VolumeStore> open_store(VolumeId volume, Epoch epoch, BytesView token,
                                          std::string* why);

  // ---- what the oracles remember ----
  // A client got the outcome of a mutation.
  void note_answered(const RequestId& request, int error);
  void note_executor(VolumeId volume, Epoch epoch, const NodeLife& life);
  void note_power_loss(NodeHost& node);
  struct Answered {
    Instant at;
    int error = 0;
  };
  std::map<RequestId, Answered> answered;
  std::set<RequestId> lost;  // both nodes lost power before it was synced
  bool faults_on() const { return faults_on_; }
  bool quiet() const;            // what was under way has ended, everything is whole again
  std::string restless() const;  // why it is not quiet

 private:
  friend class Faults;
  void make_cluster();
  bool no_log_holds(const RequestId& request, size_t pair);
  void note_lost(const std::vector<RequestId>& requests);
  void run_until(Instant end);
  void heal();

  bool faults_on_ = false;
  Instant map_down_until_{};
  std::map<std::pair<const Process*, const Process*>, Instant> cuts_;
  std::map<std::pair<const Process*, const Process*>, Instant> last_delivery_;
  std::set<const Process*> map_on_its_way_;
  std::map<std::pair<VolumeId, Epoch>, NodeLife> executor_of_epoch_;
  std::map<size_t, Instant> power_lost_at_;  // of a node of that pair, last
  std::unique_ptr<class Faults> fault_source_;
};

}  // namespace pairfs::sim
