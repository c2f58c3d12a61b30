// The cluster's configuration map: who exists and who owns what. It is a set of small keyed
// records in the map store, each changed only by compare-and-swap on its version:
//   "cluster"      ClusterMap: pairs, nodes, routers, volumes, slices; changes when the cluster
//   grows "volume/1.0"   VolumeRecord: who executes and who logs; changes with every role change
// No I/O here. Source: design rules P1-P11.
#pragma once

#include "common/commands.h"
#include "common/types.h"

namespace pairfs {

using ShortText = CappedBytes<256>;
using PathText = CappedBytes<4096>;
using EndpointText = CappedBytes<512>;  // a ZeroMQ endpoint: "tcp://127.0.0.1:7401", "ipc:///..."

enum class RaidLevel : uint8_t { kRaid0 = 0, kRaid1 = 1, kRaid5 = 5, kRaid6 = 6, kRaid10 = 10 };

struct ElementInfo {
  ShortText id;     // "1.0-e0"
  PathText path;    // absolute directory
  ShortText reach;  // "dir" or "partner:1a" (only that node reaches it itself)
  template <class A>
  void serialize(A& ar) {
    ar(id, path, reach);
  }
};
struct VolumeInfo {
  VolumeId id;
  ShortText home;  // node name
  uint8_t raid_level = 1;
  CappedList<ElementInfo, 64> elements;
  template <class A>
  void serialize(A& ar) {
    ar(id, home, raid_level, elements);
  }
};
struct NodeInfo {
  ShortText name;                 // "1a"
  EndpointText endpoint;          // where routers and other pairs reach it
  EndpointText link_endpoint;     // where its partner reaches it
  EndpointText element_endpoint;  // where its partner reaches its elements; empty: nowhere
  template <class A>
  void serialize(A& ar) {
    ar(name, endpoint, link_endpoint, element_endpoint);
  }
};
struct PairInfo {
  uint16_t id = 0;
  CappedList<NodeInfo, 2> nodes;  // exactly two
  CappedList<VolumeInfo, 16> volumes;
  template <class A>
  void serialize(A& ar) {
    ar(id, nodes, volumes);
  }
};
struct RouterInfo {
  ShortText name;             // "r1"
  EndpointText endpoint;      // where clients reach it
  EndpointText map_endpoint;  // where its map store is served; empty when it holds none
  template <class A>
  void serialize(A& ar) {
    ar(name, endpoint, map_endpoint);
  }
};
// Slices [first, first + count) are on `volume`.
struct SliceRange {
  Slice first = 0;
  uint32_t count = 0;
  VolumeId volume;
  template <class A>
  void serialize(A& ar) {
    ar(first, count, volume);
  }
};
struct ClusterMap {
  uint64_t cluster_id = 0;
  uint32_t format_version = 1;
  CappedList<RouterInfo, 1024> routers;
  CappedList<PairInfo, 4096> pairs;
  CappedList<SliceRange, kSliceCount> slices;  // sorted, without a gap
  template <class A>
  void serialize(A& ar) {
    ar(cluster_id, format_version, routers, pairs, slices);
  }

  const VolumeInfo* find_volume(VolumeId id) const;
  const NodeInfo* find_node(BytesView name) const;
  // The pair a node belongs to; nullptr when there is no such node.
  const PairInfo* pair_of(BytesView node_name) const;
  // The other node of its pair; nullptr when there is no such node.
  const NodeInfo* partner_of(BytesView node_name) const;
  VolumeId volume_of(Slice slice) const;
  std::vector<Slice> slices_of(VolumeId volume) const;
  // The slice is on `volume` from now on.
  void assign(Slice slice, VolumeId volume);
};

// A node in one life. An empty name is nobody.
struct NodeLife {
  ShortText name;
  Incarnation incarnation = 0;
  friend bool operator==(const NodeLife&, const NodeLife&) = default;
  template <class A>
  void serialize(A& ar) {
    ar(name, incarnation);
  }
};
struct VolumeRecord {
  Epoch epoch = 0;  // 0: never opened
  NodeLife executor;
  NodeLife logger;  // whom the executor last had as partner, also in solo
  bool solo = true;
  // An operator moved it away from its home: no automatic giveback until the home node restarted.
  bool pinned = false;
  friend bool operator==(const VolumeRecord&, const VolumeRecord&) = default;
  template <class A>
  void serialize(A& ar) {
    ar(epoch, executor, logger, solo, pinned);
  }
};
// Where new directories go, and which slices move. Of the whole cluster; absent until it is
// changed.
struct ClusterPolicy {
  enum Rebalance : uint8_t { kOff = 0, kRunning = 1, kPaused = 2 };
  uint8_t spread_levels = 2;            // directories of this many top levels are spread
  uint8_t fuller_by_percent = 10;       // a volume that is fuller by more gets no new directories
  CappedList<uint16_t, 4096> draining;  // pairs that get nothing new, and give all they have
  uint8_t rebalance = kOff;
  bool is_draining(uint16_t pair) const;
  template <class A>
  void serialize(A& ar) {
    ar(spread_levels, fuller_by_percent, draining, rebalance);
  }
};
inline const char* const kClusterKey = "cluster";
inline const char* const kPolicyKey = "policy";
std::string volume_key(VolumeId id);  // "volume/1.0"

}  // namespace pairfs
