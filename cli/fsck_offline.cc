#include "cli/fsck_offline.h"

#include <sys/wait.h>

#include <algorithm>

#include "cli/local_daemons.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::json;

// Its exit code; -1: it died.
int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

const Daemon* find_node(const std::vector<Daemon>& daemons, const std::string& name) {
  const auto found = std::find_if(daemons.begin(), daemons.end(), [&](const Daemon& daemon) {
    return daemon.kind == Daemon::Kind::kNode && daemon.name == name;
  });
  return found == daemons.end() ? nullptr : &*found;
}

// Lets the node's program look at the volume; gives its report.
Outcome<Json> run_check(const Daemon& node, const std::string& volume,
                        const std::vector<std::string>& more) {
  auto program = find_program(node.program);
  if (!program.ok()) return program.problem();
  const fs::path report = node.directory / "fsck.json";
  boost::system::error_code error;
  fs::remove(report, error);
  std::vector<std::string> arguments = {"--config", node.config().string(), "--fsck", volume,
                                        "--report", report.string()};
  arguments.insert(arguments.end(), more.begin(), more.end());
  auto pid = launch({*program, arguments, node.log(), false});
  if (!pid.ok()) return pid.problem();
  const int code = wait_for(*pid);
  const auto text = read_file(report);
  Json told = Json::parse(text.value_or(""), nullptr, false);
  fs::remove(report, error);
  if (!told.is_object())
    return failed("the check of volume {} ended with exit code {}; {} says more", volume, code,
                  node.log().string());
  if (told.contains("error"))
    return failed("volume {} cannot be checked: {}", volume, told.value("error", ""));
  if (!told.contains("findings")) told["findings"] = Json::array();
  return told;
}

}  // namespace

bool is_running(const Cluster& cluster) {
  const std::vector<Daemon> daemons = cluster.daemons();
  return running_supervisor(cluster) ||
         std::any_of(daemons.begin(), daemons.end(),
                     [](const Daemon& d) { return running(d).has_value(); });
}

Outcome<Json> check_volume_offline(const Cluster& cluster, const Picture& picture, VolumeId volume,
                                   bool repair) {
  const std::string id = to_string(volume);
  const auto record = picture.records.find(volume);
  if (record == picture.records.end() || record->second.epoch == 0)
    return failed("volume {} was never opened", id);
  const std::vector<Daemon> daemons = cluster.daemons();
  // The one with the longest whole log knows best.
  Json findings = Json::array();
  std::vector<const Daemon*> nodes;
  const Daemon* best = nullptr;
  std::pair<uint64_t, uint64_t> longest{0, 0};
  for (const std::string& name : {record->second.executor.name, record->second.logger.name}) {
    const Daemon* node = find_node(daemons, name);
    if (node == nullptr && nodes.empty())
      return failed("node {}, which executed volume {} last, is not of this cluster", name, id);
    if (node == nullptr || std::find(nodes.begin(), nodes.end(), node) != nodes.end()) continue;
    nodes.push_back(node);
    auto told = run_check(*node, id, {"--only-log"});
    if (!told.ok()) return told.problem();
    for (Json& finding : (*told)["findings"]) findings.push_back(std::move(finding));
    const Json log = told->value("log", Json::object());
    const std::pair end{log.value("last_epoch", uint64_t{0}),
                        log.value("last_sequence", uint64_t{0})};
    if (log.value("damaged", true) || end <= longest) continue;
    best = node;
    longest = end;
  }
  for (Json& finding : findings)
    if (best != nullptr)
      finding["where"] = finding.value("where", "") + "; when the cluster starts, " + best->name +
                         "'s takes its place";
  const bool reported = !findings.empty();
  auto told = run_check(best != nullptr ? *best : *nodes.front(), id,
                        repair ? std::vector<std::string>{"--repair"} : std::vector<std::string>());
  if (!told.ok()) return told.problem();
  for (Json& finding : (*told)["findings"])
    if (best != nullptr || !reported || finding.value("kind", "") != "log")
      findings.push_back(std::move(finding));
  return findings;
}

}  // namespace pairfs::cli
