#include "test/sim/node_host.h"

#include "common/codec.h"
#include "common/crc32c.h"
#include "test/sim/router_host.h"

namespace pairfs::sim {
using namespace std::chrono_literals;

namespace {
constexpr int64_t kWallClockStart = 1'700'000'000;
constexpr Duration kPublishPeriod = 2s;  // of the slices, beside at once when they change
}  // namespace

NodeHost::NodeHost(ClusterWorld& world, std::string name, size_t pair)
    : Process(world.sim, std::move(name)), world_(world), pair_(pair) {
  for (const VolumeInfo& info : world_.cluster.pairs[pair].volumes)
    disks_[info.id] = std::make_unique<LogDisk>(sim, world_.archives[info.id],
                                                this->name() + ":" + to_string(info.id));
}

NodeHost::~NodeHost() { volumes_.clear(); }

void NodeHost::start() {
  if (alive()) return;
  begin_life();
  sim.note("{} starts", name());
  self_ = {ShortText(name()), static_cast<uint64_t>(sim.now().time_since_epoch().count())};
  link_up_ = false;
  expects_failure = false;
  for (auto& [id, disk] : disks_) disk->mend();
  failed_.clear();
  for (const auto& [id, record] : records_) kept_[id] = record.record;
  records_.clear();
  published_.clear();
  waiting_.clear();
  disk_hangs_until_ = {};
  guarded([&] {
    for (const VolumeInfo& info : world_.cluster.pairs[pair_].volumes) {
      VolumeRuntimeConfig config;
      config.log.cluster_id = ClusterWorld::kClusterId;
      config.log.volume = info.id;
      config.log.incarnation = self_.incarnation;
      config.log.boot_id = fmt::format("{}-{}", name(), boots_);
      config.log.segment_bytes = 64 << 10;
      config.log.files = std::shared_ptr<LogFiles>(std::shared_ptr<void>(), disks_[info.id].get());
      config.store.volume = info.id;
      config.store.cluster_id = ClusterWorld::kClusterId;
      config.pair = {info.id,
                     self_,
                     ShortText(world_.partner_of(*this).name()),
                     info.home == name(),
                     {},
                     {},
                     kept_[info.id]};
      if (world_.swarm.rings)
        config.rings = world_.rings.place_of(name(), world_.partner_of(*this).name());
      config.pair.timings.giveback_delay = world_.swarm.giveback_delay;
      config.checkpoint_interval = world_.swarm.checkpoint_interval;
      config.session_timeout = world_.swarm.session_timeout;
      config.lease_term = world_.swarm.lease_term;
      config.open_store = [this, id = info.id](const StoreConfig&, Epoch epoch, BytesView token,
                                               std::string* why) {
        return world_.open_store(id, epoch, token, why);
      };
      volumes_[info.id] = std::make_unique<VolumeRuntime>(std::move(config), *this);
    }
  });
  world_.send_map(*this);
  connect();
  world_.partner_of(*this).connect();
  for (auto& router : world_.routers) router->node_changed(*this, true);
  later(0us, [] {});
}

void NodeHost::crash(How how) {
  if (!alive()) return;
  sim.note("{} {}", name(), how == How::kKill ? "is killed" : "loses power");
  end_life();
  volumes_.clear();
  waiting_.clear();
  if (how == How::kPowerLoss) {
    ++boots_;
    for (auto& [id, disk] : disks_) disk->lose_power();
    world_.rings.lose_power(name());
    NodeHost& partner = world_.partner_of(*this);
    partner.guarded([&] {
      for (auto& [id, volume] : partner.volumes_) volume->take_ring();
    });
    world_.note_power_loss(*this);
  }
  world_.partner_of(*this).partner_gone();
  for (auto& router : world_.routers) router->node_changed(*this, false);
}

template <class F>
void NodeHost::guarded(F&& what) {
  try {
    what();
  } catch (const LogFailure& failure) {
    fail_stop(failure.what());
  }
}

void NodeHost::after_event() {
  guarded([&] {
    for (auto& [id, volume] : volumes_) volume->flush();
  });
  if (!failed_.empty()) {
    if (!expects_failure) sim.fail("{} ended itself: {}", name(), failed_);
    crash(How::kKill);
    sim.after(sim.random.duration(100ms, 2s), [this] { start(); });
    return;
  }
  Instant wake = Instant::max();
  const bool publish_all = sim.now() >= publish_at_;
  if (publish_all) publish_at_ = sim.now() + kPublishPeriod;
  for (auto& [id, volume] : volumes_) {
    if (volume->has_executor() &&
        (std::exchange(published_[id], volume->executor()->slices_version()) !=
             volume->executor()->slices_version() ||
         publish_all))
      world_.publish_slices(*this, id);
    wake = std::min(wake, volume->next_wake());
    if (volume->core().role() == PairCore::Role::kExecutor)
      world_.note_executor(id, volume->core().epoch(), self_);
  }
  const Duration wait = std::clamp<Duration>(wake - local_now(), 100us, 1s);
  wake_in(world_time(wait));
}

// ---- links --------------------------------------------------------------------------------------

void NodeHost::connect() {
  if (!alive()) return;
  later(sim.random.duration(1ms, 40ms), [this] {
    if (link_up_ || !world_.partner_of(*this).alive()) return;
    link_up_ = true;
    guarded([&] {
      for (auto& [id, volume] : volumes_) volume->on_link(true);
    });
  });
}

void NodeHost::partner_gone() {
  if (!alive() || !link_up_) return;
  link_up_ = false;
  later(sim.random.duration(100us, 2ms), [this] {
    guarded([&] {
      for (auto& [id, volume] : volumes_) volume->on_link(false);
    });
  });
}

void NodeHost::send_link(const LinkMessage& message, SharedBytes records) {
  if (!link_up_) return;
  NodeHost& partner = world_.partner_of(*this);
  // As bytes, and back: what the other end gets.
  Bytes encoded = encode(message);
  world_.send(*this, partner, true, [&partner, encoded, records] {
    partner.on_link_message(*decode<LinkMessage>(encoded), records);
  });
}

void NodeHost::on_link_message(const LinkMessage& message, const SharedBytes& records) {
  if (VolumeRuntime* runtime = volume(message.volume))
    guarded([&] { runtime->on_link_message(message, records); });
}

VolumeRuntime* NodeHost::volume(VolumeId id) {
  const auto found = volumes_.find(id);
  return found == volumes_.end() ? nullptr : found->second.get();
}

// ---- the map ------------------------------------------------------------------------------------

void NodeHost::on_map() {
  for (const auto& [id, record] : world_.records) {
    if (record.version == 0 || records_[id].version >= record.version) continue;
    records_[id] = record;
    if (VolumeRuntime* runtime = volume(id))
      guarded([&] { runtime->on_record(record.record, record.version); });
  }
  guarded([&] {
    for (auto& [id, volume] : volumes_) volume->on_map_answered();
  });
}

void NodeHost::on_cluster() {
  guarded([&] {
    for (auto& [id, volume] : volumes_) volume->on_cluster();
  });
}

void NodeHost::give_slice(VolumeId from, Slice slice, VolumeId to) {
  if (VolumeRuntime* runtime = volume(from)) guarded([&] { runtime->give_slices({{slice, to}}); });
}

void NodeHost::swap_record(VolumeId volume, uint64_t expected_version, const VolumeRecord& record,
                           Duration timeout) {
  world_.swap(*this, volume, expected_version, record, timeout);
}

void NodeHost::on_swapped(VolumeId id, bool known, bool swapped,
                          const ClusterWorld::Record& now_is) {
  if (known && records_[id].version < now_is.version) records_[id] = now_is;
  VolumeRuntime* runtime = volume(id);
  guarded([&] {
    if (known)
      runtime->on_swapped(true, swapped, now_is.record, now_is.version);
    else
      runtime->on_swapped(false, false, {}, 0);
  });
}

void NodeHost::hand_over(VolumeId id) {
  later(0us, [this, id] { guarded([&] { volume(id)->hand_over(); }); });
}

// ---- commands -----------------------------------------------------------------------------------

Timestamp NodeHost::wall_clock() const {
  const int64_t ns = local_now().time_since_epoch().count();
  return {kWallClockStart + ns / 1'000'000'000, static_cast<uint32_t>(ns % 1'000'000'000)};
}

void NodeHost::on_client_message(std::vector<Bytes> envelope, const SharedBytes& head,
                                 const SharedBytes& bulk) {
  const auto parsed = parse_head(head.view(), nullptr);
  if (!parsed) return sim.fail("{} got a message that it cannot read", name());
  const VolumeId id = parsed->header.volume != VolumeId{}
                          ? parsed->header.volume
                          : world_.cluster.volume_of(parsed->header.slice);
  if (parsed->header.request.session != 0) world_.used_slices.insert(parsed->header.slice);
  VolumeRuntime* runtime = volume(id);
  if (runtime == nullptr) {
    MessageHeader answer = parsed->header;
    answer.status = ReplyStatus::kNotExecutor;
    return reply(envelope, answer, {}, {});
  }
  const size_t at = static_cast<size_t>(parsed->body.data() - head.view().data());
  guarded([&] {
    runtime->on_request(std::move(envelope), parsed->header, head.part(at, parsed->body.size()),
                        bulk);
  });
}

void NodeHost::reply(const std::vector<Bytes>& envelope, const MessageHeader& header,
                     BytesView body, const SharedBytes& bulk) {
  MessageHeader answer = header;
  answer.flags = kFlagReply;
  answer.sender = self_.incarnation;
  answer.bulk_length = static_cast<uint32_t>(bulk.size());
  answer.bulk_crc = 0;
  if (!bulk.empty()) {
    answer.flags |= kFlagHasBulkCrc;
    answer.bulk_crc = crc32c(bulk.view());
  }
  const Bytes& hop = envelope.front();
  if (hop.starts_with("node:")) {
    NodeHost& peer = world_.node(hop.substr(5));
    Bytes text(body);
    world_.send(*this, peer, false, [&peer, answer, text] { peer.on_peer_reply(answer, text); });
    return;
  }
  for (auto& router : world_.routers) {
    if (router->name() != hop) continue;
    const SharedBytes head = SharedBytes::from(make_head(answer, body));
    std::vector<Bytes> rest(envelope.begin() + 1, envelope.end());
    world_.send(*this, *router, false, [this, r = router.get(), rest, head, bulk] {
      r->on_node_message(name(), rest, head, bulk);
    });
  }
}

void NodeHost::send_command(VolumeId, const CommandInput& input,
                            std::function<void(const PeerLinks::Answer&)> done) {
  const VolumeId to =
      input.volume != VolumeId{} ? input.volume : world_.cluster.volume_of(input.slice);
  const auto record = records_.find(to);
  if (record == records_.end() || record->second.version == 0) return;
  const Bytes executor = record->second.record.executor.name;
  if (executor == name()) {
    later(0us, [this, to, input, done = std::move(done)] {
      guarded([&] { volume(to)->on_local_command(input, done); });
    });
    return;
  }
  if (executor.empty()) return;
  NodeHost& peer = world_.node(executor);
  MessageHeader header;
  header.op = input.op;
  header.slice = input.slice;
  header.volume = to;
  header.epoch = record->second.record.epoch;
  header.cluster_id = ClusterWorld::kClusterId;
  header.sender = self_.incarnation;
  header.request = input.request;
  header.trace_id = next_number_++;
  waiting_[header.trace_id] = std::move(done);
  const SharedBytes head = SharedBytes::from(make_head(header, input.body.view()));
  sim.tell("{} to {}: {}", name(), peer.name(), command_name(input.op));
  world_.send(*this, peer, true, [&peer, hop = "node:" + name(), head, bulk = input.bulk] {
    peer.on_client_message({hop}, head, bulk);
  });
}

void NodeHost::on_peer_reply(const MessageHeader& header, Bytes body) {
  const auto found = waiting_.find(header.trace_id);
  if (found == waiting_.end()) return;
  const auto done = std::move(found->second);
  waiting_.erase(found);
  guarded([&] { done({header.status, header.error, std::move(body)}); });
}

Duration NodeHost::worker_delay() {
  Duration delay = sim.random.duration(50us, sim.random.one_in(50) ? 80ms : world_.swarm.sync_max);
  if (sim.now() < disk_hangs_until_) delay += disk_hangs_until_ - sim.now();
  return delay;
}

void NodeHost::run_on_worker(std::function<void()> work, std::function<void()> done) {
  later(worker_delay(), [this, work = std::move(work), done = std::move(done)] {
    guarded([&] { work(); });
    later(sim.random.duration(10us, 200us), [this, done] { guarded([&] { done(); }); });
  });
}

void NodeHost::note_event(VolumeId volume, Epoch epoch, const std::string& what, Timestamp) {
  sim.note("{} {} e{}: {}", name(), to_string(volume), epoch, what);
  sim.count("role." + what.substr(0, what.find_first_of(",:")));
}

void NodeHost::fail_stop(const std::string& why) {
  if (failed_.empty()) failed_ = why;
}

}  // namespace pairfs::sim
