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
  const std::string name = record->second.executor.name;
  const std::vector<Daemon> daemons = cluster.daemons();
  const Daemon* node = find_node(daemons, name);
  if (node == nullptr)
    return failed("node {}, which executed volume {} last, is not of this cluster", name, id);
  auto program = find_program(node->program);
  if (!program.ok()) return program.problem();
  const fs::path report = node->directory / "fsck.json";
  boost::system::error_code error;
  fs::remove(report, error);
  std::vector<std::string> arguments = {"--config", node->config().string(), "--fsck", id,
                                        "--report", report.string()};
  if (repair) arguments.push_back("--repair");
  auto pid = launch({*program, arguments, node->log(), false});
  if (!pid.ok()) return pid.problem();
  const int code = wait_for(*pid);
  const auto text = read_file(report);
  const Json told = Json::parse(text.value_or(""), nullptr, false);
  fs::remove(report, error);
  if (!told.is_object())
    return failed("the check of volume {} ended with exit code {}; {} says more", id, code,
                  node->log().string());
  if (told.contains("error"))
    return failed("volume {} cannot be checked: {}", id, told.value("error", ""));
  return told.value("findings", Json::array());
}

}  // namespace pairfs::cli
