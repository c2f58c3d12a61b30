// The node process: one thread that owns the sockets and the node's volumes. Commands come on the
// client socket (from routers), records and leases on the link socket (from the partner).
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "common/logging.h"
#include "common/map_store.h"
#include "common/ready_file.h"
#include "common/stop_signal.h"
#include "node/element_links.h"
#include "node/node_config.h"
#include "node/volume_runtime.h"
#include "node/worker_pool.h"

namespace pairfs {

class NodeLoop final : public NodeServices {
 public:
  NodeLoop(NodeConfig config, StopSignal& stop);
  ~NodeLoop() override;

  // Serves until a stop is asked for: 0; or until nothing can be served any more: 1; 2 when the
  // map does not know this node or refuses its network address.
  int run();

  // ---- NodeServices ----
  Instant now() const override { return boot_now(); }
  Timestamp wall_clock() const override;
  void send_link(const LinkMessage& message, SharedBytes records) override;
  void swap_record(VolumeId volume, uint64_t expected_version, const VolumeRecord& record,
                   Duration timeout) override;
  void read_map() override {
    map_asked_at_ = now();
    map_->refresh();
  }
  const ClusterMap& cluster() const override { return cluster_; }
  const ClusterPolicy& policy() const override { return policy_; }
  void reply(const std::vector<Bytes>& envelope, const MessageHeader& header, BytesView body,
             const SharedBytes& bulk) override;
  void run_on_worker(std::function<void()> work, std::function<void()> done) override;
  void send_command(VolumeId from, const CommandInput& input,
                    std::function<void(const PeerLinks::Answer&)> done) override;
  void note_partner(Incarnation incarnation, const ProcessIdentity& process) override;
  void note_event(VolumeId volume, Epoch epoch, const std::string& what, Timestamp at) override;
  decltype(StoreConfig::open_element) element_opener(VolumeId volume, Epoch epoch) override;
  void fail_stop(const std::string& why) override;

 private:
  bool wait_for_map();
  bool start(std::string* why);
  void on_map_change();
  void copy_map();
  void drain_clients();
  void drain_link();
  void look_for_partner();
  void run_local_commands();
  void ask_volume_uses();
  // node_cluster.cc
  void take_cluster();
  void follow_partner();
  void publish_slices();
  void rebalance();
  void swap_cluster_record(const char* key, uint64_t version, Bytes value);
  void on_admin(const Message& message, const ParsedHead& head);
  VolumeRecord copied_record(VolumeId id) const;
  using AdminAnswer = std::function<void(bool ok, const nlohmann::json& json)>;
  // node_decisions.cc. False: the verb is another's.
  bool on_decision(BytesView verb, BytesView arguments, const AdminAnswer& answer);
  nlohmann::json status() const;
  VolumeRuntime* find_volume(VolumeId id);

  const NodeConfig config_;
  StopSignal& stop_;
  const Incarnation incarnation_;
  Context context_;
  // Only where elements have a reach of "partner:NODE". Workers may use them until they are gone.
  std::unique_ptr<ElementServer> element_server_;
  std::shared_ptr<ElementClient> element_client_;
  std::unique_ptr<MapClient> map_;
  ClusterMap cluster_;
  uint64_t cluster_version_ = 0;
  Instant map_asked_at_ = Instant::max();  // by a volume that waits for the answer
  // P11: a copy of the map on this node's disk, from which a lost map store can be rebuilt, and
  // which tells an older one. A worker writes it, one change at a time.
  std::unique_ptr<FileMapStore> map_copy_;
  uint64_t copied_version_ = 0;
  bool copying_map_ = false;
  ClusterPolicy policy_;
  uint64_t policy_version_ = 0;
  bool swapping_cluster_ = false;  // a change of the cluster's record or policy is under way
  Instant publish_at_{};
  Instant rebalance_at_{};
  std::map<VolumeId, uint64_t> published_;  // slices_version() that the map was compared with
  WorkerPool workers_;
  std::optional<Socket> clients_;
  std::optional<Socket> link_in_;
  std::optional<Socket> link_out_;
  EndpointText partner_elements_at_;  // where element_client_ looks for them
  Poller poller_;
  ReadyFile ready_file_;
  PeerLinks peers_;
  struct LocalCommand {
    VolumeId to;
    CommandInput input;
    std::function<void(const PeerLinks::Answer&)> done;
  };
  std::deque<LocalCommand> local_commands_;  // between two volumes that this node executes
  struct HeardUse {
    double fraction = 0;
    Instant at{};
  };
  std::map<VolumeId, HeardUse> volume_uses_;
  Instant ask_uses_at_{};
  std::map<VolumeId, std::unique_ptr<VolumeRuntime>> volumes_;
  struct HistoryEntry {
    Timestamp at;
    VolumeId volume;
    Epoch epoch;
    std::string what;
  };
  std::deque<HistoryEntry> history_;
  // The partner, as it introduced itself last.
  Incarnation partner_incarnation_ = 0;
  ProcessIdentity partner_process_;
  int looks_left_ = 0;  // for its end
  uint64_t refused_messages_ = 0;
  LogLimiter refused_log_{std::chrono::seconds(1)};
  bool failed_ = false;
  int pending_syncs_ = 0;
};

}  // namespace pairfs
