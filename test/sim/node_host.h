// A node process in the simulator: the VolumeRuntimes of its pair's volumes, with simulated links,
// log disks and workers. Does what NodeLoop does with sockets.
#pragma once

#include "node/volume_runtime.h"
#include "test/sim/cluster_world.h"

namespace pairfs::sim {

class NodeHost final : public Process, public NodeServices {
 public:
  NodeHost(ClusterWorld& world, std::string name, size_t pair);
  ~NodeHost() override;

  void start();
  enum class How { kKill, kPowerLoss };
  void crash(How how);

  // ---- messages ----
  void on_client_message(std::vector<Bytes> envelope, const SharedBytes& head,
                         const SharedBytes& bulk);
  void on_link_message(const LinkMessage& message, const SharedBytes& records);
  void on_map();
  void on_cluster();
  void give_slice(VolumeId from, Slice slice, VolumeId to);
  void connect();  // its link to the partner, when both live
  void partner_gone();
  void on_swapped(VolumeId volume, bool known, bool swapped, const ClusterWorld::Record& now_is);
  void on_peer_reply(const MessageHeader& header, Bytes body);

  // ---- faults ----
  void hang_disk(Duration how_long) {
    disk_hangs_until_ = std::max(disk_hangs_until_, sim.now() + how_long);
  }
  void hand_over(VolumeId volume);
  LogDisk& log_disk(VolumeId volume) { return *disks_.at(volume); }
  bool expects_failure = false;  // a disk error was injected in this life
  size_t pair() const { return pair_; }

  VolumeRuntime* volume(VolumeId id);
  const std::map<VolumeId, std::unique_ptr<VolumeRuntime>>& volumes() const { return volumes_; }
  const NodeLife& life_id() const { return self_; }

  // ---- NodeServices ----
  Instant now() const override { return local_now(); }
  Timestamp wall_clock() const override;
  void send_link(const LinkMessage& message, SharedBytes records) override;
  void swap_record(VolumeId volume, uint64_t expected_version, const VolumeRecord& record,
                   Duration timeout) override;
  void read_map() override { world_.send_map(*this); }
  const ClusterMap& cluster() const override { return world_.cluster; }
  void reply(const std::vector<Bytes>& envelope, const MessageHeader& header, BytesView body,
             const SharedBytes& bulk) override;
  void run_on_worker(std::function<void()> work, std::function<void()> done) override;
  void send_command(VolumeId from, const CommandInput& input,
                    std::function<void(const PeerLinks::Answer&)> done) override;
  const ClusterPolicy& policy() const override { return policy_; }
  void note_partner(Incarnation, const ProcessIdentity&) override {}
  void note_event(VolumeId volume, Epoch epoch, const std::string& what, Timestamp at) override;
  void fail_stop(const std::string& why) override;

 private:
  void after_event() override;
  template <class F>
  void guarded(F&& what);
  Duration worker_delay();

  ClusterWorld& world_;
  ClusterPolicy policy_;
  const size_t pair_;
  NodeLife self_;
  int boots_ = 1;
  bool link_up_ = false;
  Instant disk_hangs_until_{};
  std::string failed_;
  std::map<VolumeId, std::unique_ptr<LogDisk>> disks_;
  std::map<VolumeId, std::unique_ptr<VolumeRuntime>> volumes_;
  std::map<VolumeId, ClusterWorld::Record> records_;  // its copy of the map
  std::map<VolumeId, uint64_t> published_;            // versions of the volumes' slices
  Instant publish_at_{};
  std::map<VolumeId, VolumeRecord> kept_;  // as an earlier life left it on the disk
  std::map<uint64_t, std::function<void(const PeerLinks::Answer&)>> waiting_;
  uint64_t next_number_ = 1;
};

}  // namespace pairfs::sim
