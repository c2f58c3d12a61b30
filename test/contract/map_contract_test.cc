// The contract of the map store, as a MapClient sees it, over real sockets and the file store.
#include <doctest/doctest.h>

#include "common/ensure.h"
#include "test/support/router_thread.h"
#include "test/support/temporary_directory.h"

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

}  // namespace

TEST_CASE("a swap takes effect when the version is the expected one, and else tells the record") {
  Context context;
  TemporaryDirectory directory;
  RouterThread router(context, kCluster, directory.file("map"));
  Client client(context, {router.map_endpoint()});
  MapEntry current;
  CHECK(client.swap("a", 0, "one") == Outcome::kSwapped);
  CHECK(client.value("a") == "one");
  CHECK(client.swap("a", 0, "two", 10s, &current) == Outcome::kConflict);
  CHECK(current.value == "one");
  CHECK(current.version == 1);
  CHECK(client.swap("a", 1, "two") == Outcome::kSwapped);
  CHECK(client.swap("a", 1, "three", 10s, &current) == Outcome::kConflict);
  CHECK(current.version == 2);
  CHECK(client.swap("b", 5, "x", 10s, &current) == Outcome::kConflict);
  CHECK(current.version == 0);
  CHECK(client.value("a") == "two");
  CHECK(client.run_until([&] { return client.map->map_version() == 2; }));
  CHECK(client.map->reachable(boot_now()));
}

TEST_CASE("a change reaches the other clients at once, and those of a router's copy") {
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

TEST_CASE("of many clients that swap one record, one wins each version") {
  Context context;
  TemporaryDirectory directory;
  RouterThread router(context, kCluster, directory.file("map"));
  std::atomic<int> won{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      Client client(context, {router.map_endpoint()});
      for (uint64_t version = 0; version < 25;) {
        MapEntry current;
        if (client.swap("a", version, std::to_string(t), 10s, &current) == Outcome::kSwapped) ++won;
        version = current.version;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(won == 25);
}

TEST_CASE("what was swapped is there after a restart, and the clients go on") {
  Context context;
  TemporaryDirectory directory;
  const std::string listen = "ipc://" + directory.file("map.sock");
  auto router = std::make_unique<RouterThread>(context, kCluster, directory.file("map"),
                                               std::vector<std::string>{}, listen);
  Client client(context, {listen});
  CHECK(client.swap("a", 0, "one") == Outcome::kSwapped);
  router.reset();
  CHECK(client.run_until([&] { return !client.map->reachable(boot_now()); }));
  CHECK(client.value("a") == "one");

  // A swap that could not be sent waits for the store within its time.
  std::optional<Outcome> outcome;
  client.map->swap(Client::request("a", 1, "two"), 20s, [&](auto o, const auto&) { outcome = o; });
  CHECK_FALSE(client.run_until([&] { return outcome.has_value(); }, 100ms));
  router = std::make_unique<RouterThread>(context, kCluster, directory.file("map"),
                                          std::vector<std::string>{}, listen);
  CHECK(client.run_until([&] { return outcome.has_value(); }));
  CHECK(*outcome == Outcome::kSwapped);
  CHECK(client.value("a") == "two");
}

TEST_CASE("a store that is not there leaves a swap unknown when its time is over") {
  Context context;
  TemporaryDirectory directory;
  Client client(context, {"ipc://" + directory.file("nobody")});
  CHECK(client.swap("a", 0, "one", 50ms) == Outcome::kUnknown);
  CHECK_FALSE(client.map->known());
  CHECK_FALSE(client.map->reachable(boot_now()));
}

TEST_CASE("another cluster is answered nothing") {
  Context context;
  TemporaryDirectory directory;
  RouterThread router(context, kCluster, directory.file("map"));
  Client client(context, {router.map_endpoint()}, kCluster + 1);
  CHECK(client.swap("a", 0, "one", 200ms) == Outcome::kUnknown);
  Client right(context, {router.map_endpoint()});
  CHECK(right.swap("a", 0, "one") == Outcome::kSwapped);
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
