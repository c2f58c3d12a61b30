#include "test/sim/router_host.h"

#include "common/codec.h"
#include "common/messages.h"
#include "test/sim/client_host.h"
#include "test/sim/node_host.h"

namespace pairfs::sim {
using namespace std::chrono_literals;

void RouterHost::start() {
  if (alive()) return;
  begin_life();
  sim.note("{} starts", name());
  core_ = std::make_unique<RouterCore>(ClusterWorld::kClusterId);
  map_known_ = false;
  world_.send_map(*this);
  for (auto& node : world_.nodes)
    if (node->alive()) node_changed(*node, true);
  for (auto& client : world_.clients) client->router_changed(*this, true);
}

void RouterHost::crash() {
  if (!alive()) return;
  sim.note("{} is killed", name());
  end_life();
  core_.reset();
  for (auto& client : world_.clients) client->router_changed(*this, false);
}

void RouterHost::on_map() {
  map_known_ = true;
  refuse(
      core_->on_map(RoutingTable(world_.cluster, [&](VolumeId id) -> std::optional<VolumeRecord> {
        const auto found = world_.records.find(id);
        if (found == world_.records.end() || found->second.version == 0) return std::nullopt;
        return found->second.record;
      })));
}

void RouterHost::node_changed(NodeHost& node, bool up) {
  if (!alive()) return;
  later(up ? sim.random.duration(1ms, 40ms) : sim.random.duration(100us, 2ms), [this, &node, up] {
    if (up == node.alive()) refuse(core_->on_link(node.name(), up));
  });
}

void RouterHost::refuse(const std::vector<RouterCore::Refusal>& refusals) {
  for (const auto& refusal : refusals)
    to_client(refusal.envelope, SharedBytes::from(refusal.head), {});
}

void RouterHost::to_client(const std::vector<Bytes>& envelope, const SharedBytes& head,
                           const SharedBytes& bulk) {
  for (auto& client : world_.clients) {
    if (client->name() != envelope.front()) continue;
    world_.send(*this, *client, true,
                [c = client.get(), head, bulk] { c->on_message(head, bulk); });
  }
}

void RouterHost::on_client_message(const Bytes& client, const SharedBytes& head,
                                   const SharedBytes& bulk) {
  const std::vector<Bytes> envelope = {client};
  RouterCore::Decision decision = core_->on_client(envelope, head.view());
  using Kind = RouterCore::Decision::Kind;
  switch (decision.kind) {
    case Kind::kForward: {
      NodeHost& node = world_.node(decision.node);
      const SharedBytes onward = SharedBytes::from(std::move(decision.head));
      const bool repeatable = decision.header.request.slot != kUnslotted;
      world_.send(*this, node, repeatable,
                  [&node, hops = std::vector<Bytes>{name(), client}, onward, bulk] {
                    node.on_client_message(hops, onward, bulk);
                  });
      return;
    }
    case Kind::kReply:
      to_client(envelope, SharedBytes::from(std::move(decision.head)), {});
      return;
    case Kind::kMapRead: {
      MapReadReply map;
      if (map_known_) {
        map.map_version = world_.cluster_version;
        map.entries.push_back({kClusterKey, world_.cluster_version, encode(world_.cluster)});
      }
      MessageHeader answer = decision.header;
      answer.flags = kFlagReply;
      answer.status = ReplyStatus::kOutcome;
      to_client(envelope, SharedBytes::from(make_head(answer, encode(map))), {});
      return;
    }
    default:
      sim.fail("{} dropped a message: {}", name(), decision.why);
  }
}

void RouterHost::on_node_message(const std::string& node, const std::vector<Bytes>& envelope,
                                 const SharedBytes& head, const SharedBytes& bulk) {
  const RouterCore::NodeDecision decision = core_->on_node(node, head.view());
  if (decision.refresh_map) world_.send_map(*this);
  if (decision.to_client) to_client(envelope, head, bulk);
}

}  // namespace pairfs::sim
