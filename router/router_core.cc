#include "router/router_core.h"

#include <utility>

#include "common/commands.h"
#include "common/messages.h"

namespace pairfs {
namespace {

bool may_come_from_client(uint16_t op) {
  bool allowed = false;
  visit_command_type(
      op, [&]<class C>(std::type_identity<C>) { allowed = C::kKind != Kind::kInternal; });
  return allowed;
}

}  // namespace

Bytes make_refusal(const MessageHeader& request, uint64_t cluster_id, ReplyStatus status) {
  MessageHeader reply;
  reply.op = request.op;
  reply.flags = kFlagReply;
  reply.status = status;
  reply.slice = request.slice;
  reply.volume = request.volume;
  reply.epoch = request.epoch;
  reply.cluster_id = cluster_id;
  reply.request = request.request;
  reply.trace_id = request.trace_id;
  return make_head(reply, {});
}

RouterCore::Decision RouterCore::on_client(const std::vector<Bytes>& envelope, BytesView head) {
  Decision decision;
  HeaderError error{};
  const auto parsed = parse_head(head, &error);
  if (!parsed) {
    ++counters_.dropped_malformed;
    decision.why = to_string(error);
    return decision;
  }
  decision.header = parsed->header;
  decision.body = parsed->body;
  const MessageHeader& header = decision.header;
  if ((header.flags & kFlagReply) != 0) {
    ++counters_.dropped_malformed;
    decision.why = "a reply from a client";
    return decision;
  }
  const bool asks_router = header.op == MapRead::kOp || header.op == RouterStatus::kOp;
  // Who only knows a router's address learns the cluster's id from it.
  const bool same_cluster =
      header.cluster_id == cluster_id_ || (asks_router && header.cluster_id == 0);
  if (same_cluster && asks_router) {
    ++(header.op == MapRead::kOp ? counters_.map_reads : counters_.status_requests);
    decision.kind = header.op == MapRead::kOp ? Decision::Kind::kMapRead : Decision::Kind::kStatus;
    return decision;
  }
  if (!same_cluster || !may_come_from_client(header.op)) {
    ++counters_.refused_requests;
    decision.kind = Decision::Kind::kReply;
    decision.head = make_refusal(header, cluster_id_, ReplyStatus::kBadRequest);
    return decision;
  }
  return route(envelope, std::move(decision));
}

RouterCore::Decision RouterCore::route(const std::vector<Bytes>& envelope, Decision decision) {
  const Route* route = table_.find(decision.header.slice);
  const bool known = route != nullptr && !route->executor.empty();
  if (!known || !connected(route->executor)) {
    ++(known ? counters_.busy_not_connected : counters_.busy_no_executor);
    decision.kind = Decision::Kind::kReply;
    decision.head = make_refusal(decision.header, cluster_id_, ReplyStatus::kBusy);
    return decision;
  }
  MessageHeader onward = decision.header;
  onward.volume = route->volume;
  onward.epoch = route->epoch;
  in_flight_[route->executor].add(envelope, decision.header);
  clients_.heard(decision.header.request.session, envelope);
  ++counters_.requests_forwarded;
  decision.kind = Decision::Kind::kForward;
  decision.node = route->executor;
  decision.head = make_head(onward, decision.body);
  return decision;
}

Bytes RouterCore::on_forward_refused(const Decision& forward) {
  in_flight_[forward.node].remove(forward.header.request);
  --counters_.requests_forwarded;
  ++counters_.busy_full;
  return make_refusal(forward.header, cluster_id_, ReplyStatus::kBusy);
}

RouterCore::NodeDecision RouterCore::on_node(const std::string& node, BytesView head) {
  NodeDecision decision;
  HeaderError error{};
  const auto parsed = parse_head(head, &error);
  if (!parsed) {
    decision.why = to_string(error);
  } else if ((parsed->header.flags & kFlagReply) == 0) {
    decision.why = "a request from a node";
  } else if (parsed->header.cluster_id != cluster_id_) {
    decision.why = "a node of another cluster";
  } else {
    decision.to_client = true;
    in_flight_[node].remove(parsed->header.request);
    ++counters_.replies_forwarded;
    if (parsed->header.status == ReplyStatus::kNotExecutor) {
      decision.refresh_map = true;
      ++counters_.not_executor_replies;
    }
    return decision;
  }
  ++counters_.dropped_malformed;
  return decision;
}

// A lost notice costs time only: the client learns it from the executor's next answer.
void RouterCore::tell_epochs(const RoutingTable& before, std::vector<Refusal>* out) const {
  for (const Route& route : table_.routes()) {
    const Epoch known = before.epoch_of(route.volume);
    if (known == 0 || route.epoch <= known || route.executor.empty()) continue;
    MessageHeader notice;
    notice.op = EpochNotice::kOp;
    notice.flags = kFlagReply;
    notice.volume = route.volume;
    notice.epoch = route.epoch;
    notice.cluster_id = cluster_id_;
    notice.request.slot = kUnslotted;
    clients_.for_each([&](SessionId session, const std::vector<Bytes>& envelope) {
      notice.request.session = session;
      out->push_back({envelope, make_head(notice, {})});
    });
  }
}

std::vector<RouterCore::Refusal> RouterCore::on_map(RoutingTable table) {
  const RoutingTable before = std::exchange(table_, std::move(table));
  std::vector<Refusal> out;
  tell_epochs(before, &out);
  for (auto& [name, requests] : in_flight_) {
    const std::string& node = name;
    refuse(requests.take_if([this, &node](const MessageHeader& header) {
      const Route* route = table_.find(header.slice);
      return route == nullptr || route->executor != node;
    }),
           &out);
  }
  return out;
}

std::vector<RouterCore::Refusal> RouterCore::on_link(const std::string& node, bool is_connected) {
  std::vector<Refusal> out;
  if (is_connected) {
    connected_.insert(node);
  } else {
    connected_.erase(node);
    refuse(in_flight_[node].take_if([](const MessageHeader&) { return true; }), &out);
  }
  return out;
}

void RouterCore::refuse(std::vector<InFlight::Request> requests, std::vector<Refusal>* out) {
  counters_.busy_lost += requests.size();
  for (InFlight::Request& request : requests)
    out->push_back({std::move(request.envelope),
                    make_refusal(request.header, cluster_id_, ReplyStatus::kBusy)});
}

}  // namespace pairfs
