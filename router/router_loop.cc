#include "router/router_loop.h"

#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "common/codec.h"

namespace pairfs {
namespace {

constexpr int kBatch = 256;  // messages of one socket before the others have their turn
constexpr Duration kWakeAtLeast = std::chrono::seconds(1);

std::vector<std::string> endpoints_of_map(const RouterSettings& settings,
                                          const std::string& own_endpoint) {
  if (!settings.map_endpoints.empty()) return settings.map_endpoints;
  return {own_endpoint};
}

}  // namespace

RouterLoop::RouterLoop(Context& context, RouterSettings settings,
                       std::unique_ptr<FileMapStore> map_store, Poller* shared)
    : context_(context),
      settings_(std::move(settings)),
      core_(settings_.cluster_id),
      reads_(settings_.cluster_id),
      own_poller_(shared == nullptr ? std::make_unique<Poller>() : nullptr),
      poller_(shared == nullptr ? *own_poller_ : *shared) {
  if (!settings_.listen.empty()) {
    clients_.emplace(Socket::server(context, settings_.listen));
    settings_.listen = clients_->endpoint();
    poller_.add(*clients_);
  }
  if (map_store != nullptr) {
    map_socket_ = std::make_unique<Socket>(Socket::server(context, settings_.map_listen));
    map_server_ = std::make_unique<MapServer>(std::move(map_store), settings_.cluster_id);
    poller_.add(*map_socket_);
  }
  map_client_ =
      make_map_client(context, endpoints_of_map(settings_, map_endpoint()), settings_.cluster_id);
  map_client_->on_change = [this] { take_map(); };
  map_client_->add_to(poller_);
}

std::string RouterLoop::map_endpoint() const {
  return map_socket_ == nullptr ? "" : map_socket_->endpoint();
}

void RouterLoop::run(int stop_fd) {
  poller_.add_fd(stop_fd);
  bool more = true;
  while (!poller_.fd_ready(stop_fd)) {
    const Duration wait = more ? Duration(0) : next_wake() - boot_now();
    poller_.wait(std::clamp(wait, Duration(0), kWakeAtLeast));
    more = step(boot_now());
  }
  poller_.remove_fd(stop_fd);
}

bool RouterLoop::step(Instant now) {
  map_client_->step(now);
  bool more = false;
  for (auto& [name, link] : nodes_) {
    // Answers first: what arrived before the connection was lost still counts.
    more |= drain_node(*link, now);
    read_links(*link);
  }
  if (clients_) more |= drain_clients(now);
  if (map_server_ != nullptr) more |= drain_map(now);
  send_answers(now);
  return more;
}

void RouterLoop::submit(SharedBytes head, SharedBytes bulk, Instant now) {
  on_client_message({{}, std::move(head), std::move(bulk)}, now);
}

// An envelope of one client alone has nobody's name in it.
void RouterLoop::answer(const std::vector<Bytes>& envelope, const SharedBytes& head,
                        const SharedBytes& bulk) {
  if (!clients_)
    answers_.push_back({{}, head, bulk});
  else if (envelope.empty() || !clients_->send(envelope, head, bulk))
    core_.on_reply_undeliverable();
}

Instant RouterLoop::next_wake() const {
  Instant wake = std::min(map_client_->next_wake(), reads_.next_wake());
  if (map_server_ != nullptr) wake = std::min(wake, map_server_->next_wake());
  return wake;
}

bool RouterLoop::drain_clients(Instant now) {
  int count = 0;
  for (; count < kBatch; ++count) {
    const auto message = clients_->receive();
    if (!message) break;
    on_client_message(*message, now);
  }
  note_dropped(*clients_, &clients_dropped_before_, "client", now);
  return count == kBatch;
}

void RouterLoop::on_client_message(const Message& message, Instant now) {
  using Act = RouterCore::Decision::Kind;
  RouterCore::Decision decision = core_.on_client(message.envelope, message.head.view());
  switch (decision.kind) {
    case Act::kDrop:
      note_malformed("client", decision.why, 0, now);
      return;
    case Act::kForward: {
      const auto link = nodes_.find(decision.node);
      if (link != nodes_.end() &&
          link->second->socket.send(message.envelope, SharedBytes::from(std::move(decision.head)),
                                    message.bulk))
        return;
      decision.head = core_.on_forward_refused(decision);
      break;
    }
    case Act::kReply:
      break;
    case Act::kMapRead: {
      const auto read = decode<MapRead>(decision.body);
      if (!read) return note_malformed("client", "a malformed MapRead", 1, now);
      reads_.on_read(message.envelope, decision.header, *read, now);
      return;
    }
    case Act::kStatus: {
      MessageHeader reply;
      reply.op = decision.header.op;
      reply.flags = kFlagReply;
      reply.cluster_id = settings_.cluster_id;
      reply.request = decision.header.request;
      reply.trace_id = decision.header.trace_id;
      decision.head = make_head(reply, encode(AdminReply{true, status_json(now)}));
      break;
    }
  }
  answer(message.envelope, SharedBytes::from(std::move(decision.head)));
}

bool RouterLoop::drain_node(NodeLink& link, Instant now) {
  int count = 0;
  for (; count < kBatch; ++count) {
    const auto message = link.socket.receive();
    if (!message) break;
    const RouterCore::NodeDecision decision = core_.on_node(link.info.name, message->head.view());
    if (decision.refresh_map) map_client_->refresh();
    if (!decision.to_client) {
      note_malformed("node", decision.why, 0, now);
    } else {
      answer(message->envelope, message->head, message->bulk);
    }
  }
  note_dropped(link.socket, &link.dropped_before, "node", now);
  return count == kBatch;
}

bool RouterLoop::drain_map(Instant now) {
  int count = 0;
  for (; count < kBatch; ++count) {
    const auto message = map_socket_->receive();
    if (!message) break;
    const char* why = "";
    if (!map_server_->on_message(message->envelope, message->head.view(), now, &why))
      note_malformed("map", why, 1, now);
  }
  note_dropped(*map_socket_, &map_dropped_before_, "map", now);
  return count == kBatch;
}

void RouterLoop::send_answers(Instant now) {
  for (const MapReadService::Answer& read : reads_.take_answers(now))
    answer(read.envelope, read.head);
  if (map_server_ == nullptr) return;
  // Who is gone asks again.
  for (const MapReadService::Answer& read : map_server_->take_answers(now))
    map_socket_->send(read.envelope, read.head);
}

void RouterLoop::read_links(NodeLink& link) {
  for (const Socket::LinkEvent event : link.socket.link_events()) {
    const bool connected = event == Socket::LinkEvent::kConnected;
    send_refusals(core_.on_link(link.info.name, connected));
    log_info(connected ? "node.connected" : "node.disconnected", "node={} endpoint={}",
             printable(link.info.name), printable(link.info.endpoint));
  }
}

void RouterLoop::send_refusals(std::vector<RouterCore::Refusal> refusals) {
  for (RouterCore::Refusal& refusal : refusals)
    answer(refusal.envelope, SharedBytes::from(std::move(refusal.head)));
}

void RouterLoop::take_map() {
  const MapEntry* entry = map_client_->find(kClusterKey);
  const auto cluster = entry != nullptr ? decode<ClusterMap>(entry->value) : std::nullopt;
  if (entry != nullptr && (!cluster || cluster->cluster_id != settings_.cluster_id)) {
    log_error("map.refused", "map_version={} reason=\"{}\"", map_client_->map_version(),
              cluster ? "it is another cluster's" : "its cluster record is malformed");
    return;
  }
  reads_.set_map(map_client_->map_version(), map_client_->entries());
  log_info("map.changed", "map_version={}", map_client_->map_version());
  if (!cluster) return;
  RoutingTable table(*cluster, [this](VolumeId id) -> std::optional<VolumeRecord> {
    const MapEntry* record = map_client_->find(volume_key(id));
    return record != nullptr ? decode<VolumeRecord>(record->value) : std::nullopt;
  });
  connect_nodes(table.nodes());
  send_refusals(core_.on_map(std::move(table)));
}

void RouterLoop::connect_nodes(const std::vector<NodeInfo>& nodes) {
  for (auto at = nodes_.begin(); at != nodes_.end();) {
    const bool stays = std::any_of(nodes.begin(), nodes.end(), [&](const NodeInfo& node) {
      return node.name == at->first && node.endpoint == at->second->info.endpoint;
    });
    if (stays) {
      ++at;
      continue;
    }
    send_refusals(core_.on_link(at->first, false));
    poller_.remove(at->second->socket);
    at = nodes_.erase(at);
  }
  for (const NodeInfo& node : nodes) {
    if (node.endpoint.empty() || nodes_.count(node.name) != 0) continue;
    try {
      auto link =
          std::make_unique<NodeLink>(NodeLink{node, Socket::client(context_, node.endpoint)});
      poller_.add(link->socket);
      nodes_.emplace(node.name, std::move(link));
    } catch (const std::runtime_error& error) {
      log_error("node.unusable_endpoint", "node={} error=\"{}\"", printable(node.name),
                printable(error.what()));
    }
  }
}

// `count`: how many of them the core has not counted itself.
void RouterLoop::note_malformed(const char* where, const char* why, uint64_t count, Instant now) {
  core_.on_malformed(count);
  uint64_t suppressed = 0;
  if (malformed_limiter_.allow(now, &suppressed))
    log_warn("message.dropped", "from={} reason=\"{}\" suppressed={}", where, why, suppressed);
}

void RouterLoop::note_dropped(const Socket& socket, uint64_t* before, const char* where,
                              Instant now) {
  const uint64_t count = socket.dropped_count() - std::exchange(*before, socket.dropped_count());
  if (count != 0) note_malformed(where, "wrong number of frames", count, now);
}

Bytes RouterLoop::status_json(Instant now) const {
  const RouterCounters& c = core_.counters();
  nlohmann::json nodes = nlohmann::json::array();
  for (const NodeInfo& node : core_.table().nodes())
    nodes.push_back({{"name", printable(node.name)},
                     {"endpoint", printable(node.endpoint)},
                     {"connected", core_.connected(node.name)}});
  const nlohmann::json status = {{"name", settings_.name},
                                 {"endpoint", endpoint()},
                                 {"pid", ::getpid()},
                                 {"map_version", reads_.map_version()},
                                 {"map_reachable", map_client_->reachable(now)},
                                 {"map_endpoint", map_endpoint()},
                                 {"map_endpoints", endpoints_of_map(settings_, map_endpoint())},
                                 {"insecure_network", settings_.insecure_network},
                                 {"nodes", std::move(nodes)},
                                 {"counters",
                                  {{"requests_forwarded", c.requests_forwarded},
                                   {"replies_forwarded", c.replies_forwarded},
                                   {"busy_no_executor", c.busy_no_executor},
                                   {"busy_not_connected", c.busy_not_connected},
                                   {"busy_full", c.busy_full},
                                   {"busy_lost", c.busy_lost},
                                   {"not_executor_replies", c.not_executor_replies},
                                   {"refused_requests", c.refused_requests},
                                   {"undeliverable_replies", c.undeliverable_replies},
                                   {"map_reads", c.map_reads},
                                   {"status_requests", c.status_requests},
                                   {"dropped_malformed", c.dropped_malformed}}}};
  return status.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pairfs
