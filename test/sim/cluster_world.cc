#include "test/sim/cluster_world.h"

#include "common/codec.h"
#include "node/executor/executor.h"
#include "test/sim/client_host.h"
#include "test/sim/faults.h"
#include "test/sim/node_host.h"
#include "test/sim/oracles.h"
#include "test/sim/router_host.h"

namespace pairfs::sim {
using namespace std::chrono_literals;

namespace {
constexpr Duration kSetUp = 2s;  // without faults, to make what the clients work on
constexpr Duration kHealMax = 60s;
constexpr Duration kOnItsWayMax = 5s;  // of an answer
constexpr Duration kWhole = 2s;        // all must be quiet for so long
}  // namespace

ClusterWorld::ClusterWorld(uint64_t seed, bool trace, const Swarm* scenario)
    : sim(seed, trace), swarm(scenario != nullptr ? *scenario : Swarm(sim.random)) {
  make_cluster();
  fault_source_ = std::make_unique<Faults>(*this);
}

ClusterWorld::~ClusterWorld() = default;

void ClusterWorld::make_cluster() {
  cluster.cluster_id = kClusterId;
  std::vector<VolumeId> volumes;
  for (size_t p = 0; p < swarm.pairs; ++p) {
    PairInfo pair;
    pair.id = static_cast<uint16_t>(p + 1);
    for (const char* letter : {"a", "b"})
      pair.nodes.push_back({ShortText(fmt::format("{}{}", pair.id, letter)), {}, {}});
    for (uint16_t v = 0; v < 2; ++v) {
      const VolumeId id{pair.id, v};
      pair.volumes.push_back({id, pair.nodes[v].name, 1, {}});
      volumes.push_back(id);
    }
    cluster.pairs.push_back(pair);
  }
  const uint32_t each = kSliceCount / static_cast<uint32_t>(volumes.size());
  for (size_t i = 0; i < volumes.size(); ++i) {
    cluster.slices.push_back({static_cast<Slice>(i * each), each, volumes[i]});
    records[volumes[i]].version = 1;  // epoch 0: never opened
    stores[volumes[i]] = std::make_unique<MemoryDisk>();
  }
  for (size_t p = 0; p < swarm.pairs; ++p)
    for (const NodeInfo& info : cluster.pairs[p].nodes)
      nodes.push_back(std::make_unique<NodeHost>(*this, info.name, p));
  for (const char* name : {"r1", "r2"})
    routers.push_back(std::make_unique<RouterHost>(*this, name));
  for (int c = 0; c < 3; ++c)
    clients.push_back(std::make_unique<ClientHost>(*this, fmt::format("c{}", c), c));
  if (swarm.clock_error != 0)
    for (auto& each_node : nodes)
      each_node->set_clock_error(
          static_cast<int>(sim.random.between(0, 2 * static_cast<uint64_t>(swarm.clock_error))) -
          swarm.clock_error);
}

NodeHost& ClusterWorld::node(const Bytes& name) {
  for (auto& each : nodes)
    if (each->name() == name) return *each;
  ENSURE(false, "there is no node {}", name);
  std::abort();
}

NodeHost& ClusterWorld::partner_of(const NodeHost& node) {
  for (auto& each : nodes)
    if (each.get() != &node && each->pair() == node.pair()) return *each;
  ENSURE(false, "{} has no partner", node.name());
  std::abort();
}

std::unique_ptr<VolumeStore> ClusterWorld::open_store(VolumeId volume, Epoch epoch, BytesView token,
                                                      std::string* why) {
  return open_memory_store(*stores.at(volume), epoch, token, why);
}

// ---- the map store ------------------------------------------------------------------------------

bool ClusterWorld::map_reachable(const Process& from) const {
  return sim.now() >= map_down_until_ && !is_cut(from, from);
}

void ClusterWorld::send_map(Process& to) {
  if (!to.alive() || !map_on_its_way_.insert(&to).second) return;
  sim.after(sim.random.duration(200us, 5ms), [this, &to] {
    map_on_its_way_.erase(&to);
    if (!to.alive()) return;
    if (!map_reachable(to)) {
      map_on_its_way_.insert(&to);
      sim.after(50ms, [this, &to] {
        map_on_its_way_.erase(&to);
        send_map(to);
      });
      return;
    }
    to.later(0us, [&to] {
      if (auto* node_host = dynamic_cast<NodeHost*>(&to)) node_host->on_map();
      if (auto* router = dynamic_cast<RouterHost*>(&to)) router->on_map();
    });
  });
}

void ClusterWorld::publish_slices(NodeHost& node, VolumeId volume) {
  sim.after(sim.random.duration(200us, 20ms), [this, &node, volume, life = node.life()] {
    if (node.life() != life || !map_reachable(node)) return;
    const VolumeRuntime* runtime = node.volume(volume);
    if (runtime == nullptr || !runtime->has_executor()) return;
    bool changed = false;
    for (const Slice slice : runtime->executor()->owned_slices()) {
      if (cluster.volume_of(slice) == volume) continue;
      sim.note("map: slice {} is on {}", slice, to_string(volume));
      cluster.assign(slice, volume);
      changed = true;
    }
    if (!changed) return;
    ++cluster_version;
    sim.count("map.slice_moved");
    for (auto& each : nodes) {
      send_map(*each);
      if (each->alive()) each->later(0us, [host = each.get()] { host->on_cluster(); });
    }
    for (auto& each : routers) send_map(*each);
  });
}

bool ClusterWorld::move_slice(Slice slice, VolumeId to) {
  const VolumeId from = cluster.volume_of(slice);
  if (from == to) return false;
  for (auto& each : nodes) {
    VolumeRuntime* runtime = each->alive() ? each->volume(from) : nullptr;
    if (runtime == nullptr || !runtime->core().may_execute() || !runtime->has_executor()) continue;
    sim.note("slice {} is to go from {} to {}", slice, to_string(from), to_string(to));
    each->later(0us, [host = each.get(), from, slice, to] { host->give_slice(from, slice, to); });
    return true;
  }
  return false;
}

bool ClusterWorld::move_any_slice() {
  if (used_slices.empty()) return false;
  auto slice = used_slices.begin();
  std::advance(slice, sim.random.between(0, used_slices.size() - 1));
  auto to = records.begin();
  std::advance(to, sim.random.between(0, records.size() - 1));
  return move_slice(*slice, to->first);
}

void ClusterWorld::swap(NodeHost& node, VolumeId volume, uint64_t expected_version,
                        const VolumeRecord& record, Duration timeout) {
  sim.count("map.swap");
  sim.after(sim.random.duration(100us, 5ms), [=, this, &node, life = node.life()] {
    Record& stored = records.at(volume);
    const bool reached = map_reachable(node);
    bool swapped = false;
    if (reached && stored.version == expected_version) {
      swapped = true;
      stored = {record, stored.version + 1};
      sim.note("map: {} epoch {} executor {} logger {} {}", to_string(volume), record.epoch,
               record.executor.name, record.logger.name, record.solo ? "solo" : "paired");
      for (auto& each : nodes) send_map(*each);
      for (auto& each : routers) send_map(*each);
    } else if (reached) {
      sim.count("map.conflict");
    }
    if (node.life() != life) return;
    const bool answer_lost =
        !reached || (faults_on_ && sim.random.one_in(swarm.swap_answer_lost_one_in));
    if (answer_lost) sim.count("map.unknown_outcome");
    const Record now_is = stored;
    node.later(answer_lost ? node.world_time(timeout) : sim.random.duration(100us, 2ms),
               [=, &node] { node.on_swapped(volume, !answer_lost, swapped, now_is); });
  });
}

// ---- the network --------------------------------------------------------------------------------

void ClusterWorld::send(Process& from, Process& to, bool repeatable,
                        std::function<void()> deliver) {
  if (is_cut(from, to)) return;
  if (faults_on_ && sim.random.one_in(swarm.lose_one_in)) {
    sim.count("fault.message_lost");
    return;
  }
  Instant& last = last_delivery_[{&from, &to}];
  last = std::max(last, sim.now() + sim.random.duration(20us, swarm.latency_max));
  if (repeatable && faults_on_ && sim.random.one_in(swarm.duplicate_one_in)) {
    sim.count("fault.message_repeated");
    const Duration late = sim.random.duration(20us, sim.random.one_in(2) ? 50ms : 2s);
    to.later(last + late - sim.now(), deliver);
  }
  to.later(last - sim.now(), std::move(deliver));
}

void ClusterWorld::cut(const Process& a, const Process& b, Duration how_long) {
  if (&a == &b)
    sim.note("{} is cut from the map", a.name());
  else
    sim.note("cut: {} to {}", a.name(), b.name());
  Instant& until = cuts_[{&a, &b}];
  until = std::max(until, sim.now() + how_long);
}

void ClusterWorld::cut_client(size_t number, Duration how_long) {
  for (auto& router : routers) {
    cut(*clients[number], *router, how_long);
    cut(*router, *clients[number], how_long);
  }
}

bool ClusterWorld::is_cut(const Process& a, const Process& b) const {
  const auto found = cuts_.find({&a, &b});
  return found != cuts_.end() && sim.now() < found->second;
}

// ---- what happened ------------------------------------------------------------------------------

void ClusterWorld::note_answered(const RequestId& request, int error) {
  if (!answered.emplace(request, Answered{sim.now(), error}).second) return;
  // It may have been on its way when the power went.
  for (const auto& [pair, when] : power_lost_at_)
    if (sim.now() - when < kOnItsWayMax && no_log_holds(request, pair)) note_lost({request});
}

void ClusterWorld::note_executor(VolumeId volume, Epoch epoch, const NodeLife& life) {
  const auto [found, fresh] = executor_of_epoch_.emplace(std::pair(volume, epoch), life);
  if (!fresh && found->second != life)
    sim.fail("volume {} has two executors in epoch {}: {} and {}", to_string(volume), epoch,
             found->second.name, life.name);
}

// A volume of the pair executed it, and no log of the pair has it any more.
bool ClusterWorld::no_log_holds(const RequestId& request, size_t pair) {
  bool here = false, held = false;
  // The volume that answered may have got the answer with a slice.
  for (const VolumeInfo& info : cluster.pairs[pair].volumes)
    for (const auto& [sequence, chain] : archives[info.id].find(request)) {
      here = true;
      for (auto& node : nodes)
        held |= node->pair() == pair && node->log_disk(info.id).holds(sequence, chain);
    }
  return here && !held;
}

// What no log of the pair holds any more is gone; only what was not synced at both nodes can be.
void ClusterWorld::note_power_loss(NodeHost& node) {
  power_lost_at_[node.pair()] = sim.now();
  std::vector<RequestId> gone;
  for (const auto& [request, what] : answered)
    if (sim.now() - what.at <= 10s && !lost.contains(request) && no_log_holds(request, node.pair()))
      gone.push_back(request);
  if (!gone.empty()) note_lost(gone);
}

void ClusterWorld::note_lost(const std::vector<RequestId>& requests) {
  for (const RequestId& request : requests) {
    lost.insert(request);
    sim.count("lost.unsynced");
    sim.note("lost for good: session {:x} slot {} sequence {}", request.session, request.slot,
             request.sequence);
  }
  for (auto& client : clients)
    for (auto& lane : client->lanes()) lane->lost_something();
}

// ---- phases -------------------------------------------------------------------------------------

void ClusterWorld::run_until(Instant end) {
  while (!sim.failed() && sim.run_next(end)) {
  }
}

void ClusterWorld::heal() {
  faults_on_ = false;
  sim.note("the faults end");
  map_down_until_ = {};
  cuts_.clear();
  for (auto& each : nodes) each->connect();
}

std::string ClusterWorld::restless() const {
  for (const auto& each : nodes)
    if (!each->alive()) return each->name() + " is down";
  for (const auto& [id, record] : records) {
    if (record.record.solo) return to_string(id) + " is solo";
    for (const auto& each : nodes) {
      const auto found = each->volumes().find(id);
      if (found == each->volumes().end() || each->life_id() != record.record.executor) continue;
      if (!found->second->has_executor()) return to_string(id) + " does not execute";
      const auto open = found->second->executor()->open_transactions();
      if (!open.held.empty() || !open.decided.empty())
        return to_string(id) + " has open transactions";
      if (found->second->executor()->slice_progress().moving != 0)
        return to_string(id) + " moves slices";
    }
  }
  return "";
}

bool ClusterWorld::quiet() const { return restless().empty(); }

std::string ClusterWorld::run() {
  for (auto& each : nodes) each->start();
  for (auto& each : routers) each->start();
  SharedObjects shared;
  for (auto& client : clients) {
    client->start();
    client->lanes().push_back(make_tree_lane(*client));
    client->lanes().push_back(make_shared_lane(*client, shared));
    for (auto& lane : client->lanes()) lane->start();
  }
  const auto all = [&](auto&& predicate) {
    for (auto& client : clients)
      for (auto& lane : client->lanes())
        if (!predicate(*lane)) return false;
    return true;
  };
  run_until(sim.now() + kSetUp);
  if (!shared.ready && !sim.failed()) sim.fail("the clients could not begin in a healthy cluster");
  faults_on_ = true;
  fault_source_->begin();
  if (script) script(*this);
  run_until(sim.now() + swarm.fault_phase);
  heal();
  all([](Lane& lane) { return lane.stop(), true; });
  // Everything must become whole, and every command be answered.
  const Instant limit = sim.now() + kHealMax;
  Instant quiet_since = sim.now();
  while (!sim.failed()) {
    run_until(sim.now() + 100ms);
    const bool idle = all([](Lane& lane) { return lane.idle(); });
    if (!idle || !quiet()) quiet_since = sim.now();
    if (sim.now() - quiet_since >= kWhole) break;
    if (sim.now() < limit) continue;
    sim.fail("{} after the faults ended: {}", "not whole",
             idle ? restless() : "a command is not answered");
  }
  all([](Lane& lane) { return lane.check(), true; });
  const Instant check_limit = sim.now() + kHealMax;
  const auto checked = [&] { return all([](Lane& lane) { return lane.checked(); }); };
  // A volume may just be on its way to its home node.
  while (!sim.failed() && !(checked() && quiet())) {
    run_until(sim.now() + 100ms);
    if (sim.now() >= check_limit)
      sim.fail("{}", checked() ? restless() : "a tree could not be read back");
  }
  if (!sim.failed()) check_histories(*this, shared);
  if (!sim.failed()) check_volumes(*this);
  return sim.failure();
}

}  // namespace pairfs::sim
