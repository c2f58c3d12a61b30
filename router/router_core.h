// RouterCore: what becomes of each message that reaches a router, decided from its header alone.
// It owns the routing table, which nodes are connected, and the counters. It does not own sockets,
// the clock or the map: router_loop.h does, and carries out the decisions. One thread.
//
// A request of a client goes to the executor of its slice's volume, with volume and epoch filled
// in; it is refused at once (kBusy) when there is nobody to send it to, since a router never
// queues. So are those that were sent to a node that is lost or is no longer the executor: whether
// they were executed cannot be told yet, and their retries will. A reply goes back unchanged.
// Clients that were heard of lately are told when another executor serves a volume, as what they
// hold under leases of the one before keeps others waiting until they have said that they gave it
// up.
#pragma once

#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/header.h"
#include "router/in_flight.h"
#include "router/recent_clients.h"
#include "router/routing_table.h"

namespace pairfs {

struct RouterCounters {
  uint64_t requests_forwarded = 0;
  uint64_t replies_forwarded = 0;
  uint64_t busy_no_executor = 0;      // the slice's volume has no executor, or the map is not known
  uint64_t busy_not_connected = 0;    // its executor is not connected
  uint64_t busy_full = 0;             // its executor does not take more now
  uint64_t busy_lost = 0;             // sent, but the node was lost or deposed before its answer
  uint64_t not_executor_replies = 0;  // the map was out of date
  uint64_t refused_requests = 0;      // another cluster, or an op that no client may send
  uint64_t undeliverable_replies = 0;  // the client is gone or does not read
  uint64_t map_reads = 0;
  uint64_t status_requests = 0;
  uint64_t dropped_malformed = 0;  // no pairfs message, from wherever
};

class RouterCore {
 public:
  explicit RouterCore(uint64_t cluster_id) : cluster_id_(cluster_id) {}

  struct Decision {
    enum class Kind {
      kDrop,     // malformed: `why` says how
      kForward,  // send `head` to `node`, envelope and bulk as they came
      kReply,    // send `head` back to where the message came from
      kMapRead,  // answer with the router's copy of the map
      kStatus,   // answer with the router's status
    };
    Kind kind = Kind::kDrop;
    std::string node;
    Bytes head;
    MessageHeader header;  // as received; valid unless dropped
    BytesView body;        // a view into what was received; valid unless dropped
    const char* why = "";
  };
  // A message on the clients' socket.
  Decision on_client(const std::vector<Bytes>& envelope, BytesView head);
  // The socket to the node refused what on_client had said to forward: the reply to send instead.
  Bytes on_forward_refused(const Decision& forward);

  struct NodeDecision {
    bool to_client = false;    // pass it on as it is; else drop it
    bool refresh_map = false;  // the sender is not the executor
    const char* why = "";
  };
  // A message from a node.
  NodeDecision on_node(const std::string& node, BytesView head);
  void on_reply_undeliverable() { ++counters_.undeliverable_replies; }
  void on_malformed(uint64_t count) { counters_.dropped_malformed += count; }

  // A reply that the router makes itself, or a notice to a client.
  struct Refusal {
    std::vector<Bytes> envelope;
    Bytes head;
  };
  // Both give what must be told to clients now.
  std::vector<Refusal> on_map(RoutingTable table);
  std::vector<Refusal> on_link(const std::string& node, bool connected);

  const RoutingTable& table() const { return table_; }
  bool connected(const std::string& node) const { return connected_.count(node) != 0; }
  const RouterCounters& counters() const { return counters_; }
  uint64_t cluster_id() const { return cluster_id_; }

 private:
  Decision route(const std::vector<Bytes>& envelope, Decision decision);
  void refuse(std::vector<InFlight::Request> requests, std::vector<Refusal>* out);
  void tell_epochs(const RoutingTable& before, std::vector<Refusal>* out) const;

  const uint64_t cluster_id_;
  RoutingTable table_;
  std::unordered_set<std::string> connected_;
  std::unordered_map<std::string, InFlight> in_flight_;  // by node
  RecentClients clients_;
  RouterCounters counters_;
};

// A reply to `request` without a body, made by this process rather than by an executor.
Bytes make_refusal(const MessageHeader& request, uint64_t cluster_id, ReplyStatus status);

}  // namespace pairfs
