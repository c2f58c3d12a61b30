#include "test/sim/oracles.h"

#include "common/codec.h"
#include "node/executor/check_volume.h"
#include "node/executor/digest.h"
#include "test/sim/node_host.h"

namespace pairfs::sim {
namespace {

struct Serving {
  const NodeHost* node = nullptr;
  const VolumeRuntime* runtime = nullptr;
};

Serving executor_of(ClusterWorld& world, VolumeId id) {
  for (auto& node : world.nodes) {
    const auto found = node->volumes().find(id);
    if (found != node->volumes().end() && found->second->core().role() == PairCore::Role::kExecutor)
      return {node.get(), found->second.get()};
  }
  return {};
}

// Counts how often each request was executed with an effect or an answer.
void count_executions(const std::vector<LogRecord>& history, std::map<RequestId, int>& times) {
  for (const LogRecord& record : history) {
    if (record.request.slot != kUnslotted) ++times[record.request];
    if (record.op != Conclude::kOp || record.error != 0) continue;
    if (const auto conclude = decode<Conclude>(record.body.view())) ++times[conclude->id.request];
  }
}

void check_history(ClusterWorld& world, VolumeId id, const std::vector<LogRecord>& history) {
  Epoch epoch = 0;
  std::map<std::pair<SessionId, uint32_t>, uint64_t> newest;
  for (const LogRecord& record : history) {
    if (record.epoch < epoch)
      return world.sim.fail("volume {} record {} ({}): epoch {} behind {}", to_string(id),
                            record.sequence, command_name(record.op), record.epoch, epoch);
    if (record.epoch > epoch && record.op != BeginEpoch::kOp)
      return world.sim.fail("volume {} record {}: epoch {} does not begin with its record",
                            to_string(id), record.sequence, record.epoch);
    epoch = record.epoch;
    if (record.request.slot == kUnslotted) continue;
    uint64_t& last = newest[{record.request.session, record.request.slot}];
    if (record.request.sequence <= last)
      return world.sim.fail("volume {} record {}: {} of session {:x} slot {} was executed after {}",
                            to_string(id), record.sequence, record.request.sequence,
                            record.request.session, record.request.slot, last);
    last = record.request.sequence;
  }
}

// What was answered is in the history of some volume, once: its slice may have gone on since.
void check_executions(ClusterWorld& world, const std::map<RequestId, int>& times) {
  for (const auto& [request, count] : times)
    if (count > 1)
      return world.sim.fail("session {:x} slot {} sequence {} was executed {} times",
                            request.session, request.slot, request.sequence, count);
  for (const auto& [request, what] : world.answered) {
    if (what.error != 0 || times.contains(request) || world.lost.contains(request)) continue;
    return world.sim.fail("session {:x} slot {} sequence {} was answered and is lost",
                          request.session, request.slot, request.sequence);
  }
}

void check_replay(ClusterWorld& world, VolumeId id, const std::vector<LogRecord>& history,
                  const VolumeStore& store) {
  MemoryDisk disk;
  const auto fresh = open_memory_store(disk, 1, {});
  ExecutorConfig config;
  config.volume = id;
  config.epoch = 1;
  config.map = world.cluster;
  config.transactions = true;
  const auto executor = make_executor(config, *fresh);
  for (const LogRecord& record : history) {
    if (record.op == ConsistencyPoint::kOp || record.op == ElementsChanged::kOp) continue;
    if (record.op == BeginEpoch::kOp) {
      const auto begin = decode<BeginEpoch>(record.body.view());
      if (begin && record.sequence == 1) executor->format(1, begin->now, begin->slices);
      continue;
    }
    const CommandInput input{record.op, record.request, record.slice, record.body, record.bulk};
    if (executor->replay(input, record.sequence).outcome_crc != record.outcome_crc)
      return world.sim.fail("volume {}: replaying record {} ({}) gives another outcome",
                            to_string(id), record.sequence, command_name(record.op));
  }
  const auto mine = digest(*fresh), theirs = digest(store);
  if (!mine.ok() || !theirs.ok() || *mine != *theirs)
    return world.sim.fail("volume {}: replaying its history gives another state", to_string(id));
  world.sim.mark(*mine);
}

}  // namespace

void check_histories(ClusterWorld& world, const SharedObjects& shared) {
  if (!world.lost.empty()) return;  // what nobody fsynced was lost with the power of both nodes
  for (const auto& [name, object] : shared.objects) {
    world.sim.count("checked.histories");
    if (const std::string why = check_linearizable(object.history, object.initial); !why.empty())
      return world.sim.fail("{}: {}", name, why);
  }
}

void check_volumes(ClusterWorld& world) {
  std::vector<const VolumeStore*> stores;
  std::map<RequestId, int> times;
  for (const auto& [id, record] : world.records) {
    const Serving serving = executor_of(world, id);
    if (serving.runtime == nullptr)
      return world.sim.fail("volume {} is not executed", to_string(id));
    const LogSummary log = serving.runtime->log_summary();
    const auto history = world.archives[id].history(log.last, log.last_chain);
    if (history.empty())
      return world.sim.fail("volume {}: its history cannot be put together", to_string(id));
    count_executions(history, times);
    check_history(world, id, history);
    if (world.sim.failed()) return;
    check_replay(world, id, history, *serving.runtime->store());
    if (world.sim.failed()) return;
    for (const std::string& problem : check_volume(*serving.runtime->store()))
      return world.sim.fail("volume {}: {}", to_string(id), problem);
    stores.push_back(serving.runtime->store());
  }
  check_executions(world, times);
  if (world.sim.failed()) return;
  for (uint32_t slice = 0; slice < kSliceCount; ++slice) {
    const VolumeId mapped = world.cluster.volume_of(static_cast<Slice>(slice));
    const Serving serving = executor_of(world, mapped);
    if (!serving.runtime->executor()->owns(static_cast<Slice>(slice)))
      return world.sim.fail("slice {} is not on {}, as the map says", slice, to_string(mapped));
  }
  for (const std::string& problem : check_cluster(stores)) return world.sim.fail("{}", problem);
}

}  // namespace pairfs::sim
