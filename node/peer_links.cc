#include "node/peer_links.h"

namespace pairfs {
namespace {
constexpr auto kAnswerMax = std::chrono::seconds(10);
}  // namespace

PeerLinks::PeerLinks(Context& context, std::string self, uint64_t cluster_id,
                     Incarnation incarnation)
    : context_(context),
      self_(std::move(self)),
      cluster_id_(cluster_id),
      incarnation_(incarnation) {}

void PeerLinks::set_cluster(const ClusterMap& cluster, Poller& poller) {
  for (auto at = sockets_.begin(); at != sockets_.end();) {
    const NodeInfo* node = cluster.find_node(at->first);
    if (node != nullptr && node->endpoint == at->second.endpoint()) {
      ++at;
      continue;
    }
    poller.remove(at->second);
    at = sockets_.erase(at);
  }
  for (const PairInfo& pair : cluster.pairs) {
    for (const NodeInfo& node : pair.nodes) {
      if (node.name == self_ || sockets_.contains(node.name)) continue;
      const auto [at, added] = sockets_.emplace(node.name, Socket::client(context_, node.endpoint));
      poller.add(at->second);
    }
  }
}

bool PeerLinks::send(const std::string& node, VolumeId volume, Epoch epoch,
                     const CommandInput& input, std::function<void(const Answer&)> done,
                     Instant now) {
  const auto found = sockets_.find(node);
  if (found == sockets_.end()) return false;
  MessageHeader header;
  header.op = input.op;
  header.slice = input.slice;
  header.volume = volume;
  header.epoch = epoch;
  header.cluster_id = cluster_id_;
  header.sender = incarnation_;
  header.request = input.request;
  header.trace_id = next_number_++;
  header.bulk_length = static_cast<uint32_t>(input.bulk.size());
  if (!found->second.send({}, SharedBytes::from(make_head(header, input.body.view())), input.bulk))
    return false;
  waiting_[header.trace_id] = {now, std::move(done)};
  return true;
}

void PeerLinks::step(Instant now) {
  for (auto& [name, socket] : sockets_) {
    socket.link_events();
    while (const auto message = socket.receive()) {
      const auto head = parse_head(message->head.view(), nullptr);
      if (!head || !(head->header.flags & kFlagReply)) continue;
      const auto found = waiting_.find(head->header.trace_id);
      if (found == waiting_.end()) continue;
      const auto done = std::move(found->second.done);
      waiting_.erase(found);
      done({head->header.status, head->header.error, Bytes(head->body)});
    }
  }
  while (!waiting_.empty() && now - waiting_.begin()->second.since > kAnswerMax)
    waiting_.erase(waiting_.begin());
}

}  // namespace pairfs
