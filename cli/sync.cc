// pairfs sync.
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/gather.h"
#include "cli/mount_point.h"

namespace pairfs::cli {
namespace {

// The pairfs mount that `path` is in.
std::optional<Mounted> mount_around(fs::path path) {
  for (path = canonical_path(path); !path.empty(); path = path.parent_path())
    if (auto mounted = mounted_at(path)) return mounted;
  return std::nullopt;
}

Outcome<Reach> cluster_of(const std::string& path) {
  boost::system::error_code error;
  if (!fs::exists(path, error)) return refused("{} is not there", path);
  const auto mounted = mount_around(path);
  if (!mounted || !mounted->is_pairfs()) return refused("{} is not on a pairfs mount", path);
  const auto routers = routers_of_source(mounted->source);
  if (!routers)
    return refused(
        "the mount of {} does not say where its routers are, as it was given a name of its"
        " own (fsname)",
        path);
  return Reach{*routers, std::nullopt};
}

int sync_cluster(const std::string& path, int timeout_seconds) {
  auto reach = cluster_of(path);
  if (!reach.ok()) return report(reach.problem());
  const Picture picture = gather(*reach, std::chrono::seconds(1));
  if (picture.map_version == 0)
    return report(
        failed("none of the cluster's routers answers, so it is not known what is on disk"));
  std::vector<Question> questions;
  std::vector<std::string> names;
  for (const PairInfo& pair : picture.map.pairs)
    for (const NodeInfo& node : pair.nodes) {
      questions.push_back(question(node.endpoint, AdminRequest{Bytes("sync"), Bytes("{}")}));
      names.push_back(node.name);
    }
  const auto answers =
      ask_all(questions, picture.cluster_id, std::chrono::seconds(timeout_seconds));
  std::map<std::string, bool> synced;
  for (size_t i = 0; i < answers.size(); ++i) {
    const auto reply = answers[i] ? decode<AdminReply>(answers[i]->body) : std::nullopt;
    synced[names[i]] = reply && reply->ok;
  }
  // What an executor says covers its logger too; a dead node has nothing that is not elsewhere.
  for (const auto& [id, record] : picture.records)
    if (!synced[record.executor.name])
      return report(failed("volume {} could not be synced: its executor {} does not answer",
                           to_string(id), record.executor.name));
  return kExitFine;
}

}  // namespace

void add_sync(CLI::App& app, int& exit_code) {
  auto* command =
      app.add_subcommand("sync", "Wait until all that a mount has been told is on disk");
  auto path = std::make_shared<std::string>();
  auto timeout = std::make_shared<int>(60);
  command->add_option("PATH", *path, "Anything on the mount")->required();
  command->add_option("--timeout", *timeout, "Give up after this many seconds")
      ->check(CLI::Range(1, 86400))
      ->capture_default_str();
  command->footer(
      "FUSE does not pass sync(2) on, so this stands in for it: it returns when the logs of\n"
      "both nodes of every pair are on stable storage.\n\n"
      "Example:\n  pairfs sync /mnt/files");
  command->callback([=, &exit_code] { exit_code = sync_cluster(*path, *timeout); });
}

}  // namespace pairfs::cli
