// pairfs events: the history of role changes, from all nodes, in the order of time.
#include "cli/events.h"

#include <algorithm>

#include "cli/ask.h"
#include "cli/commands.h"

namespace pairfs::cli {

std::vector<nlohmann::json> gather_events(const Picture& picture, bool* complete) {
  std::vector<Question> questions;
  for (const PairInfo& pair : picture.map.pairs)
    for (const NodeInfo& node : pair.nodes)
      questions.push_back(question(node.endpoint, AdminRequest{Bytes("events"), Bytes("{}")}));
  std::vector<nlohmann::json> events;
  *complete = true;
  for (const auto& answer : ask_all(questions, picture.cluster_id, std::chrono::seconds(2))) {
    const auto reply = answer ? decode<AdminReply>(answer->body) : std::nullopt;
    const auto body = reply ? nlohmann::json::parse(reply->json, nullptr, false) : nlohmann::json();
    if (body.is_object() && body.contains("events"))
      for (const auto& event : body["events"]) events.push_back(event);
    else
      *complete = false;
  }
  std::stable_sort(events.begin(), events.end(), [](const auto& a, const auto& b) {
    return a["time"].template get<std::string>() < b["time"].template get<std::string>();
  });
  return events;
}

namespace {

int show(const ClusterOptions& options, bool json) {
  auto reach = find_cluster(options);
  if (!reach.ok()) return report(reach.problem());
  const Picture picture = gather(*reach, std::chrono::seconds(1));
  if (!picture.map_live) return report(failed("none of the cluster's routers answers"));
  bool all = false;
  const std::vector<nlohmann::json> events = gather_events(picture, &all);
  if (json) {
    say(nlohmann::json{{"events", events}}.dump(2));
  } else {
    for (const auto& event : events)
      say(fmt::format("{}  {}  volume {}  epoch {}  {}", event["time"].get<std::string>(),
                      event["node"].get<std::string>(), event["volume"].get<std::string>(),
                      event["epoch"].get<uint64_t>(), event["what"].get<std::string>()));
  }
  return all ? kExitFine : kExitFailed;
}

}  // namespace

void add_events(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("events", "Show the history of role changes");
  auto options = std::make_shared<ClusterOptions>();
  auto json = std::make_shared<bool>(false);
  add_cluster_options(*command, *options);
  command->add_flag("--json", *json, "For scripts");
  command->footer(
      "Each node remembers its last 1,000 changes since it was started. Times are seconds\n"
      "since 1970, by the node's clock.\n\nExample:\n  pairfs events");
  command->callback([=, &exit_code] { exit_code = show(*options, *json); });
}

}  // namespace pairfs::cli
