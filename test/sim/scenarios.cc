#include "test/sim/scenarios.h"

#include <fmt/core.h>

#include "test/sim/node_host.h"

namespace pairfs::sim {
namespace {
using namespace std::chrono_literals;
using How = NodeHost::How;

constexpr VolumeId kVolume{1, 0};

struct Scenario {
  const char* name;
  void (*prepare)(Swarm&);
  void (*script)(ClusterWorld&);  // when the clients work; faults are scheduled from here
};

// Null between two executors.
NodeHost* executor(ClusterWorld& world) {
  for (auto& node : world.nodes)
    if (VolumeRuntime* volume = node->alive() ? node->volume(kVolume) : nullptr)
      if (volume->core().may_execute()) return node.get();
  return nullptr;
}
void after(ClusterWorld& world, Duration delay, std::function<void()> what) {
  world.sim.after(delay, std::move(what));
}
void kill(ClusterWorld& world, NodeHost& node, How how, Duration down) {
  node.crash(how);
  after(world, down, [&node] { node.start(); });
}
// As soon as `node` executes the volume.
void when_executes(ClusterWorld& world, NodeHost& node, std::function<void()> what) {
  after(world, 1ms, [&world, &node, what = std::move(what)] {
    if (executor(world) == &node) return what();
    when_executes(world, node, what);
  });
}

// The node that executes this volume; null between two executors.
NodeHost* executor_of(ClusterWorld& world, VolumeId id) {
  for (auto& node : world.nodes)
    if (VolumeRuntime* volume = node->alive() ? node->volume(id) : nullptr)
      if (volume->core().may_execute() && volume->has_executor()) return node.get();
  return nullptr;
}
// As soon as some volume has committed what others do not know of yet, within `limit`.
void when_decided(ClusterWorld& world, Instant limit,
                  std::function<void(VolumeId coordinator, VolumeId told)> what) {
  for (const auto& [id, record] : world.records) {
    NodeHost* node = executor_of(world, id);
    if (node == nullptr) continue;
    const auto open = node->volume(id)->executor()->open_transactions();
    if (open.decided.empty()) continue;
    return what(id, open.decided.front().participants.front());
  }
  if (world.sim.now() < limit)
    after(world, 200us,
          [&world, limit, what = std::move(what)] { when_decided(world, limit, what); });
}
void lose_pair(ClusterWorld& world, VolumeId of) {
  NodeHost* node = executor_of(world, of);
  if (node == nullptr) return;
  NodeHost& partner = world.partner_of(*node);
  kill(world, *node, How::kPowerLoss, 300ms);
  if (partner.alive()) kill(world, partner, How::kPowerLoss, 400ms);
}
// As soon as `node` has logged the first record of the epoch that a pairing is to make, within
// `limit`.
void when_pairing_closes(ClusterWorld& world, NodeHost& node, Instant limit,
                         std::function<void()> what) {
  if (world.sim.now() > limit) return;
  after(world, 200us, [&world, &node, limit, what = std::move(what)] {
    const VolumeRuntime* volume = node.alive() ? node.volume(kVolume) : nullptr;
    if (volume != nullptr && volume->core().role() == PairCore::Role::kExecutor &&
        volume->log_summary().last_epoch > volume->core().epoch())
      return what();
    when_pairing_closes(world, node, limit, what);
  });
}

const Scenario kScenarios[] = {
    {"a pair loses power within 50 ms of a commit",
     [](Swarm& s) {
       s.durable_clients = true;
       s.think_max = 10ms;
       s.sync_max = 10ms;
     },
     [](ClusterWorld& w) {
       for (int i = 0; i < 4; ++i)
         after(w, 500ms + i * 3500ms, [&w, i] {
           when_decided(w, w.sim.now() + 3s, [&w, i](VolumeId coordinator, VolumeId told) {
             after(w, w.sim.random.duration(0us, 50ms),
                   [&w, id = i % 2 == 0 ? coordinator : told] { lose_pair(w, id); });
           });
         });
     }},
    {"a stale abort after a retried commit",
     [](Swarm& s) {
       s.duplicate_one_in = 2;
       s.think_max = 10ms;
       s.peer_cut = 500ms;
     },
     [](ClusterWorld& w) {
       for (int i = 0; i < 4; ++i)
         after(w, 500ms + i * 3500ms, [&w] {
           when_decided(w, w.sim.now() + 3s, [&w](VolumeId coordinator, VolumeId) {
             if (NodeHost* node = executor_of(w, coordinator)) kill(w, *node, How::kKill, 500ms);
           });
         });
     }},
    {"slices move while they coordinate",
     [](Swarm& s) {
       s.think_max = 5ms;
       s.slice_move = 30ms;
     },
     [](ClusterWorld&) {}},
    {"takeover at both ends of a move", [](Swarm& s) { s.think_max = 20ms; },
     [](ClusterWorld& w) {
       for (int i = 0; i < 4; ++i)
         after(w, 500ms + i * 3500ms, [&w] {
           const Slice slice = *w.used_slices.begin();
           const VolumeId from = w.cluster.volume_of(slice);
           const VolumeId to{static_cast<uint16_t>(3 - from.pair), from.index};
           if (!w.move_slice(slice, to)) return;
           after(w, w.sim.random.duration(0us, 15ms), [&w, from, to] {
             for (const VolumeId id : {from, to})
               if (NodeHost* node = executor_of(w, id)) kill(w, *node, How::kKill, 500ms);
           });
         });
     }},
    {"readers during renames between pairs that answer slowly",
     [](Swarm& s) {
       s.think_max = 2ms;
       s.latency_max = 20ms;
       s.peer_cut = 1s;
     },
     [](ClusterWorld&) {}},
    {"a logger takes over and dies before its first consistency point",
     [](Swarm& s) { s.checkpoint_interval = 60s; },
     [](ClusterWorld& w) {
       after(w, 1s, [&w] {
         NodeHost& first = *executor(w);
         NodeHost& second = w.partner_of(first);
         kill(w, first, How::kKill, 1500ms);
         when_executes(w, second, [&w, &second] { kill(w, second, How::kKill, 700ms); });
       });
     }},
    {"a consistency point ahead of the partner's log",
     [](Swarm& s) { s.checkpoint_interval = 50ms; },
     [](ClusterWorld& w) {
       after(w, 1s, [&w] {
         NodeHost& node = *executor(w);
         w.cut(node, w.partner_of(node), 400ms);
         after(w, 350ms, [&w, &node] { kill(w, node, How::kKill, 1s); });
       });
     }},
    {"the outcome of a swap is unknown", [](Swarm& s) { s.swap_answer_lost_one_in = 1; },
     [](ClusterWorld& w) {
       after(w, 1s, [&w] { kill(w, w.partner_of(*executor(w)), How::kKill, 500ms); });
       after(w, 4s, [&w] {
         if (NodeHost* node = executor(w)) kill(w, *node, How::kKill, 500ms);
       });
       after(w, 7s, [&w] { w.swarm.swap_answer_lost_one_in = 0; });
     }},
    {"one restart inside a lease", [](Swarm&) {},
     [](ClusterWorld& w) {
       after(w, 1s, [&w] { kill(w, *executor(w), How::kKill, 30ms); });
       after(w, 4s, [&w] {
         if (NodeHost* node = executor(w)) kill(w, w.partner_of(*node), How::kKill, 30ms);
       });
     }},
    {"a delayed duplicate of a refused command",
     [](Swarm& s) {
       s.duplicate_one_in = 2;
       s.lose_one_in = 20;
     },
     [](ClusterWorld& w) {
       after(w, 3s, [&w] {
         if (NodeHost* node = executor(w)) kill(w, *node, How::kKill, 500ms);
       });
     }},
    {"an expired session that retries",
     [](Swarm& s) {
       s.session_timeout = 14s;
       s.fault_phase = 30s;
     },
     [](ClusterWorld& w) {
       // Answers do not come back for so long that the session expires with requests under way.
       after(w, 1s, [&w] { w.cut_client(0, 20s); });
     }},
    {"a log disk hangs while heartbeats flow", [](Swarm&) {},
     [](ClusterWorld& w) {
       after(w, 1s, [&w] { executor(w)->hang_disk(3s); });
       after(w, 6s, [&w] {
         if (NodeHost* node = executor(w)) w.partner_of(*node).hang_disk(3s);
       });
     }},
    {"the partner is lost while a pairing closes", [](Swarm& s) { s.think_max = 10ms; },
     [](ClusterWorld& w) {
       after(w, 1s, [&w] {
         NodeHost& node = *executor(w);
         NodeHost& partner = w.partner_of(node);
         kill(w, partner, How::kKill, 500ms);
         after(w, 600ms, [&w, &node, &partner] {
           when_pairing_closes(w, node, w.sim.now() + 5s, [&w, &node, &partner] {
             w.cut(node, partner, 1s);
             w.cut(partner, node, 1s);
             after(w, 1200ms, [&w, &node] { kill(w, node, How::kKill, 300ms); });
           });
         });
       });
     }},
    {"a logger takes over and cannot read its log", [](Swarm& s) { s.checkpoint_interval = 60s; },
     [](ClusterWorld& w) {
       after(w, 3s, [&w] {
         NodeHost& first = *executor(w);
         NodeHost& second = w.partner_of(first);
         second.expects_failure = true;
         second.log_disk(kVolume).rot();
         kill(w, first, How::kKill, 2s);
       });
     }},
    {"the map is down when a handover is asked for", [](Swarm&) {},
     [](ClusterWorld& w) {
       after(w, 2s, [&w] {
         executor(w)->hand_over(kVolume);
         for (auto& node : w.nodes) w.cut(*node, *node, 4s);  // from the map
       });
       for (int i = 0; i < 30; ++i)
         after(w, 2s + i * 100ms, [&w] {
           if (executor(w) == nullptr) w.sim.fail("the volume is not served while the map is down");
         });
     }},
    {"a reused inode number after a power loss",
     [](Swarm& s) {
       s.durable_clients = true;
       s.think_max = 10ms;
       s.sync_max = 30ms;
     },
     [](ClusterWorld& w) {
       for (int i = 0; i < 3; ++i)
         after(w, 1s + i * 5s, [&w] {
           NodeHost* node = executor(w);
           if (node == nullptr) return;
           kill(w, *node, How::kPowerLoss, 300ms);
           if (w.partner_of(*node).alive()) kill(w, w.partner_of(*node), How::kPowerLoss, 400ms);
         });
     }},
};

}  // namespace

bool run_scenarios(uint64_t first, uint64_t seeds, const std::string& only, bool trace) {
  bool clean = true;
  uint64_t passed = 0, failed = 0;
  for (const Scenario& scenario : kScenarios) {
    if (!only.empty() && std::string(scenario.name).find(only) == std::string::npos) continue;
    std::string why;
    for (uint64_t seed = first; seed < first + seeds && why.empty(); ++seed) {
      Swarm swarm;
      swarm.fault_phase = 15s;
      scenario.prepare(swarm);
      ClusterWorld world(seed, trace, &swarm);
      world.script = scenario.script;
      why = world.run();
      if (trace)
        for (const std::string& line : world.sim.trace()) fmt::print("{}\n", line);
      if (!why.empty()) why = fmt::format("seed {}: {}", seed, why);
    }
    fmt::print("{}: {}\n", scenario.name, why.empty() ? "ok" : why);
    std::fflush(stdout);
    ++(why.empty() ? passed : failed);
    clean &= why.empty();
  }
  fmt::print("{} passed, {} failed, 0 skipped\n", passed, failed);
  return clean;
}

}  // namespace pairfs::sim
