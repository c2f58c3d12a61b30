// A router with real sockets, between a client and nodes that the test plays.
#include <doctest/doctest.h>

#include <random>

#include "common/codec.h"
#include "common/map_store.h"
#include "test/support/raw_socket.h"
#include "test/support/router_thread.h"
#include "test/support/temporary_directory.h"

using namespace pairfs;
using namespace pairfs::test;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCluster = 77;

template <class Condition>
bool eventually(Condition&& condition, Duration limit = 15s) {
  const Instant end = boot_now() + limit;
  while (!condition()) {
    if (boot_now() > end) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// One router that holds the map, two nodes of one pair, a volume at home on each: slices below 2048
// are on 1.0, the others on 1.1.
class Cluster {
 public:
  explicit Cluster(std::vector<std::string> more_map_endpoints = {})
      : router(context, kCluster, directory.file("map"), std::move(more_map_endpoints)),
        a(Socket::server(context, "tcp://127.0.0.1:*")),
        b(Socket::server(context, "tcp://127.0.0.1:*")),
        map_(Socket::client(context, router.map_endpoint())),
        client(Socket::client(context, router.endpoint())) {
    ClusterMap map;
    map.cluster_id = kCluster;
    PairInfo pair;
    pair.id = 1;
    for (const auto& [name, socket] : {std::pair{"1a", &a}, std::pair{"1b", &b}}) {
      NodeInfo node;
      node.name = BytesView(name);
      node.endpoint = BytesView(socket->endpoint());
      pair.nodes.push_back(node);
    }
    for (uint16_t index : {0, 1}) {
      VolumeInfo volume;
      volume.id = {1, index};
      pair.volumes.push_back(volume);
      map.slices.push_back({static_cast<Slice>(index * 2048), 2048, volume.id});
    }
    map.pairs.push_back(pair);
    swap(kClusterKey, 0, encode(map));
    set_executor({1, 0}, 0, "1a");
    set_executor({1, 1}, 0, "1b");
  }

  void swap(const std::string& key, uint64_t expected, const Bytes& value) {
    MapSwap request;
    request.key = key;
    request.expected_version = expected;
    request.value = value;
    MessageHeader h;
    h.op = MapSwap::kOp;
    h.cluster_id = kCluster;
    REQUIRE(eventually(
        [&] { return map_.send({}, SharedBytes::from(make_head(h, encode(request)))); }));
    std::optional<Message> answer;
    REQUIRE(eventually([&] { return (answer = map_.receive()).has_value(); }));
    const auto parsed = parse_head(answer->head.view(), nullptr);
    REQUIRE(parsed.has_value());
    const auto reply = decode<MapSwapReply>(parsed->body);
    REQUIRE(reply.has_value());
    REQUIRE(reply->swapped);
  }
  void set_executor(VolumeId volume, uint64_t expected, const char* node) {
    VolumeRecord record;
    record.epoch = expected + 1;
    record.executor.name = BytesView(node);
    swap(volume_key(volume), expected, encode(record));
  }

  // Sends a command without waiting; false when the router does not take it.
  bool send(Slice slice, uint64_t sequence, const SharedBytes& bulk = {}) {
    MessageHeader h;
    h.op = Write::kOp;
    h.cluster_id = kCluster;
    h.slice = slice;
    h.request = {9, 1, sequence};
    h.bulk_length = static_cast<uint32_t>(bulk.size());
    return client.send({}, SharedBytes::from(make_head(h, "body")), bulk);
  }
  std::optional<MessageHeader> reply(Duration limit = 15s, Message* whole = nullptr) {
    std::optional<Message> message;
    if (!eventually([&] { return (message = client.receive()).has_value(); }, limit)) return {};
    if (whole != nullptr) *whole = *message;
    const auto parsed = parse_head(message->head.view(), nullptr);
    REQUIRE(parsed.has_value());
    return parsed->header;
  }
  // Sends until the node receives one, as the router learns of map and connections by and by.
  Message send_until_at(Socket& node, Slice slice) {
    std::optional<Message> got;
    REQUIRE(eventually([&] {
      send(slice, ++sequence_);
      reply(5ms);
      while (auto message = node.receive()) got = std::move(message);
      return got.has_value();
    }));
    eventually([&] { return !reply(20ms).has_value(); });
    return *got;
  }
  static void answer(Socket& node, const Message& request, ReplyStatus status,
                     const std::string& bulk = "") {
    MessageHeader h = parse_head(request.head.view(), nullptr)->header;
    h.flags = kFlagReply;
    h.status = status;
    h.bulk_length = static_cast<uint32_t>(bulk.size());
    REQUIRE(node.send(request.envelope, SharedBytes::from(make_head(h, "done")),
                      bulk.empty() ? SharedBytes() : SharedBytes::from(bulk)));
  }
  static std::optional<Message> next_at(Socket& node) {
    std::optional<Message> message;
    eventually([&] { return (message = node.receive()).has_value(); });
    return message;
  }

  Context context;
  TemporaryDirectory directory;
  RouterThread router;
  Socket a, b;

 private:
  Socket map_;
  uint64_t sequence_ = 1000;

 public:
  Socket client;
};

}  // namespace

TEST_CASE("a command reaches its executor, and the reply its client, with their bulk data") {
  Cluster cluster;
  cluster.send_until_at(cluster.a, 0);
  cluster.send_until_at(cluster.b, 4095);
  const std::string megabyte(1 << 20, 'w');
  REQUIRE(cluster.send(4095, 1, SharedBytes::from(megabyte)));
  const auto at_node = Cluster::next_at(cluster.b);
  REQUIRE(at_node.has_value());
  CHECK(at_node->bulk.view() == megabyte);
  const auto parsed = parse_head(at_node->head.view(), nullptr);
  REQUIRE(parsed.has_value());
  CHECK(parsed->body == "body");
  CHECK(parsed->header.volume == VolumeId{1, 1});
  CHECK(parsed->header.epoch == 1);
  Cluster::answer(cluster.b, *at_node, ReplyStatus::kOutcome, std::string(1 << 20, 'r'));
  Message whole;
  const auto reply = cluster.reply(15s, &whole);
  REQUIRE(reply.has_value());
  CHECK(reply->request == RequestId{9, 1, 1});
  CHECK(whole.bulk.view() == std::string(1 << 20, 'r'));
}

TEST_CASE(
    "after a change of the map commands go to the new executor, and those who wait are told") {
  Cluster cluster;
  cluster.send_until_at(cluster.a, 0);
  cluster.send_until_at(cluster.b, 4095);
  REQUIRE(cluster.send(0, 1));
  REQUIRE(Cluster::next_at(cluster.a).has_value());
  const Instant start = boot_now();
  cluster.set_executor({1, 0}, 1, "1b");
  auto told = cluster.reply(), noticed = cluster.reply();
  REQUIRE(told.has_value());
  REQUIRE(noticed.has_value());
  if (told->op == EpochNotice::kOp) std::swap(told, noticed);
  CHECK(told->status == ReplyStatus::kBusy);
  CHECK(told->request.sequence == 1);
  CHECK(noticed->op == EpochNotice::kOp);
  CHECK(noticed->volume == VolumeId{1, 0});
  CHECK(noticed->epoch == 2);
  CHECK(boot_now() - start < 200ms);
  REQUIRE(cluster.send(0, 1));
  const auto retried = Cluster::next_at(cluster.b);
  REQUIRE(retried.has_value());
  CHECK(parse_head(retried->head.view(), nullptr)->header.epoch == 2);
}

TEST_CASE("who waits for a node that dies is told at once") {
  Cluster cluster;
  cluster.send_until_at(cluster.a, 0);
  REQUIRE(cluster.send(0, 1));
  REQUIRE(Cluster::next_at(cluster.a).has_value());
  { const Socket dead = std::move(cluster.a); }
  const auto told = cluster.reply();
  REQUIRE(told.has_value());
  CHECK(told->status == ReplyStatus::kBusy);
  REQUIRE(eventually([&] {
    cluster.send(0, 2);
    const auto reply = cluster.reply();
    return reply && reply->status == ReplyStatus::kBusy;
  }));
}

TEST_CASE("a node that does not read slows nobody else, and its commands are refused") {
  Cluster cluster;
  cluster.send_until_at(cluster.a, 0);
  cluster.send_until_at(cluster.b, 4095);
  const SharedBytes megabyte = SharedBytes::from(std::string(1 << 20, 'w'));
  uint64_t sequence = 0;
  REQUIRE(eventually(
      [&] {
        for (int i = 0; i < 16; ++i) cluster.send(0, ++sequence, megabyte);
        bool refused = false;
        while (auto message = cluster.client.receive())
          refused |= parse_head(message->head.view(), nullptr)->header.status == ReplyStatus::kBusy;
        return refused;
      },
      60s));
  const Instant start = boot_now();
  REQUIRE(eventually([&] { return cluster.send(4095, 1'000'000); }));
  REQUIRE(eventually([&] {
    cluster.client.work();  // what waits in it goes on
    return cluster.b.receive().has_value();
  }));
  CHECK(boot_now() - start < 2s);
}

TEST_CASE("garbage on any of its ports does not stop a router") {
  Cluster cluster;
  cluster.send_until_at(cluster.a, 0);
  std::mt19937_64 random(1);
  for (const std::string& port : {cluster.router.endpoint(), cluster.router.map_endpoint()}) {
    Socket stranger = Socket::client(cluster.context, port);
    for (int i = 0; i < 300; ++i) {
      Bytes garbage(random() % 300, '\0');
      for (char& c : garbage) c = static_cast<char>(random());
      RawSocket::connect(port).send(garbage);
      MessageHeader h;
      h.op = static_cast<uint16_t>(random() % 256);
      h.cluster_id = i % 2 == 0 ? kCluster : 0;
      h.slice = static_cast<Slice>(random() % kSliceCount);
      stranger.send({}, SharedBytes::from(i % 3 == 0 ? garbage : make_head(h, garbage)));
      while (stranger.receive()) {
      }
    }
  }
  // Also from a node.
  const Message request = cluster.send_until_at(cluster.a, 0);
  CHECK(cluster.a.send(request.envelope, SharedBytes::from("garbage")));
  CHECK(cluster.a.send({request.envelope[0]}, SharedBytes::from("garbage")));
  Cluster::answer(cluster.a, cluster.send_until_at(cluster.a, 0), ReplyStatus::kOutcome);
  CHECK(cluster.reply().has_value());
}

TEST_CASE("a second router goes on with its copy when the map is gone, and says so") {
  Context context;
  TemporaryDirectory directory;
  auto cluster = std::make_unique<Cluster>();
  RouterThread second(context, kCluster, "", {cluster->router.map_endpoint()});
  Socket client = Socket::client(context, second.endpoint());
  const auto status = [&] {
    MessageHeader h;
    h.op = RouterStatus::kOp;
    std::optional<Message> answer;
    REQUIRE(eventually([&] { return client.send({}, SharedBytes::from(make_head(h, {}))); }));
    REQUIRE(eventually([&] { return (answer = client.receive()).has_value(); }));
    const auto reply = decode<AdminReply>(parse_head(answer->head.view(), nullptr)->body);
    REQUIRE(reply.has_value());
    CHECK(reply->ok);
    return std::string(reply->json);
  };
  const auto says = [&](const char* what) {
    return eventually([&] { return status().find(what) != std::string::npos; });
  };
  CHECK(says("\"map_version\":3"));
  CHECK(says("\"map_reachable\":true"));
  cluster.reset();
  CHECK(says("\"map_reachable\":false"));
  CHECK(says("\"map_version\":3"));
}
