#include "cli/map_change.h"

#include "common/codec.h"
#include "common/map_store.h"

namespace pairfs::cli {
namespace {
constexpr Duration kPatience = std::chrono::seconds(10);
constexpr Duration kSwapMax = std::chrono::seconds(3);
}  // namespace

Trouble change_map(const Picture& picture, const std::string& key, const MapChange& change) {
  const std::vector<std::string> endpoints = picture.map_endpoints();
  if (endpoints.empty()) return failed("no router says who holds the cluster's map");
  Context context;
  const auto client = make_map_client(context, endpoints, picture.cluster_id);
  Poller poller;
  client->add_to(poller);
  const Instant deadline = boot_now() + kPatience;
  std::optional<MapClient::SwapOutcome> outcome;
  bool asked = false;
  while (boot_now() < deadline) {
    client->step(boot_now());
    if (outcome == MapClient::SwapOutcome::kSwapped) return std::nullopt;
    if (outcome == MapClient::SwapOutcome::kUnknown)
      return failed(
          "the map's holder did not answer; whether the change was made, pairfs status tells");
    if (outcome == MapClient::SwapOutcome::kConflict) asked = false;
    outcome.reset();
    if (client->known() && !asked) {
      const MapEntry* entry = client->find(key);
      std::optional<Bytes> current;
      if (entry != nullptr) current = Bytes(entry->value);
      auto wanted = change(current, client->entries());
      if (!wanted.ok()) return wanted.problem();
      if (current == *wanted) return std::nullopt;
      MapSwap swap;
      swap.key = Bytes(key);
      swap.expected_version = entry == nullptr ? 0 : entry->version;
      swap.value = std::move(*wanted);
      asked = true;
      client->swap(
          std::move(swap), kSwapMax,
          [&outcome](MapClient::SwapOutcome became, const MapEntry&) { outcome = became; });
      continue;
    }
    const Duration wait = client->next_wake() - boot_now();
    poller.wait(std::clamp<Duration>(wait, Duration(0), std::chrono::milliseconds(50)));
  }
  return failed("the holder of the cluster's map does not answer at {}; nothing was changed",
                endpoints.front());
}

Trouble change_policy(const Picture& picture, const std::function<void(ClusterPolicy&)>& change) {
  return change_map(picture, kPolicyKey,
                    [&](const std::optional<Bytes>& current, const auto&) -> Outcome<Bytes> {
                      ClusterPolicy policy;
                      if (current) {
                        const auto decoded = decode<ClusterPolicy>(*current);
                        if (!decoded) return failed("the cluster's policy cannot be read");
                        policy = *decoded;
                      }
                      change(policy);
                      return encode(policy);
                    });
}

}  // namespace pairfs::cli
