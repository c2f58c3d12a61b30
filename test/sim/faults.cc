#include "test/sim/faults.h"

#include "test/sim/client_host.h"
#include "test/sim/router_host.h"

namespace pairfs::sim {
using namespace std::chrono_literals;

Swarm::Swarm(Random& random) {
  // Each fault is off, rare or frequent.
  const auto rate = [&](Duration frequent) -> Duration {
    switch (random.between(0, 3)) {
      case 0:
      case 1:
        return Duration{};
      case 2:
        return frequent * 3;
      default:
        return frequent;
    }
  };
  pairs = random.one_in(4) ? 1 : 2;
  kill = rate(4s);
  kill_both = rate(12s);
  power_loss = rate(8s);
  power_loss_both = rate(10s);
  freeze = rate(4s);
  link_cut = rate(4s);
  map_outage = rate(6s);
  map_cut = rate(6s);
  router_kill = rate(5s);
  router_freeze = rate(8s);
  client_freeze = rate(8s);
  client_cut = rate(8s);
  peer_cut = rate(5s);
  disk_hang = rate(8s);
  sync_error = rate(12s);
  wipe = rate(12s);
  rot = rate(12s);
  failed_checkpoint = rate(6s);
  planned = rate(5s);
  slice_move = random.one_in(2) ? random.duration(100ms, 3s) : Duration{};
  lose_one_in = random.one_in(3) ? random.between(20, 400) : 0;
  duplicate_one_in = random.one_in(3) ? random.between(10, 200) : 0;
  swap_answer_lost_one_in = random.one_in(2) ? random.between(3, 20) : 0;
  latency_max = random.one_in(4) ? 20ms : 1ms;
  sync_max = random.one_in(3) ? 30ms : 3ms;
  clock_error = random.one_in(2) ? static_cast<int>(random.between(0, 15)) : 0;
  checkpoint_interval = random.duration(300ms, 6s);
  giveback_delay = random.duration(500ms, 8s);
  lease_term = random.duration(1s, 3s);
  session_timeout = random.one_in(6) ? 14s : 60s;
  // Losing power at both nodes takes what nobody fsynced: such seeds have clients that fsync.
  durable_clients = power_loss_both != Duration{};
  rings = random.one_in(2);
}

void Faults::every(const char* name, Duration mean, std::function<bool()> strike) {
  if (mean == Duration{}) return;
  sim_.after(sim_.random.duration(mean / 10, mean * 2),
             [this, name, mean, strike = std::move(strike)] {
               if (!world_.faults_on()) return;
               if (strike()) sim_.count(std::string("fault.") + name);
               every(name, mean, strike);
             });
}

NodeHost& Faults::any_node() {
  return *world_.nodes[sim_.random.between(0, world_.nodes.size() - 1)];
}

NodeHost* Faults::replaceable_node() {
  NodeHost& node = any_node();
  NodeHost& partner = world_.partner_of(node);
  if (!partner.alive()) return nullptr;
  for (const auto& [id, volume] : partner.volumes()) {
    const VolumeRecord& record = world_.records[id].record;
    const bool partner_executes =
        record.executor == partner.life_id() && volume->core().role() == PairCore::Role::kExecutor;
    const bool partner_logs = record.logger == partner.life_id() && !record.solo &&
                              volume->core().role() == PairCore::Role::kLogger;
    if (!partner_executes && !partner_logs) return nullptr;
  }
  return &node;
}

void Faults::begin() {
  Random& random = sim_.random;
  Swarm& s = world_.swarm;
  const auto restart = [this](NodeHost& node) {
    sim_.after(sim_.random.duration(20ms, 3s), [&node] { node.start(); });
  };
  every("kill", s.kill, [=, this] {
    NodeHost& node = any_node();
    if (!node.alive()) return false;
    node.crash(NodeHost::How::kKill);
    restart(node);
    return true;
  });
  every("kill_both", s.kill_both, [=, this, &random] {
    NodeHost& node = any_node();
    for (NodeHost* one : {&node, &world_.partner_of(node)}) {
      sim_.after(random.duration(0us, random.one_in(2) ? 1ms : 300ms), [one, restart] {
        if (!one->alive()) return;
        one->crash(NodeHost::How::kKill);
        restart(*one);
      });
    }
    return true;
  });
  every("power_loss", s.power_loss, [=, this] {
    // One failure at a time: what both hold unsynced is gone only when both lose power.
    NodeHost* node = s.durable_clients ? &any_node() : replaceable_node();
    if (node == nullptr || !node->alive()) return false;
    node->crash(NodeHost::How::kPowerLoss);
    restart(*node);
    return true;
  });
  every("power_loss_both", s.power_loss_both, [=, this, &random] {
    NodeHost& node = any_node();
    for (NodeHost* one : {&node, &world_.partner_of(node)}) {
      sim_.after(random.duration(0us, random.one_in(2) ? 1ms : 500ms), [one, restart] {
        if (!one->alive()) return;
        one->crash(NodeHost::How::kPowerLoss);
        restart(*one);
      });
    }
    return true;
  });
  every("freeze", s.freeze, [=, this, &random] {
    NodeHost& node = any_node();
    if (!node.alive()) return false;
    sim_.note("{} freezes", node.name());
    node.freeze(random.duration(20ms, 3s));
    return true;
  });
  every("link_cut", s.link_cut, [=, this, &random] {
    NodeHost& node = any_node();
    NodeHost& partner = world_.partner_of(node);
    const Duration span = random.duration(20ms, 3s);
    world_.cut(node, partner, span);
    if (random.one_in(2)) world_.cut(partner, node, span);
    return true;
  });
  every("map_outage", s.map_outage, [=, this, &random] {
    sim_.note("the map store is down");
    world_.map_down_until_ = sim_.now() + random.duration(50ms, 4s);
    return true;
  });
  every("map_cut", s.map_cut, [=, this, &random] {
    NodeHost& node = any_node();
    world_.cut(node, node, random.duration(50ms, 4s));  // a node's way to the map
    return true;
  });
  every("router_kill", s.router_kill, [=, this, &random] {
    RouterHost& router = *world_.routers[random.between(0, world_.routers.size() - 1)];
    if (!router.alive()) return false;
    router.crash();
    sim_.after(random.duration(20ms, 2s), [&router] { router.start(); });
    return true;
  });
  every("router_freeze", s.router_freeze, [=, this, &random] {
    RouterHost& router = *world_.routers[random.between(0, world_.routers.size() - 1)];
    router.freeze(random.duration(20ms, 3s));
    return true;
  });
  every("client_freeze", s.client_freeze, [=, this, &random] {
    ClientHost& client = *world_.clients[random.between(0, world_.clients.size() - 1)];
    client.freeze(random.duration(20ms, 4s));
    return true;
  });
  every("client_cut", s.client_cut, [=, this, &random] {
    ClientHost& client = *world_.clients[random.between(0, world_.clients.size() - 1)];
    RouterHost& router = *world_.routers[random.between(0, world_.routers.size() - 1)];
    const Duration span =
        s.session_timeout < 20s && random.one_in(3) ? 16s : random.duration(50ms, 4s);
    for (auto& any : world_.routers) {
      if (any.get() != &router && span < 10s) continue;
      world_.cut(client, *any, span);
      if (random.one_in(2)) world_.cut(*any, client, span);
    }
    return true;
  });
  every("peer_cut", s.peer_cut, [=, this, &random] {
    NodeHost &from = any_node(), &to = any_node();
    if (from.pair() == to.pair()) return false;
    world_.cut(from, to, random.duration(50ms, 4s));
    return true;
  });
  every("disk_hang", s.disk_hang, [=, this, &random] {
    NodeHost& node = any_node();
    sim_.note("the disk of {} hangs", node.name());
    node.hang_disk(random.duration(100ms, 4s));
    return true;
  });
  every("sync_error", s.sync_error, [=, this] {
    NodeHost& node = any_node();
    if (!node.alive() || node.volumes().empty()) return false;
    node.expects_failure = true;
    node.log_disk(node.volumes().begin()->first).fail_sync();
    return true;
  });
  const auto damage = [=, this](auto what) {
    NodeHost* node = replaceable_node();
    if (node == nullptr || !node->alive()) return false;
    Instant& shaken = pair_shaken_[node->pair()];
    if (shaken != Instant{} && sim_.now() - shaken < 12s) return false;
    shaken = sim_.now();
    node->crash(NodeHost::How::kKill);
    for (const VolumeInfo& info : world_.cluster.pairs[node->pair()].volumes) what(*node, info.id);
    restart(*node);
    return true;
  };
  every("wipe", s.wipe, [=, this] {
    return damage([this](NodeHost& node, VolumeId id) {
      sim_.note("the log of {} on {} is wiped", to_string(id), node.name());
      node.log_disk(id).wipe();
    });
  });
  every("rot", s.rot, [=, this] {
    return damage([this](NodeHost& node, VolumeId id) {
      if (node.log_disk(id).rot()) sim_.note("a bit of {} on {} rots", to_string(id), node.name());
    });
  });
  every("failed_checkpoint", s.failed_checkpoint, [=, this, &random] {
    for (auto& [id, store] : world_.stores)
      if (random.one_in(2)) store->fail_checkpoints(1, ENOSPC);
    return true;
  });
  every("slice_move", s.slice_move, [this] { return world_.move_any_slice(); });
  every("planned", s.planned, [=, this] {
    NodeHost& node = any_node();
    for (const auto& [id, volume] : node.volumes())
      if (node.alive() && volume->core().role() == PairCore::Role::kExecutor) {
        node.hand_over(id);
        return true;
      }
    return false;
  });
}

}  // namespace pairfs::sim
