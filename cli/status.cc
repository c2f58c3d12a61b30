// pairfs status.
#include "cli/commands.h"
#include "cli/status_report.h"

namespace pairfs::cli {
namespace {

int show_status(const ClusterOptions& where, bool json) {
  auto reach = find_cluster(where);
  if (!reach.ok()) return report(reach.problem());
  const Picture picture = gather(*reach, std::chrono::seconds(1));
  if (picture.map_version == 0)
    return report(failed("none of the cluster's routers answers ({}{})", reach->routers.front(),
                         reach->routers.size() > 1 ? ", ..." : ""));
  const nlohmann::ordered_json page = report_json(picture);
  if (json)
    say(page.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
  else
    fmt::print("{}", report_text(page));
  return is_healthy(page) ? kExitFine : kExitFailed;
}

}  // namespace

void add_status(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("status", "Show how a cluster is");
  auto where = std::make_shared<ClusterOptions>();
  auto json = std::make_shared<bool>(false);
  add_cluster_options(*command, *where);
  command->add_flag("--json", *json, "For programs");
  command->footer(
      "Exit code 0: all is up, paired and optimal; 1: something is not.\n\n"
      "Examples:\n"
      "  pairfs status\n"
      "  pairfs status --router tcp://127.0.0.1:7400 --json");
  command->callback([=, &exit_code] { exit_code = show_status(*where, *json); });
}

}  // namespace pairfs::cli
