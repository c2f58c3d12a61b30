#include "cli/gather.h"

#include "cli/ask.h"
#include "common/codec.h"
#include "common/map_store.h"

namespace pairfs::cli {
namespace {

constexpr BytesView kVolumePrefix = "volume/";

// Takes the map's records apart; false when they are not a map.
template <class Entries>
bool take_map(const Entries& entries, Picture& picture) {
  std::map<std::string, VolumeRecord> records;
  bool found = false;
  for (const MapEntry& entry : entries) {
    if (entry.key == kClusterKey) {
      auto map = decode<ClusterMap>(entry.value);
      if (!map) return false;
      picture.map = std::move(*map);
      found = true;
    } else if (entry.key == kPolicyKey) {
      picture.policy = decode<ClusterPolicy>(entry.value).value_or(ClusterPolicy());
    } else if (BytesView(entry.key).starts_with(kVolumePrefix)) {
      if (auto record = decode<VolumeRecord>(entry.value)) records[entry.key] = *record;
    }
  }
  for (const PairInfo& pair : picture.map.pairs)
    for (const VolumeInfo& volume : pair.volumes)
      picture.records[volume.id] = records[volume_key(volume.id)];
  return found;
}

std::optional<nlohmann::json> status_of(const std::optional<Answered>& answered) {
  if (!answered) return std::nullopt;
  const auto reply = decode<AdminReply>(answered->body);
  if (!reply || !reply->ok) return std::nullopt;
  auto json = nlohmann::json::parse(reply->json.begin(), reply->json.end(), nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

// The newest map that any of the routers knows.
void take_live_map(const std::vector<std::optional<Answered>>& answers, Picture& picture) {
  for (const auto& answered : answers) {
    if (!answered) continue;
    const auto reply = decode<MapReadReply>(answered->body);
    if (!reply || reply->map_version <= picture.map_version) continue;
    if (!take_map(reply->entries, picture)) continue;
    picture.map_version = reply->map_version;
    picture.cluster_id = answered->cluster_id;
    picture.map_live = true;
  }
}

// While nothing runs, the map's file can be read; a live server has it locked.
void take_stored_map(const Cluster& cluster, Picture& picture) {
  std::string why;
  const auto store =
      FileMapStore::open((cluster.directory / cluster.routers.front() / "map").string(), &why);
  if (store != nullptr && take_map(store->entries(), picture))
    picture.map_version = store->map_version();
}

}  // namespace

std::vector<std::string> Picture::map_endpoints() const {
  std::vector<std::string> endpoints;
  for (const RouterInfo& router : map.routers)
    if (!router.map_endpoint.empty()) endpoints.push_back(router.map_endpoint);
  if (!endpoints.empty()) return endpoints;
  for (const auto& [name, status] : routers)
    if (status.contains("map_endpoints")) return status["map_endpoints"];
  return {};
}

Picture gather(const Reach& reach, Duration timeout) {
  Picture picture;
  if (reach.local) picture.cluster_id = reach.local->id;
  std::vector<Question> questions;
  for (const std::string& endpoint : reach.routers)
    questions.push_back(question(endpoint, MapRead{}));
  take_live_map(ask_all(questions, picture.cluster_id, timeout), picture);
  if (!picture.map_live && reach.local) take_stored_map(*reach.local, picture);
  if (picture.map_version == 0) return picture;

  questions.clear();
  std::vector<std::pair<std::map<std::string, nlohmann::json>*, std::string>> targets;
  for (const RouterInfo& router : picture.map.routers) {
    questions.push_back(question(router.endpoint, RouterStatus{}));
    targets.emplace_back(&picture.routers, router.name);
  }
  for (const PairInfo& pair : picture.map.pairs)
    for (const NodeInfo& node : pair.nodes) {
      questions.push_back(question(node.endpoint, NodeStatus{}));
      targets.emplace_back(&picture.nodes, node.name);
    }
  const auto answers = ask_all(questions, picture.map.cluster_id, timeout);
  for (size_t i = 0; i < answers.size(); ++i)
    if (auto json = status_of(answers[i])) targets[i].first->emplace(targets[i].second, *json);
  return picture;
}

std::optional<ClusterMap> stored_map(const Cluster& cluster) {
  Picture picture;
  take_stored_map(cluster, picture);
  if (picture.map_version == 0) return std::nullopt;
  return picture.map;
}

}  // namespace pairfs::cli
