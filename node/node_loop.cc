#include "node/node_loop.h"

#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>
#include <set>

#include "common/codec.h"
#include "common/crc32c.h"
#include "common/logging.h"
#include "common/messages.h"
#include "common/network_policy.h"
#include "node/process_identity.h"
#include "node/watchdog.h"

namespace pairfs {
namespace {

constexpr size_t kHistoryMax = 1000;
constexpr int kWorkerThreads = 8;
constexpr auto kAskUsesPeriod = std::chrono::seconds(5);
constexpr auto kUseSilentAfter = std::chrono::seconds(6);
constexpr double kUseOfSilent = 2;  // fuller than any, so that nothing new is placed there
constexpr auto kLookForPartner = std::chrono::milliseconds(2);
constexpr int kLooksForPartner = 100;     // after a lost connection
constexpr int kMessagesPerWakeUp = 1024;  // then timers and answers get their turn

// Seconds of the day's clock above random bits, so that a later life has the higher number.
Incarnation make_incarnation() {
  std::random_device random;
  return static_cast<uint64_t>(::time(nullptr)) << 32 | random();
}

}  // namespace

NodeLoop::NodeLoop(NodeConfig config, StopSignal& stop)
    : config_(std::move(config)),
      stop_(stop),
      incarnation_(make_incarnation()),
      map_(make_map_client(context_, config_.map_endpoints, config_.cluster_id)),
      workers_(kWorkerThreads),
      ready_file_(config_.ready_file),
      peers_(context_, config_.name, config_.cluster_id, incarnation_) {}

NodeLoop::~NodeLoop() = default;

Timestamp NodeLoop::wall_clock() const {
  timespec t{};
  ::clock_gettime(CLOCK_REALTIME, &t);
  return {t.tv_sec, static_cast<uint32_t>(t.tv_nsec)};
}

// As this node's earlier life kept it.
VolumeRecord NodeLoop::copied_record(VolumeId id) const {
  for (const MapEntry& entry : map_copy_->entries())
    if (entry.key == volume_key(id))
      return decode<VolumeRecord>(entry.value).value_or(VolumeRecord());
  return {};
}

int NodeLoop::run() {
  std::string trouble;
  map_copy_ = FileMapStore::open(config_.state_dir + "/map", &trouble);
  if (map_copy_ == nullptr) {
    log_error("node.refused", "why=\"{}\"", trouble);
    return 2;
  }
  copied_version_ = map_copy_->map_version();
  poller_.add_fd(stop_.fd());
  poller_.add_fd(workers_.completion_fd());
  map_->add_to(poller_);
  if (!wait_for_map()) return stop_.requested() ? 0 : 2;
  std::string why;
  if (!start(&why)) {
    log_error("node.refused", "why=\"{}\"", why);
    return 2;
  }
  Watchdog watchdog(config_.stall_max, [this] {
    log_error("node.failed", "why=\"the loop has stood still for {} ms\"",
              config_.stall_max / std::chrono::milliseconds(1));
    std::_Exit(1);
  });
  // Their descriptors are read only when there is something: a turn costs no call for nothing.
  while (!failed_ && !(poller_.fd_ready(stop_.fd()) && stop_.requested())) {
    watchdog.turn();
    try {
      drain_link();
      drain_clients();
      if (poller_.fd_ready(workers_.completion_fd())) workers_.run_completions();
      map_->step(now());
      if (map_->last_answer() > map_asked_at_) {
        map_asked_at_ = Instant::max();
        for (auto& [id, volume] : volumes_) volume->on_map_answered();
      }
      for (const Socket::LinkEvent event : link_out_->link_events()) {
        const bool up = event == Socket::LinkEvent::kConnected;
        log_info(up ? "link.up" : "link.down", "partner={}", link_out_->endpoint());
        for (auto& [id, volume] : volumes_) volume->on_link(up);
        looks_left_ = up ? 0 : kLooksForPartner;
      }
      look_for_partner();
      peers_.step(now());
      run_local_commands();
      ask_volume_uses();
      rebalance();
      for (auto& [id, volume] : volumes_) volume->flush();
      publish_slices();
    } catch (const LogFailure& failure) {
      fail_stop(failure.what());
      break;
    }
    Instant wake = local_commands_.empty() ? map_->next_wake() : now();
    for (auto& [id, volume] : volumes_) wake = std::min(wake, volume->next_wake());
    if (looks_left_ > 0) wake = std::min(wake, now() + kLookForPartner);
    poller_.wait(std::max(Duration(0), wake - now()));
  }
  log_info("node.stopped", "name={}", config_.name);
  return failed_ ? 1 : 0;
}

bool NodeLoop::wait_for_map() {
  bool told = false;
  const Instant since = now();
  for (;;) {
    map_->step(now());
    const bool known = map_->find(kClusterKey) != nullptr;
    if (known && map_->map_version() >= copied_version_) break;
    if (stop_.requested()) return false;
    if (!told && now() - since > std::chrono::seconds(3)) {
      told = true;
      if (known)
        log_error("map.older",
                  "the map at {} has version {}, this node has seen {}: it was "
                  "replaced by an older one; stop the cluster and use pairfs map rebuild",
                  config_.map_endpoints.front(), map_->map_version(), copied_version_);
      else
        log_warn("map.unreachable", "waiting for the map at {}", config_.map_endpoints.front());
    }
    if (known) map_->refresh();
    poller_.wait(std::min<Duration>(map_->next_wake() - now(), std::chrono::milliseconds(100)));
  }
  const auto cluster = decode<ClusterMap>(map_->find(kClusterKey)->value);
  if (!cluster) {
    log_error("map.unreadable", "the cluster's record cannot be decoded");
    return false;
  }
  cluster_ = *cluster;
  cluster_version_ = map_->find(kClusterKey)->version;
  return true;
}

bool NodeLoop::start(std::string* why) {
  const PairInfo* pair = cluster_.pair_of(config_.name);
  if (pair == nullptr) {
    *why = fmt::format("the cluster's map has no node \"{}\"", config_.name);
    return false;
  }
  if (cluster_.cluster_id != config_.cluster_id) {
    *why = fmt::format("the map is of cluster {:016x}, the configuration says {:016x}",
                       cluster_.cluster_id, config_.cluster_id);
    return false;
  }
  const NodeInfo& self = *cluster_.find_node(config_.name);
  const NodeInfo& partner = *cluster_.partner_of(config_.name);
  const std::string listen = config_.listen.empty() ? self.endpoint : config_.listen;
  const std::string link_listen =
      config_.link_listen.empty() ? self.link_endpoint : config_.link_listen;
  const std::string element_listen =
      config_.element_listen.empty() ? self.element_endpoint : config_.element_listen;
  std::vector<std::string> listens = {listen, link_listen};
  if (!self.element_endpoint.empty()) listens.push_back(element_listen);
  for (const std::string& endpoint : listens)
    if (auto refusal = refuse_listen(endpoint, config_.insecure_network)) {
      *why = *refusal;
      return false;
    }
  try {
    clients_.emplace(Socket::server(context_, listen));
    link_in_.emplace(Socket::server(context_, link_listen));
    link_out_.emplace(Socket::client(context_, partner.link_endpoint));
    if (!self.element_endpoint.empty()) {
      std::set<std::string> paths;
      for (const VolumeInfo& info : pair->volumes)
        for (const ElementInfo& e : info.elements)
          if (e.reach == "partner:" + config_.name) paths.insert(e.path);
      element_server_ = std::make_unique<ElementServer>(context_, element_listen,
                                                        config_.cluster_id, std::move(paths));
      partner_elements_at_ = partner.element_endpoint;
      element_client_ = std::make_shared<ElementClient>(context_, partner.element_endpoint,
                                                        config_.cluster_id, incarnation_);
    }
    const std::string boot_id = read_boot_id();
    for (const VolumeInfo& info : pair->volumes) {
      VolumeRuntimeConfig volume;
      volume.log = {config_.state_dir + "/log-" + to_string(info.id),
                    config_.cluster_id,
                    info.id,
                    incarnation_,
                    boot_id,
                    config_.log_segment_bytes};
      if (!config_.ring_dir.empty())
        volume.rings = open_ring_directory(config_.ring_dir, config_.name, partner.name.c_str());
      volume.store.volume = info.id;
      volume.store.cluster_id = config_.cluster_id;
      volume.store.raid_level = info.raid_level;
      for (const ElementInfo& e : info.elements)
        volume.store.elements.push_back({e.id, e.path, e.reach});
      volume.pair = {info.id,
                     {ShortText(config_.name), incarnation_},
                     partner.name,
                     info.home == config_.name,
                     config_.timings,
                     own_process(),
                     copied_record(info.id)};
      volume.checkpoint_log_bytes = config_.checkpoint_log_bytes;
      volume.checkpoint_interval = config_.checkpoint_interval;
      volume.replay_max = config_.replay_max;
      volume.sync_max = 2 * config_.stall_max;
      volumes_[info.id] = std::make_unique<VolumeRuntime>(std::move(volume), *this);
    }
  } catch (const std::exception& problem) {
    *why = problem.what();
    return false;
  }
  poller_.add(*clients_);
  poller_.add(*link_in_);
  poller_.add(*link_out_);
  map_->on_change = [this] { on_map_change(); };
  on_map_change();
  ready_file_.announce(clients_->endpoint(), link_in_->endpoint());
  log_info("node.ready", "name={} incarnation={:016x} endpoint={} link={}", config_.name,
           incarnation_, clients_->endpoint(), link_in_->endpoint());
  return true;
}

void NodeLoop::on_map_change() {
  take_cluster();
  follow_partner();
  peers_.set_cluster(cluster_, poller_);
  copy_map();
  for (auto& [id, volume] : volumes_) {
    if (const MapEntry* entry = map_->find(volume_key(id)))
      if (const auto record = decode<VolumeRecord>(entry->value))
        volume->on_record(*record, entry->version);
  }
}

void NodeLoop::copy_map() {
  if (copying_map_ || map_->map_version() <= copied_version_) return;
  copying_map_ = true;
  auto map = std::make_shared<MapReadReply>();
  map->map_version = map_->map_version();
  for (const MapEntry& entry : map_->entries()) map->entries.push_back(entry);
  run_on_worker(
      [this, map] {
        if (!map_copy_->adopt(*map)) log_warn("map.not_copied", "version={}", map->map_version);
      },
      [this, map] {
        copying_map_ = false;
        copied_version_ = map->map_version;
        copy_map();  // it may have changed meanwhile
      });
}

VolumeRuntime* NodeLoop::find_volume(VolumeId id) {
  const auto found = volumes_.find(id);
  return found == volumes_.end() ? nullptr : found->second.get();
}

void NodeLoop::drain_clients() {
  for (int i = 0; i < kMessagesPerWakeUp; ++i) {
    auto message = clients_->receive();
    if (!message) return;
    HeaderError error{};
    const auto head = parse_head(message->head.view(), &error);
    const bool bulk_fits = head && head->header.bulk_length == message->bulk.size() &&
                           (!(head->header.flags & kFlagHasBulkCrc) ||
                            crc32c(message->bulk.view()) == head->header.bulk_crc);
    if (!head || head->header.cluster_id != config_.cluster_id || !bulk_fits ||
        (head->header.flags & kFlagReply)) {
      ++refused_messages_;
      uint64_t more = 0;
      if (refused_log_.allow(now(), &more))
        log_warn("message.refused", "why=\"{}\" suppressed={}",
                 head ? "another cluster's, or damaged" : to_string(error), more);
      continue;
    }
    const MessageHeader& header = head->header;
    if (header.op == NodeStatus::kOp || header.op == AdminRequest::kOp) {
      on_admin(*message, *head);
      continue;
    }
    // The sender's word; whether the volume has the slice is its executor's business.
    const VolumeId id =
        header.volume != VolumeId{} ? header.volume : cluster_.volume_of(header.slice);
    VolumeRuntime* volume = find_volume(id);
    if (volume == nullptr) {
      MessageHeader answer = header;
      answer.status = ReplyStatus::kNotExecutor;
      reply(message->envelope, answer, {}, {});
      continue;
    }
    const size_t at = static_cast<size_t>(head->body.data() - message->head.view().data());
    volume->on_request(std::move(message->envelope), header,
                       message->head.part(at, head->body.size()), std::move(message->bulk));
  }
}

void NodeLoop::send_command(VolumeId, const CommandInput& input,
                            std::function<void(const PeerLinks::Answer&)> done) {
  const VolumeId to = input.volume != VolumeId{} ? input.volume : cluster_.volume_of(input.slice);
  const MapEntry* entry = map_->find(volume_key(to));
  const auto record = entry == nullptr ? std::nullopt : decode<VolumeRecord>(entry->value);
  if (!record) return;
  if (record->executor.name == config_.name) {
    local_commands_.push_back({to, input, std::move(done)});
    return;
  }
  peers_.send(record->executor.name, to, record->epoch, input, std::move(done), now());
}

void NodeLoop::run_local_commands() {
  // Their answers may bring new ones, which wait for the next turn.
  std::deque<LocalCommand> commands = std::move(local_commands_);
  local_commands_.clear();
  for (LocalCommand& command : commands)
    if (VolumeRuntime* volume = find_volume(command.to))
      volume->on_local_command(command.input, std::move(command.done));
}

// Where new directories go depends on how full the volumes are.
void NodeLoop::ask_volume_uses() {
  if (now() < ask_uses_at_) return;
  ask_uses_at_ = now() + kAskUsesPeriod;
  std::set<VolumeId> asked;  // a volume's slices may be in many ranges
  for (const SliceRange& range : cluster_.slices) {
    if (!asked.insert(range.volume).second) continue;
    StatFs question;
    question.slice = range.first;
    const CommandInput input{
        StatFs::kOp, {0, kUnslotted, 0}, range.first, SharedBytes::from(encode(question)), {}};
    send_command({}, input, [this, id = range.volume](const PeerLinks::Answer& answer) {
      const auto space = decode<StatFsReply>(answer.reply);
      if (answer.status != ReplyStatus::kOutcome || answer.error != 0 || !space) return;
      const double capacity = static_cast<double>(std::max<uint64_t>(space->capacity_bytes, 1));
      volume_uses_[id] = {1.0 - static_cast<double>(space->available_bytes) / capacity, now()};
    });
    volume_uses_.try_emplace(range.volume, HeardUse{0, now()});
  }
  std::vector<VolumeUse> uses;
  for (const auto& [id, use] : volume_uses_)
    uses.push_back({id, now() - use.at > kUseSilentAfter ? kUseOfSilent : use.fraction});
  for (auto& [id, volume] : volumes_) volume->set_volume_uses(uses);
}

void NodeLoop::drain_link() {
  for (int i = 0; i < kMessagesPerWakeUp; ++i) {
    auto message = link_in_->receive();
    if (!message) break;
    const auto head = parse_head(message->head.view(), nullptr);
    std::optional<LinkMessage> link;
    if (head && head->header.op == kLinkOp && head->header.cluster_id == config_.cluster_id)
      link = decode<LinkMessage>(head->body);
    VolumeRuntime* volume = link ? find_volume(link->volume) : nullptr;
    if (volume == nullptr) {
      ++refused_messages_;
      continue;
    }
    if (element_client_ != nullptr) element_client_->note_partner(now());
    volume->on_link_message(*link, message->bulk);
  }
  while (link_out_->receive()) ++refused_messages_;  // nobody answers there
}

void NodeLoop::note_partner(Incarnation incarnation, const ProcessIdentity& process) {
  if (incarnation < partner_incarnation_) return;
  partner_incarnation_ = incarnation;
  partner_process_ = process;
}

// A lost connection alone does not say that the partner is gone. On one machine the kernel does;
// its lease need not be waited for then. A process closes its sockets a moment before it has ended.
void NodeLoop::look_for_partner() {
  if (looks_left_ == 0) return;
  --looks_left_;
  if (!surely_dead(partner_process_)) return;
  looks_left_ = 0;
  log_info("partner.dead", "incarnation={:016x} pid={}", partner_incarnation_,
           partner_process_.pid);
  for (auto& [id, volume] : volumes_) volume->on_partner_dead(partner_incarnation_);
}

void NodeLoop::send_link(const LinkMessage& message, SharedBytes records) {
  MessageHeader header;
  header.op = kLinkOp;
  header.volume = message.volume;
  header.cluster_id = config_.cluster_id;
  header.epoch = message.epoch;
  header.sender = incarnation_;
  header.receiver = message.receiver;
  header.bulk_length = static_cast<uint32_t>(records.size());
  link_out_->send({}, SharedBytes::from(make_head(header, encode(message))), std::move(records));
}

void NodeLoop::swap_record(VolumeId volume, uint64_t expected_version, const VolumeRecord& record,
                           Duration timeout) {
  MapSwap request;
  request.key = volume_key(volume);
  request.expected_version = expected_version;
  request.value = encode(record);
  log_info("role.swap", "volume={} epoch={} executor={} mode={}", to_string(volume), record.epoch,
           record.executor.name, record.solo ? "solo" : "paired");
  map_->swap(std::move(request), timeout,
             [this, volume](MapClient::SwapOutcome outcome, const MapEntry& current) {
               VolumeRuntime* runtime = find_volume(volume);
               const auto now_is = decode<VolumeRecord>(current.value);
               if (outcome == MapClient::SwapOutcome::kUnknown || !now_is)
                 runtime->on_swapped(false, false, {}, 0);
               else
                 runtime->on_swapped(true, outcome == MapClient::SwapOutcome::kSwapped, *now_is,
                                     current.version);
             });
}

void NodeLoop::reply(const std::vector<Bytes>& envelope, const MessageHeader& header,
                     BytesView body, const SharedBytes& bulk) {
  MessageHeader answer = header;
  answer.flags = kFlagReply;
  answer.sender = incarnation_;
  answer.receiver = header.sender;
  answer.bulk_length = static_cast<uint32_t>(bulk.size());
  answer.bulk_crc = 0;
  if (!bulk.empty()) {
    answer.flags |= kFlagHasBulkCrc;
    answer.bulk_crc = crc32c(bulk.view());
  }
  clients_->send(envelope, SharedBytes::from(make_head(answer, body)), bulk);
}

void NodeLoop::run_on_worker(std::function<void()> work, std::function<void()> done) {
  workers_.run(std::move(work), std::move(done));
}

decltype(StoreConfig::open_element) NodeLoop::element_opener(VolumeId volume, Epoch epoch) {
  return [name = config_.name, client = element_client_, volume, epoch](
             const StoreConfig::Element& e, bool create,
             std::string* why) -> std::unique_ptr<Element> {
    const bool remote = e.reach.starts_with("partner:") && e.reach != "partner:" + name;
    if (!remote) return open_directory_element(e.path, create, why);
    if (client == nullptr) {
      *why =
          fmt::format("Element {} is reached through {}, but the map names no endpoint for that.",
                      e.id, e.reach);
      return nullptr;
    }
    return open_remote_element(ElementClient::channel(client, volume, epoch), e.id, e.path, create,
                               why);
  };
}

void NodeLoop::note_event(VolumeId volume, Epoch epoch, const std::string& what, Timestamp at) {
  log_info("role.changed", "volume={} epoch={} what=\"{}\"", to_string(volume), epoch, what);
  history_.push_back({at, volume, epoch, what});
  if (history_.size() > kHistoryMax) history_.pop_front();
}

void NodeLoop::fail_stop(const std::string& why) {
  log_error("node.failed", "why=\"{}\"", why);
  failed_ = true;
}

}  // namespace pairfs
