// The contract of the map store, as a MapClient sees it, over real sockets: of the embedded store,
// and with --all of a real ZooKeeper server.
#include <doctest/doctest.h>

#include "common/ensure.h"
#include "test/support/router_thread.h"
#include "test/support/temporary_directory.h"
#include "test/support/zookeeper_server.h"

using namespace pairfs;
using namespace pairfs::test;
using namespace std::chrono_literals;

namespace {

constexpr uint64_t kCluster = 77;

// A client with a loop of its own.
class Client {
 public:
  Client(Context& context, const std::vector<std::string>& endpoints, uint64_t cluster = kCluster)
      : map(make_map_client(context, endpoints, cluster)) {
    map->add_to(poller_);
  }

  template <class Condition>
  bool run_until(Condition&& condition, Duration limit = 10s) {
    const Instant end = boot_now() + limit;
    for (;;) {
      const Instant now = boot_now();
      map->step(now);
      if (condition()) return true;
      if (now >= end) return false;
      poller_.wait(std::clamp<Duration>(map->next_wake() - now, 0ms, end - now));
    }
  }

  MapClient::SwapOutcome swap(const std::string& key, uint64_t expected, const std::string& value,
                              Duration timeout = 10s, MapEntry* current = nullptr) {
    std::optional<MapClient::SwapOutcome> outcome;
    map->swap(request(key, expected, value), timeout, [&](auto result, const MapEntry& entry) {
      outcome = result;
      if (current != nullptr) *current = entry;
    });
    ENSURE(run_until([&] { return outcome.has_value(); }, 20s), "a swap was never answered");
    return *outcome;
  }

  static MapSwap request(const std::string& key, uint64_t expected, const std::string& value) {
    MapSwap out;
    out.key = key;
    out.expected_version = expected;
    out.value = value;
    return out;
  }

  std::string value(const std::string& key) const {
    const MapEntry* entry = map->find(key);
    return entry == nullptr ? "(absent)" : std::string(entry->value);
  }

  const std::unique_ptr<MapClient> map;

 private:
  Poller poller_;
};

using Outcome = MapClient::SwapOutcome;

// The embedded store, behind a router.
class FileWorld {
 public:
  static bool available() { return true; }
  FileWorld() { start(); }
  std::vector<std::string> endpoints() const { return {listen_}; }
  std::vector<std::string> absent() const { return {"ipc://" + directory_.file("nobody")}; }
  void start() {
    router_ = std::make_unique<RouterThread>(context, kCluster, directory_.file("map"),
                                             std::vector<std::string>{}, listen_);
  }
  void stop() { router_.reset(); }

  Context context;

 private:
  TemporaryDirectory directory_;
  const std::string listen_ = "ipc://" + directory_.file("map.sock");
  std::unique_ptr<RouterThread> router_;
};

// One server for all tests of the process, a directory in it for each.
class ZooKeeperWorld {
 public:
  static bool available() { return ZooKeeperServer::available(); }
  ZooKeeperWorld() : directory_("/tests/number-" + std::to_string(++count_)) {}
  std::vector<std::string> endpoints() const { return {server().endpoint(directory_)}; }
  std::vector<std::string> absent() const { return {"zookeeper://127.0.0.1:1/nobody"}; }
  void start() { server().start(); }
  void stop() { server().stop(); }

  Context context;

 private:
  static ZooKeeperServer& server() {
    static ZooKeeperServer only;
    return only;
  }
  static inline int count_ = 0;
  const std::string directory_;
};

#define MAP_TEST_CASE(name, in_world)                                   \
  TEST_CASE_TEMPLATE(name, World, FileWorld, ZooKeeperWorld) {          \
    if (!World::available()) {                                          \
      MESSAGE("left out: no ZooKeeper server here, or not with --all"); \
      return;                                                           \
    }                                                                   \
    World world;                                                        \
    in_world(world);                                                    \
  }

}  // namespace

template <class World>
void swaps_compare_versions(World& world) {
  Client client(world.context, world.endpoints());
  MapEntry current;
  CHECK(client.swap("a", 0, "one") == Outcome::kSwapped);
  CHECK(client.value("a") == "one");
  CHECK(client.swap("a", 0, "two", 10s, &current) == Outcome::kConflict);
  CHECK(current.value == "one");
  CHECK(current.version == 1);
  CHECK(client.swap("a", 1, "two") == Outcome::kSwapped);
  CHECK(client.swap("a", 1, "three", 10s, &current) == Outcome::kConflict);
  CHECK(current.version == 2);
  CHECK(client.swap("volume/1.0", 5, "x", 10s, &current) == Outcome::kConflict);
  CHECK(current.version == 0);
  CHECK(client.value("a") == "two");
  CHECK(client.run_until([&] { return client.map->map_version() == 2; }));
  CHECK(client.map->reachable(boot_now()));
  CHECK(client.swap("volume/1.0", 0, "%/odd") == Outcome::kSwapped);
  Client other(world.context, world.endpoints(), 0);  // one that does not know the cluster yet
  CHECK(other.run_until([&] { return other.map->map_version() == 3; }));
  CHECK(other.value("volume/1.0") == "%/odd");
  CHECK(other.map->entries().size() == 2);
}

template <class World>
void changes_reach_others(World& world) {
  Client writer(world.context, world.endpoints());
  Client watcher(world.context, world.endpoints());
  int changes = 0;
  watcher.map->on_change = [&] { ++changes; };
  CHECK(writer.swap("a", 0, "one") == Outcome::kSwapped);
  CHECK(watcher.run_until([&] { return watcher.value("a") == "one"; }));
  CHECK(changes == 1);
  for (uint64_t version = 1; version <= 5; ++version) {
    const std::string value = "value " + std::to_string(version);
    CHECK(writer.swap("a", version, value) == Outcome::kSwapped);
    CHECK(watcher.run_until([&] { return watcher.value("a") == value; }));
  }
}

template <class World>
void one_swap_wins_each_version(World& world) {
  std::atomic<int> won{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Client client(world.context, world.endpoints());
      for (uint64_t version = 0; version < 25;) {
        MapEntry current;
        if (client.swap("a", version, std::to_string(t), 10s, &current) == Outcome::kSwapped) ++won;
        version = current.version;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(won == 25);
  Client reader(world.context, world.endpoints());
  CHECK(reader.run_until([&] { return reader.map->map_version() == 25; }));
}

template <class World>
void restarts_lose_nothing(World& world) {
  Client client(world.context, world.endpoints());
  CHECK(client.swap("a", 0, "one") == Outcome::kSwapped);
  world.stop();
  CHECK(client.run_until([&] { return !client.map->reachable(boot_now()); }));
  CHECK(client.value("a") == "one");

  // A swap that could not be sent waits for the store within its time.
  std::optional<Outcome> outcome;
  client.map->swap(Client::request("a", 1, "two"), 60s, [&](auto o, const auto&) { outcome = o; });
  CHECK_FALSE(client.run_until([&] { return outcome.has_value(); }, 100ms));
  world.start();
  CHECK(client.run_until([&] { return outcome.has_value(); }, 60s));
  CHECK(*outcome == Outcome::kSwapped);
  CHECK(client.value("a") == "two");
  CHECK(client.run_until([&] { return client.map->reachable(boot_now()); }));
}

template <class World>
void an_absent_store_leaves_swaps_unknown(World& world) {
  Client client(world.context, world.absent());
  CHECK(client.swap("a", 0, "one", 50ms) == Outcome::kUnknown);
  CHECK_FALSE(client.map->known());
  CHECK_FALSE(client.map->reachable(boot_now()));
}

template <class World>
void other_clusters_are_answered_nothing(World& world) {
  Client right(world.context, world.endpoints());
  CHECK(right.swap("a", 0, "one") == Outcome::kSwapped);
  Client client(world.context, world.endpoints(), kCluster + 1);
  CHECK(client.swap("a", 0, "one", 200ms) == Outcome::kUnknown);
  CHECK(client.swap("a", 1, "two", 200ms) == Outcome::kUnknown);
  CHECK_FALSE(client.map->known());
  CHECK(right.swap("a", 1, "two") == Outcome::kSwapped);
}

MAP_TEST_CASE("a swap takes effect when the version is the expected one, and else tells the record",
              swaps_compare_versions)
MAP_TEST_CASE("a change reaches the other clients", changes_reach_others)
MAP_TEST_CASE("of many clients that swap one record, one wins each version",
              one_swap_wins_each_version)
MAP_TEST_CASE("what was swapped is there after a restart, and the clients go on",
              restarts_lose_nothing)
MAP_TEST_CASE("a store that is not there leaves a swap unknown when its time is over",
              an_absent_store_leaves_swaps_unknown)
MAP_TEST_CASE("another cluster is answered nothing", other_clusters_are_answered_nothing)

TEST_CASE("the embedded store tells a change at once, and so does a router of its copy") {
  Context context;
  TemporaryDirectory directory;
  RouterThread router(context, kCluster, directory.file("map"));
  Client writer(context, {router.map_endpoint()});
  Client watcher(context, {router.map_endpoint()});
  Client stranger(context, {router.endpoint()}, 0);  // of a client that knows nothing yet
  int changes = 0;
  watcher.map->on_change = [&] { ++changes; };
  CHECK(writer.swap("a", 0, "one") == Outcome::kSwapped);
  CHECK(watcher.run_until([&] { return watcher.value("a") == "one"; }));
  CHECK(changes == 1);
  const Instant start = boot_now();
  CHECK(writer.swap("a", 1, "two") == Outcome::kSwapped);
  CHECK(watcher.run_until([&] { return watcher.value("a") == "two"; }));
  CHECK(boot_now() - start < 400ms);  // sooner than a watch runs out
  CHECK(changes == 2);
  CHECK(stranger.run_until([&] { return stranger.value("a") == "two"; }));
}

TEST_CASE("the next endpoint is tried when one is silent") {
  Context context;
  TemporaryDirectory directory;
  RouterThread router(context, kCluster, directory.file("map"));
  Client client(context, {"ipc://" + directory.file("nobody"), router.map_endpoint()});
  CHECK(client.swap("a", 0, "one") == Outcome::kSwapped);
  Socket silent = Socket::server(context, "tcp://127.0.0.1:*");
  Client other(context, {silent.endpoint(), router.map_endpoint()});
  CHECK(other.swap("a", 1, "two") == Outcome::kSwapped);
}
