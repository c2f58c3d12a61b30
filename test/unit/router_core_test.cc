#include "router/router_core.h"

#include <doctest/doctest.h>

#include "common/commands.h"
#include "common/messages.h"

using namespace pairfs;

namespace {

constexpr uint64_t kCluster = 5;
using Act = RouterCore::Decision::Kind;

NodeInfo node(const char* name) {
  NodeInfo info;
  info.name = BytesView(name);
  info.endpoint = BytesView("tcp://127.0.0.1:1");
  return info;
}

ClusterMap two_pairs() {
  ClusterMap map;
  map.cluster_id = kCluster;
  for (uint16_t id : {1, 2}) {
    PairInfo pair;
    pair.id = id;
    pair.nodes.push_back(node((std::to_string(id) + "a").c_str()));
    pair.nodes.push_back(node((std::to_string(id) + "b").c_str()));
    VolumeInfo volume;
    volume.id = {id, 0};
    pair.volumes.push_back(volume);
    map.pairs.push_back(pair);
  }
  map.slices.push_back({0, 2000, {1, 0}});
  map.slices.push_back({2000, 96, {2, 0}});
  map.slices.push_back({3000, 65536, {2, 0}});  // longer than there are slices
  map.slices.push_back({2500, 1, {9, 0}});      // no such volume
  return map;
}

std::optional<VolumeRecord> record(const char* executor, Epoch epoch) {
  VolumeRecord out;
  out.epoch = epoch;
  out.executor.name = BytesView(executor);
  return out;
}

RouterCore ready_router() {
  RouterCore core(kCluster);
  core.on_map(RoutingTable(
      two_pairs(), [](VolumeId id) { return id.pair == 1 ? record("1b", 7) : record("2a", 3); }));
  core.on_link("1b", true);
  return core;
}

Bytes request(uint16_t op, Slice slice, uint64_t cluster = kCluster, uint16_t flags = 0) {
  MessageHeader h;
  h.op = op;
  h.slice = slice;
  h.cluster_id = cluster;
  h.flags = flags;
  h.request = {1, 2, 3};
  h.trace_id = 4;
  h.bulk_length = 100;
  return make_head(h, "the body");
}

MessageHeader header_of(BytesView frame) {
  const auto parsed = parse_head(frame, nullptr);
  REQUIRE(parsed.has_value());
  return parsed->header;
}

}  // namespace

TEST_CASE("a command goes to its volume's executor, with volume and epoch filled in") {
  RouterCore core = ready_router();
  const auto decision = core.on_client({"client"}, request(Write::kOp, 1999));
  REQUIRE(decision.kind == Act::kForward);
  CHECK(decision.node == "1b");
  const auto onward = parse_head(decision.head, nullptr);
  REQUIRE(onward.has_value());
  CHECK(onward->body == "the body");
  CHECK(onward->header.volume == VolumeId{1, 0});
  CHECK(onward->header.epoch == 7);
  CHECK(onward->header.slice == 1999);
  CHECK(onward->header.request == RequestId{1, 2, 3});
  CHECK(onward->header.trace_id == 4);
  CHECK(onward->header.bulk_length == 100);
  CHECK(core.counters().requests_forwarded == 1);
}

TEST_CASE("without somebody to execute it, a command is answered busy at once") {
  RouterCore core = ready_router();
  const auto busy = [&](Slice slice) {
    const auto decision = core.on_client({"client"}, request(Lookup::kOp, slice));
    REQUIRE(decision.kind == Act::kReply);
    const MessageHeader reply = header_of(decision.head);
    CHECK(reply.status == ReplyStatus::kBusy);
    CHECK((reply.flags & kFlagReply) != 0);
    CHECK(reply.op == Lookup::kOp);
    CHECK(reply.request == RequestId{1, 2, 3});
    CHECK(reply.bulk_length == 0);
  };
  busy(2000);  // its node is not connected
  CHECK(core.counters().busy_not_connected == 1);
  busy(2500);  // the slice is on no volume
  CHECK(core.counters().busy_no_executor == 1);
  busy(4095);  // the last slice of a range that goes too far
  CHECK(core.counters().busy_not_connected == 2);
  core.on_link("1b", false);
  busy(0);

  const auto forwarded = ready_router().on_client({"client"}, request(Lookup::kOp, 0));
  CHECK(header_of(core.on_forward_refused(forwarded)).status == ReplyStatus::kBusy);
  CHECK(core.counters().busy_full == 1);

  RouterCore without_map(kCluster);
  CHECK(header_of(without_map.on_client({"client"}, request(Lookup::kOp, 0)).head).status ==
        ReplyStatus::kBusy);
}

TEST_CASE("an executor that is not of the volume's pair routes nowhere") {
  RouterCore core(kCluster);
  core.on_map(RoutingTable(two_pairs(), [](VolumeId) { return record("2a", 3); }));
  core.on_link("2a", true);
  CHECK(core.on_client({"client"}, request(Lookup::kOp, 0)).kind == Act::kReply);
  CHECK(core.on_client({"client"}, request(Lookup::kOp, 2000)).kind == Act::kForward);
}

TEST_CASE("no client may send what only nodes issue, nor speak for another cluster") {
  RouterCore core = ready_router();
  for (const Bytes& bad : {request(BeginEpoch::kOp, 0), request(60000, 0), request(kLinkOp, 0),
                           request(MapSwap::kOp, 0), request(Lookup::kOp, 0, 6),
                           request(MapRead::kOp, 0, 6), request(Lookup::kOp, 0, 0)}) {
    const auto decision = core.on_client({"client"}, bad);
    REQUIRE(decision.kind == Act::kReply);
    CHECK(header_of(decision.head).status == ReplyStatus::kBadRequest);
  }
  CHECK(core.counters().refused_requests == 7);
  CHECK(core.on_client({"client"}, request(Lookup::kOp, 0, kCluster, kFlagReply)).kind ==
        Act::kDrop);
  CHECK(core.on_client({"client"}, "garbage").kind == Act::kDrop);
  CHECK(core.counters().dropped_malformed == 2);
}

TEST_CASE("the map and the status are answered here, also to who does not know the cluster yet") {
  RouterCore core = ready_router();
  CHECK(core.on_client({"client"}, request(MapRead::kOp, 0)).kind == Act::kMapRead);
  CHECK(core.on_client({"client"}, request(MapRead::kOp, 0, 0)).kind == Act::kMapRead);
  CHECK(core.on_client({"client"}, request(RouterStatus::kOp, 0, 0)).kind == Act::kStatus);
  CHECK(core.counters().map_reads == 2);
}

TEST_CASE("replies pass, and one of a wrong executor makes the router read the map") {
  RouterCore core = ready_router();
  MessageHeader h;
  h.op = Lookup::kOp;
  h.cluster_id = kCluster;
  h.flags = kFlagReply;
  CHECK(core.on_node("1b", make_head(h, "x")).to_client);
  CHECK_FALSE(core.on_node("1b", make_head(h, "x")).refresh_map);
  h.status = ReplyStatus::kNotExecutor;
  CHECK(core.on_node("1b", make_head(h, "")).to_client);
  CHECK(core.on_node("1b", make_head(h, "")).refresh_map);
  h.cluster_id = 6;
  CHECK_FALSE(core.on_node("1b", make_head(h, "")).to_client);
  h.cluster_id = kCluster;
  h.flags = 0;
  CHECK_FALSE(core.on_node("1b", make_head(h, "")).to_client);
  CHECK_FALSE(core.on_node("1b", "x").to_client);
  CHECK(core.counters().dropped_malformed == 3);
}

TEST_CASE("who waits for a node that is lost or deposed is told at once, and nobody else") {
  RouterCore core = ready_router();
  core.on_link("2a", true);
  MessageHeader h;
  h.op = Lookup::kOp;
  h.cluster_id = kCluster;
  for (uint64_t sequence = 1; sequence <= 4; ++sequence) {
    h.request = {1, 2, sequence};
    h.slice = sequence == 4 ? 2000 : 0;
    CHECK(core.on_client({"client " + std::to_string(sequence)}, make_head(h, {})).kind ==
          Act::kForward);
  }
  h.flags = kFlagReply;
  h.request.sequence = 2;
  CHECK(core.on_node("1b", make_head(h, {})).to_client);

  auto refusals = core.on_link("1b", false);
  REQUIRE(refusals.size() == 2);
  for (const auto& refusal : refusals) {
    const MessageHeader reply = header_of(refusal.head);
    CHECK(reply.status == ReplyStatus::kBusy);
    CHECK(refusal.envelope ==
          std::vector<Bytes>{"client " + std::to_string(reply.request.sequence)});
  }
  CHECK(core.on_link("1b", false).empty());

  const auto map_with = [](const char* executor) {
    return RoutingTable(two_pairs(), [=](VolumeId) { return record(executor, 3); });
  };
  CHECK(core.on_map(map_with("2a")).empty());
  refusals = core.on_map(map_with("2b"));
  REQUIRE(refusals.size() == 1);
  CHECK(header_of(refusals[0].head).request.sequence == 4);
  CHECK(core.counters().busy_lost == 3);
}

TEST_CASE("requests that are never answered do not add up") {
  InFlight requests;
  MessageHeader h;
  for (uint64_t i = 0; i < 5 * InFlight::kGenerationMax; ++i) {
    h.request = {1, 2, i};
    requests.add({"client"}, h);
    REQUIRE(requests.size() <= 2 * InFlight::kGenerationMax);
  }
  requests.remove(h.request);
  const size_t before = requests.size();
  CHECK(requests.take_if([](const MessageHeader&) { return true; }).size() == before);
  CHECK(requests.size() == 0);
}

TEST_CASE("clients that were heard of lately are told when another executor serves a volume") {
  RouterCore core = ready_router();
  core.on_client({"client"}, request(Lookup::kOp, 0));
  const auto map_with = [](Epoch first, Epoch second) {
    return RoutingTable(two_pairs(), [=](VolumeId id) {
      return id.pair == 1 ? record("1b", first) : record("2a", second);
    });
  };
  CHECK(core.on_map(map_with(7, 3)).empty());
  const auto notices = core.on_map(map_with(8, 3));
  REQUIRE(notices.size() == 1);
  CHECK(notices[0].envelope == std::vector<Bytes>{"client"});
  const MessageHeader notice = header_of(notices[0].head);
  CHECK(notice.op == EpochNotice::kOp);
  CHECK(notice.volume == VolumeId{1, 0});
  CHECK(notice.epoch == 8);
  CHECK(notice.request.session == 1);
  CHECK((notice.flags & kFlagReply) != 0);
  CHECK(core.on_map(map_with(8, 3)).empty());
}

TEST_CASE("a recall passes like a reply") {
  RouterCore core = ready_router();
  CHECK(core.on_node("1b", request(Recall::kOp, 0, kCluster, kFlagReply)).to_client);
}
