#include "cli/status_report.h"

#include <algorithm>
#include <map>
#include <set>

#include "common/space.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::ordered_json;

// A field of a daemon's answer, or `fallback` when it is missing or of another type.
template <class T>
T field(const nlohmann::json& object, const char* key, T fallback) {
  const auto found = object.find(key);
  if (found == object.end()) return fallback;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return fallback;
  } else if (!found->is_number()) {
    return fallback;
  }
  return found->template get<T>();
}

const nlohmann::json* member(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

bool flag(const nlohmann::json& object, const char* key, bool fallback) {
  const auto* value = member(object, key);
  return value != nullptr && value->is_boolean() ? value->get<bool>() : fallback;
}

// Set where a daemon may be reached from other machines, without authentication.
void copy_insecure_mark(const nlohmann::json& answer, Json& json) {
  if (flag(answer, "insecure_network", false)) json["insecure_network"] = true;
}

Json router_json(const Picture& picture, const RouterInfo& router) {
  const auto answer = picture.routers.find(router.name);
  const bool up = answer != picture.routers.end();
  Json json = {{"name", router.name}, {"endpoint", router.endpoint}};
  json["pid"] = up ? field<int64_t>(answer->second, "pid", 0) : 0;
  json["state"] = up ? "up" : "down";
  if (up) copy_insecure_mark(answer->second, json);
  return json;
}

Json node_json(const Picture& picture, const NodeInfo& node) {
  const auto answer = picture.nodes.find(node.name);
  const bool up = answer != picture.nodes.end();
  Json json = {{"name", node.name}, {"endpoint", node.endpoint}};
  json["pid"] = up ? field<int64_t>(answer->second, "pid", 0) : 0;
  json["incarnation"] = up ? field<std::string>(answer->second, "incarnation", "") : "";
  json["state"] = up ? field<std::string>(answer->second, "state", "up") : "down";
  if (up && answer->second.contains("latency")) json["latency"] = answer->second["latency"];
  if (up) copy_insecure_mark(answer->second, json);
  return json;
}

// What `node` says about the volume, if it executes it.
const nlohmann::json* executors_view(const Picture& picture, const std::string& node,
                                     const std::string& volume) {
  const auto answer = picture.nodes.find(node);
  if (answer == picture.nodes.end()) return nullptr;
  const auto* volumes = member(answer->second, "volumes");
  if (volumes == nullptr || !volumes->is_array()) return nullptr;
  for (const auto& view : *volumes)
    if (view.is_object() && field<std::string>(view, "id", "") == volume &&
        field<std::string>(view, "role", "") == "executor")
      return &view;
  return nullptr;
}

// Why `node` cannot open the volume that it is to execute; "" when it can.
std::string open_problem(const Picture& picture, const std::string& node,
                         const std::string& volume) {
  const auto answer = picture.nodes.find(node);
  if (answer == picture.nodes.end()) return "";
  const auto* volumes = member(answer->second, "volumes");
  if (volumes == nullptr || !volumes->is_array()) return "";
  for (const auto& view : *volumes)
    if (view.is_object() && field<std::string>(view, "id", "") == volume)
      return field<std::string>(view, "open_problem", "");
  return "";
}

Json element_json(const ElementInfo& element, const nlohmann::json* raid) {
  Json json = {{"id", element.id}, {"path", element.path}, {"reach", element.reach}};
  const nlohmann::json* told = nullptr;
  if (raid != nullptr)
    if (const auto* elements = member(*raid, "elements");
        elements != nullptr && elements->is_array())
      for (const auto& candidate : *elements)
        if (candidate.is_object() && field<std::string>(candidate, "id", "") == element.id)
          told = &candidate;
  if (told != nullptr) {
    json["path"] = field<std::string>(*told, "path", element.path);  // it may have been replaced
    json["state"] = field<std::string>(*told, "state", "ok");
    json["repaired_blocks"] = field<uint64_t>(*told, "repaired_blocks", 0);
    json["used_bytes"] = field<uint64_t>(*told, "used_bytes", 0);
    json["filesystem"] = field<std::string>(*told, "filesystem", "");
    json["capacity_bytes"] = field<uint64_t>(*told, "capacity_bytes", 0);
  } else {
    boost::system::error_code error;
    json["state"] = fs::is_directory(fs::path(element.path), error) ? "ok" : "missing";
    json["used_bytes"] = 0;
    json["capacity_bytes"] = 0;
  }
  return json;
}

Json raid_json(const VolumeInfo& volume, const nlohmann::json* view) {
  const nlohmann::json* raid = view != nullptr ? member(*view, "raid") : nullptr;
  if (raid != nullptr && !raid->is_object()) raid = nullptr;
  Json elements = Json::array();
  size_t missing = 0;
  for (const ElementInfo& element : volume.elements) {
    elements.push_back(element_json(element, raid));
    missing += elements.back()["state"] != "ok";
  }
  const char* seen = missing == 0                       ? "optimal"
                     : missing < volume.elements.size() ? "degraded"
                                                        : "failed";
  Json json;
  json["level"] =
      raid != nullptr ? field<int>(*raid, "level", volume.raid_level) : volume.raid_level;
  json["state"] = raid != nullptr ? field<std::string>(*raid, "state", seen) : seen;
  json["elements"] = elements;
  for (const char* key : {"spares", "rebuild", "scrub"})
    if (raid != nullptr)
      if (const auto* told = member(*raid, key)) json[key] = Json::parse(told->dump());
  return json;
}

Json log_json(const nlohmann::json* view) {
  const nlohmann::json* log = view != nullptr ? member(*view, "log") : nullptr;
  Json json;
  for (const char* key : {"last_sequence", "checkpoint_sequence", "bytes", "copied_in_memory"})
    json[key] = log != nullptr && log->is_object() ? field<uint64_t>(*log, key, 0) : 0;
  return json;
}

uint64_t slices_of(const ClusterMap& map, VolumeId id) {
  uint64_t count = 0;
  for (const SliceRange& range : map.slices)
    if (range.volume == id) count += range.count;
  return count;
}

VolumeSpace space_of(const nlohmann::json& told) {
  VolumeSpace space;
  space.used_bytes = field<uint64_t>(told, "used_bytes", 0);
  space.withheld_bytes = field<uint64_t>(told, "withheld_bytes", 0);
  space.garbage_bytes = field<uint64_t>(told, "garbage_bytes", 0);
  space.data_columns = field<uint32_t>(told, "data_columns", 0);
  const auto* filesystems = member(told, "filesystems");
  if (filesystems == nullptr || !filesystems->is_array()) return space;
  for (const auto& share : *filesystems) {
    if (!share.is_object()) continue;
    space.filesystems.push_back(
        {std::strtoull(field<std::string>(share, "id", "").c_str(), nullptr, 16),
         field<uint32_t>(share, "elements", 0), field<uint64_t>(share, "available_bytes", 0)});
  }
  return space;
}

// Elements on one filesystem share its capacity, whichever volumes they belong to.
void share_capacity(Json& report) {
  std::map<std::string, uint64_t> sharers;
  const auto each = [&](const auto& visit) {
    for (Json& pair : report["pairs"])
      for (Json& volume : pair["volumes"])
        for (Json& element : volume["raid"]["elements"])
          if (element.contains("filesystem")) visit(element);
  };
  each([&](const Json& element) { ++sharers[element["filesystem"].get<std::string>()]; });
  each([&](Json& element) {
    element["capacity_bytes"] = element["capacity_bytes"].get<uint64_t>() /
                                sharers[element["filesystem"].get<std::string>()];
  });
}

Json volume_json(const Picture& picture, const VolumeInfo& volume,
                 std::vector<VolumeSpace>& spaces) {
  const auto found = picture.records.find(volume.id);
  const VolumeRecord record = found == picture.records.end() ? VolumeRecord{} : found->second;
  const std::string id = to_string(volume.id);
  const nlohmann::json* view = executors_view(picture, record.executor.name, id);
  Json json = {{"id", id},
               {"home", volume.home},
               {"executor", record.executor.name},
               {"logger", record.solo ? Bytes() : Bytes(record.logger.name)},
               {"mode", record.solo ? "solo" : "paired"},
               {"epoch", record.epoch},
               {"slices", slices_of(picture.map, volume.id)},
               {"serving", view != nullptr && flag(*view, "serving", true)}};
  if (view != nullptr)
    json["takeover_obstacle"] = field<std::string>(*view, "takeover_obstacle", "");
  if (const std::string problem = open_problem(picture, record.executor.name, id); !problem.empty())
    json["open_problem"] = problem;
  json["raid"] = raid_json(volume, view);
  json["log"] = log_json(view);
  if (const auto* told = view != nullptr ? member(*view, "space") : nullptr; told != nullptr)
    spaces.push_back(space_of(*told));
  return json;
}

// Sessions as the nodes know them, each once.
Json sessions_json(const Picture& picture) {
  Json sessions = Json::array();
  std::set<std::string> seen;
  for (const auto& [name, answer] : picture.nodes) {
    const auto* list = member(answer, "sessions");
    if (list == nullptr || !list->is_array()) continue;
    for (const auto& session : *list) {
      if (!session.is_object()) continue;
      const std::string id = field<std::string>(session, "id", "");
      if (!seen.insert(id).second) continue;
      sessions.push_back({{"id", id},
                          {"host", field<std::string>(session, "host", "")},
                          {"mount", field<std::string>(session, "mount", "")},
                          {"state", field<std::string>(session, "state", "")}});
    }
  }
  return sessions;
}

// What keeps a node from joining, by its own words; "" when nothing does.
std::string trouble_of(const Picture& picture, const std::string& node) {
  const auto told = picture.nodes.find(node);
  if (told == picture.nodes.end() || !told->second.contains("volumes")) return "";
  for (const auto& volume : told->second["volumes"])
    if (const std::string trouble = volume.value("trouble", ""); !trouble.empty())
      return fmt::format("volume {}: {}", volume.value("id", ""), trouble);
  return "";
}

// Elements that only a node itself reaches are all that it has when its partner is lost: an element
// of the logger's that lacks something, while the group could not do without it. "" when there is
// none.
std::string lacking_element(const Json& volume) {
  const Json& raid = volume["raid"];
  const std::string reach = "partner:" + volume["logger"].get<std::string>();
  std::string lacking;
  size_t whole = 0;
  for (const Json& element : raid["elements"]) {
    if (element.value("reach", "") != reach) continue;
    if (element["state"] == "ok")
      ++whole;
    else
      lacking = fmt::format("element {} is {}", element["id"].get<std::string>(),
                            element["state"].get<std::string>());
  }
  const bool one_is_enough = raid["level"] == 1;
  return one_is_enough && whole > 0 ? "" : lacking;
}

// The pair's first node that is in none of these states. "" when there is none.
std::string node_not_in(const Picture& picture, const Json& pair,
                        const std::set<std::string>& states) {
  for (const Json& node : pair["nodes"]) {
    const std::string name = node["name"];
    const std::string state = node["state"];
    if (states.contains(state)) continue;
    const std::string trouble = trouble_of(picture, name);
    return fmt::format("node {} is {}{}{}", name, state, trouble.empty() ? "" : ": ", trouble);
  }
  return "";
}

// The pair's first volume that its executor cannot open. "" when there is none.
std::string volume_not_open(const Json& pair) {
  for (const Json& volume : pair["volumes"])
    if (volume.contains("open_problem"))
      return fmt::format("volume {} cannot be opened: {}", volume["id"].get<std::string>(),
                         volume["open_problem"].get<std::string>());
  return "";
}

// Why a node could not be lost now, "" when each could.
std::string takeover_obstacle(const Picture& picture, const Json& report) {
  if (!picture.map_live) return "no router answers";
  const bool store_reached =
      std::any_of(picture.routers.begin(), picture.routers.end(),
                  [](const auto& router) { return flag(router.second, "map_reachable", true); });
  if (!store_reached) return "the map store does not answer";
  for (const Json& pair : report["pairs"]) {
    if (const std::string why = node_not_in(picture, pair, {"up", "joining"}); !why.empty())
      return why;
    // A node joins for as long as a volume cannot be opened: that is the cause to name.
    if (const std::string why = volume_not_open(pair); !why.empty()) return why;
    if (const std::string why = node_not_in(picture, pair, {"up"}); !why.empty()) return why;
    for (const Json& volume : pair["volumes"]) {
      const std::string id = volume["id"];
      if (volume["epoch"] == 0) return fmt::format("volume {} was never opened", id);
      if (volume["mode"] != "paired") {
        const std::string why = volume.value("takeover_obstacle", "");
        return fmt::format("volume {} is solo on {}{}{}", id, volume["executor"].get<std::string>(),
                           why.empty() ? "" : ": ", why);
      }
      if (volume["serving"] != true) return fmt::format("volume {} has no executor", id);
      const std::string obstacle = volume.value("takeover_obstacle", "");
      if (!obstacle.empty()) return fmt::format("of volume {}: {}", id, obstacle);
      if (const std::string lacking = lacking_element(volume); !lacking.empty())
        return fmt::format("node {} has not all of volume {}: {}",
                           volume["logger"].get<std::string>(), id, lacking);
    }
  }
  return "";
}

}  // namespace

nlohmann::ordered_json report_json(const Picture& picture) {
  Json report;
  report["map_version"] = picture.map_version;
  report["cluster_id"] = fmt::format("{:016x}", picture.cluster_id);
  report["routers"] = Json::array();
  for (const RouterInfo& router : picture.map.routers)
    report["routers"].push_back(router_json(picture, router));
  std::vector<VolumeSpace> spaces;
  report["pairs"] = Json::array();
  for (const PairInfo& pair : picture.map.pairs) {
    Json json = {{"id", pair.id}, {"nodes", Json::array()}, {"volumes", Json::array()}};
    for (const NodeInfo& node : pair.nodes) json["nodes"].push_back(node_json(picture, node));
    for (const VolumeInfo& volume : pair.volumes)
      json["volumes"].push_back(volume_json(picture, volume, spaces));
    report["pairs"].push_back(json);
  }
  report["sessions"] = sessions_json(picture);
  share_capacity(report);
  const SpaceSum space = sum_space(spaces);
  report["used_bytes"] = space.used_bytes;
  report["capacity_bytes"] = space.capacity_bytes();
  const std::string obstacle = takeover_obstacle(picture, report);
  report["takeover_possible"] = obstacle.empty();
  report["takeover_obstacle"] = obstacle;
  return report;
}

bool is_healthy(const nlohmann::ordered_json& report) {
  if (report["takeover_possible"] != true) return false;
  for (const Json& router : report["routers"])
    if (router["state"] != "up") return false;
  for (const Json& pair : report["pairs"])
    for (const Json& volume : pair["volumes"])
      if (volume["raid"]["state"] != "optimal") return false;
  return true;
}

}  // namespace pairfs::cli
