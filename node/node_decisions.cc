// What an operator is asked to decide for a volume, and what he decided (P9, P10): admin verbs
// "history", "start_alone", "drop_history". docs/protocol.md, "Admin".
#include <nlohmann/json.hpp>

#include "node/node_loop.h"

namespace pairfs {

using Json = nlohmann::json;

namespace {

Json history_json(const VolumeRuntime& volume, const Json& arguments) {
  const LogSummary log = volume.log().summary();
  Json out = {{"base", log.base},
              {"last", log.last},
              {"last_epoch", log.last_epoch},
              {"damaged", log.damaged},
              {"power_kept", log.power_kept},
              {"diverged", volume.core().diverged()}};
  const Sequence at = arguments.value("at", log.last);
  if (const auto chain = volume.log().chain_at(at)) out["chain"] = fmt::format("{:08x}", *chain);
  return out;
}

}  // namespace

bool NodeLoop::on_decision(BytesView verb, BytesView text, const AdminAnswer& answer) {
  if (verb != "history" && verb != "start_alone" && verb != "drop_history") return false;
  const Json arguments = Json::parse(text, nullptr, false);
  const std::string wanted = arguments.is_object() ? arguments.value("volume", "") : "";
  for (auto& [id, volume] : volumes_) {
    if (to_string(id) != wanted) continue;
    if (verb == "history") {
      answer(true, history_json(*volume, arguments));
      return true;
    }
    std::string obstacle;
    if (verb == "start_alone")
      obstacle =
          volume->start_alone(arguments.value("force", false), arguments.value("check", false));
    else
      volume->drop_history();
    if (obstacle.empty())
      answer(true, Json::object());
    else
      answer(false, {{"error", obstacle}});
    return true;
  }
  answer(false, {{"error", fmt::format("node {} has no volume \"{}\"", config_.name, wanted)}});
  return true;
}

}  // namespace pairfs
