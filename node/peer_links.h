// The pair links: messages from this node to the nodes that execute other volumes, for commands
// that concern two volumes. They never pass a router. A command is sent once and its answer comes
// back with the number it was sent under, or not at all: the sender repeats what must arrive. Loop
// thread only.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "common/cluster_map.h"
#include "common/header.h"
#include "common/transport.h"
#include "node/executor/executor.h"

namespace pairfs {

class PeerLinks {
 public:
  // `self` is this node's name; nothing is connected before set_cluster().
  PeerLinks(Context& context, std::string self, uint64_t cluster_id, Incarnation incarnation);

  // Connects to nodes that are new in the map, and forgets those that left it. Cheap when nothing
  // changed.
  void set_cluster(const ClusterMap& cluster, Poller& poller);

  // False: no such node, or it is not connected now. `done` is called from step() when the answer
  // comes; never, when none comes within kAnswerMax.
  struct Answer {
    ReplyStatus status = ReplyStatus::kBusy;
    int error = 0;
    Bytes reply;
  };
  bool send(const std::string& node, VolumeId volume, Epoch epoch, const CommandInput& input,
            std::function<void(const Answer&)> done, Instant now);
  void step(Instant now);
  size_t waiting() const { return waiting_.size(); }

 private:
  struct Waiting {
    Instant since;
    std::function<void(const Answer&)> done;
  };
  Context& context_;
  const std::string self_;
  const uint64_t cluster_id_;
  const Incarnation incarnation_;
  std::map<std::string, Socket> sockets_;
  std::map<uint64_t, Waiting> waiting_;  // by trace id; older ones first
  uint64_t next_number_ = 1;
};

}  // namespace pairfs
