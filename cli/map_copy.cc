// pairfs map copy: moves a cluster's map between the embedded store's directory and ZooKeeper,
// while the cluster is stopped. Every record keeps its version, so that whoever knows the map
// already finds it no older than before.
#include <chrono>
#include <functional>

#include "cli/commands.h"
#include "cli/files.h"
#include "common/codec.h"
#include "common/logging.h"
#include "common/map_store.h"
#include "common/zookeeper_map_client.h"

namespace pairfs::cli {
namespace {

using namespace std::chrono_literals;

constexpr Duration kAnswerLimit = 15s;

// A place where a map is, opened for one copy.
class Place {
 public:
  virtual ~Place() = default;
  virtual Outcome<MapReadReply> read() = 0;
  // Refused unless the record's version is the expected one.
  virtual Trouble swap(const MapSwap& request) = 0;
};

class DirectoryPlace final : public Place {
 public:
  explicit DirectoryPlace(std::unique_ptr<FileMapStore> store) : store_(std::move(store)) {}
  Outcome<MapReadReply> read() override {
    MapReadReply map;
    map.map_version = store_->map_version();
    for (const MapEntry& entry : store_->entries()) map.entries.push_back(entry);
    return map;
  }
  Trouble swap(const MapSwap& request) override {
    if (store_->swap(request).swapped) return std::nullopt;
    return failed("the record {} could not be written", printable(request.key));
  }

 private:
  const std::unique_ptr<FileMapStore> store_;
};

class ZooKeeperPlace final : public Place {
 public:
  ZooKeeperPlace(const std::string& endpoint, uint64_t cluster_id)
      : endpoint_(endpoint), map_(make_zookeeper_map_client(endpoint, cluster_id)) {
    map_->add_to(poller_);
  }
  Outcome<MapReadReply> read() override {
    // Of an absent map an answer is all that comes; a present one follows it at once.
    const auto end = boot_now() + kAnswerLimit;
    if (!run_until([&] { return map_->known() || map_->reachable(boot_now()); }, end))
      return failed("{} does not answer within {} s; is a ZooKeeper server there?", endpoint_,
                    kAnswerLimit / 1s);
    run_until([&] { return map_->known(); }, boot_now() + 2s);
    MapReadReply map;
    map.map_version = map_->map_version();
    for (const MapEntry& entry : map_->entries()) map.entries.push_back(entry);
    return map;
  }
  Trouble swap(const MapSwap& request) override {
    std::optional<MapClient::SwapOutcome> outcome;
    map_->swap(request, kAnswerLimit, [&](auto result, const MapEntry&) { outcome = result; });
    run_until([&] { return outcome.has_value(); }, boot_now() + 2 * kAnswerLimit);
    if (outcome == MapClient::SwapOutcome::kSwapped) return std::nullopt;
    return failed("the record {} could not be written to {}", printable(request.key), endpoint_);
  }

 private:
  bool run_until(const std::function<bool()>& condition, Instant end) {
    for (;;) {
      map_->step(boot_now());
      if (condition()) return true;
      const Instant now = boot_now();
      if (now >= end) return false;
      poller_.wait(std::clamp<Duration>(map_->next_wake() - now, 0ms, end - now));
    }
  }
  const std::string endpoint_;
  const std::unique_ptr<MapClient> map_;
  Poller poller_;
};

Outcome<std::unique_ptr<Place>> open_place(const std::string& text, uint64_t cluster_id,
                                           bool source) {
  if (is_zookeeper_endpoint(text)) {
    try {
      return std::unique_ptr<Place>(std::make_unique<ZooKeeperPlace>(text, cluster_id));
    } catch (const std::exception& error) {
      return refused("{}", error.what());
    }
  }
  boost::system::error_code error;
  if (source && !fs::exists(fs::path(text) / "map", error))
    return refused(
        "there is no map in {}; expected the map.dir of the router that holds it, or"
        " zookeeper://HOST:2181/DIRECTORY",
        text);
  std::string why;
  auto store = FileMapStore::open(text, &why);
  if (store == nullptr) return refused("{}", why);
  return std::unique_ptr<Place>(std::make_unique<DirectoryPlace>(std::move(store)));
}

int copy(const std::string& from_text, const std::string& to_text) {
  auto from = open_place(from_text, 0, true);
  if (!from.ok()) return report(from.problem());
  auto map = (*from)->read();
  if (!map.ok()) return report(map.problem());
  std::optional<ClusterMap> cluster;
  for (const MapEntry& entry : map->entries)
    if (entry.key == kClusterKey) cluster = decode<ClusterMap>(entry.value);
  if (!cluster) return report(refused("there is no cluster's map in {}", from_text));
  auto to = open_place(to_text, cluster->cluster_id, false);
  if (!to.ok()) return report(to.problem());
  auto there = (*to)->read();
  if (!there.ok()) return report(there.problem());
  if (!there->entries.empty())
    return report(refused("{} holds a map already, which is not overwritten", to_text));
  for (const MapEntry& entry : map->entries)
    for (uint64_t version = 0; version < entry.version; ++version)
      if (Trouble trouble = (*to)->swap({entry.key, version, entry.value})) return report(*trouble);
  say(fmt::format("copied {} records of cluster {:016x}, map version {}, to {}",
                  map->entries.size(), cluster->cluster_id, map->map_version, to_text));
  return kExitFine;
}

}  // namespace

void add_map_copy(CLI::App& map, int& exit_code) {
  auto* command = map.add_subcommand("copy", "Copy the map of a stopped cluster to another store");
  auto from = std::make_shared<std::string>();
  auto to = std::make_shared<std::string>();
  command->add_option("FROM", *from, "The map's directory, or zookeeper://HOST:2181/DIRECTORY")
      ->required();
  command->add_option("TO", *to, "Likewise; it must hold no map yet")->required();
  command->footer(
      "Example, to move the map of a stopped cluster to ZooKeeper:\n"
      "  pairfs map copy /var/lib/pairfs/r1/map zookeeper://zk1:2181,zk2:2181,zk3:2181/pairfs");
  command->callback([=, &exit_code] { exit_code = copy(*from, *to); });
}

}  // namespace pairfs::cli
