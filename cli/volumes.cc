#include "cli/volumes.h"

#include <thread>

#include "cli/ask.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::json;

constexpr int kTries = 20;  // while a takeover goes on

}  // namespace

Outcome<std::vector<VolumeAt>> executors_of(const Picture& picture, const std::string& id) {
  if (!picture.map_live) return failed("none of the cluster's routers answers");
  std::vector<VolumeAt> volumes;
  for (const PairInfo& pair : picture.map.pairs)
    for (const VolumeInfo& volume : pair.volumes) {
      const auto record = picture.records.find(volume.id);
      if (id.empty() || to_string(volume.id) == id)
        volumes.push_back({to_string(volume.id), volume.id,
                           record == picture.records.end() ? "" : record->second.executor.name});
    }
  if (volumes.empty())
    return refused("the cluster has no volume \"{}\"; pairfs status lists them", id);
  return volumes;
}

Json raid_of(const Picture& picture, const VolumeAt& volume) {
  const auto node = picture.nodes.find(volume.executor);
  if (node == picture.nodes.end()) return nullptr;
  for (const Json& view : node->second.value("volumes", Json::array()))
    if (view.value("id", "") == volume.id && view.value("role", "") == "executor")
      return view.value("raid", Json());
  return nullptr;
}

Trouble ask_executor(const Reach& reach, const std::string& id, Json arguments,
                     const std::string& verb, Json* answer, Duration limit) {
  arguments["volume"] = id;
  std::string why = "it does not answer";
  for (int i = 0; i < kTries; ++i) {
    const Picture picture = gather(reach, std::chrono::seconds(1));
    auto volumes = executors_of(picture, id);
    if (!volumes.ok()) return volumes.problem();
    const NodeInfo* node = picture.map.find_node(volumes->front().executor);
    if (node == nullptr) return failed("nobody executes volume {} now", id);
    const auto answers =
        ask_all({question(node->endpoint, AdminRequest{Bytes(verb), arguments.dump()})},
                picture.cluster_id, limit);
    const auto reply = answers[0] ? decode<AdminReply>(answers[0]->body) : std::nullopt;
    if (reply && reply->ok) {
      if (answer != nullptr) *answer = Json::parse(reply->json, nullptr, false);
      return std::nullopt;
    }
    if (reply) {
      const Json told = Json::parse(reply->json, nullptr, false);
      why = told.is_object() ? told.value("error", "no reason given") : "no reason given";
      // Only a change of the executor is worth another try.
      if (why.find("executor") == std::string::npos && why.find("execute") == std::string::npos)
        return failed("{}", why);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  return failed("volume {} could not be asked: {}", id, why);
}

std::string progress_text(const Json& progress) {
  const auto mib = [&](const char* key) {
    return static_cast<double>(progress.value(key, uint64_t{0})) / (1 << 20);
  };
  std::string text = progress.value("element", "");
  if (!text.empty()) text += ": ";
  return text + fmt::format("{:.1f} of {:.1f} MiB, {:.1f} MiB/s, {} s left", mib("done_bytes"),
                            mib("total_bytes"), mib("bytes_per_second"),
                            progress.value("seconds_left", uint64_t{0}));
}

}  // namespace pairfs::cli
