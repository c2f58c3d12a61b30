#include "cli/cluster.h"

#include <sys/stat.h>

#include "common/config.h"

namespace pairfs::cli {
namespace {

// The first problem of a file that only this program writes.
Trouble first_problem(Config& config) {
  const std::vector<std::string> problems = config.finish();
  if (problems.empty()) return std::nullopt;
  return refused("{}", problems.front());
}

}  // namespace

fs::path Daemon::config() const {
  switch (kind) {
    case Kind::kRouter:
      return directory / "router.toml";
    case Kind::kNode:
      return directory / "node.toml";
    case Kind::kMount:
      return directory / "mount.toml";
  }
  return {};
}

std::vector<Daemon> Cluster::daemons() const {
  std::vector<Daemon> all;
  for (const std::string& name : routers)
    all.push_back({Daemon::Kind::kRouter, name, "pairfs-router", directory / name});
  for (const std::string& name : nodes)
    all.push_back({Daemon::Kind::kNode, name, "pairfs-node", directory / name});
  return all;
}

Daemon Cluster::mount() const {
  return {Daemon::Kind::kMount, "mount", "pairfs-mount", directory / "mount"};
}

bool is_incidental(const fs::path& file) {
  return file.filename() == "lost+found" || file.filename() == "lock";
}

DirectoryKind look_at(const fs::path& directory) {
  boost::system::error_code error;
  if (fs::exists(directory / "cluster.toml", error)) return DirectoryKind::kCluster;
  if (fs::exists(unfinished_mark(directory), error)) return DirectoryKind::kUnfinished;
  if (!fs::exists(directory, error)) return DirectoryKind::kEmpty;
  for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
       entry.increment(error))
    if (!is_incidental(entry->path())) return DirectoryKind::kForeign;
  return error ? DirectoryKind::kForeign : DirectoryKind::kEmpty;
}

Outcome<Cluster> read_cluster(const fs::path& directory) {
  Cluster cluster;
  cluster.directory = canonical_path(directory);
  const fs::path file = cluster.directory / "cluster.toml";
  boost::system::error_code error;
  if (!fs::exists(file, error))
    return refused(
        "there is no cluster in {}; name its directory with --dir, or make one with"
        " pairfs up",
        cluster.directory.string());
  Config config = Config::load_file(file.string());
  const int64_t version = config.required_integer("format_version", 1, 1'000'000);
  if (config.has("format_version") && version != kFormatVersion)
    return refused(
        "{} was made by another version of pairfs (format {}, this one knows {}); use"
        " that version, or another directory",
        cluster.directory.string(), version, kFormatVersion);
  cluster.id = config.required_identifier("cluster_id");
  cluster.transport = config.choice("transport", "ipc", {"ipc", "tcp"});
  cluster.link = config.choice("link", "zmq", {"zmq", "shm"});
  cluster.raid_level = static_cast<unsigned>(config.integer("raid_level", 1, 0, 10));
  cluster.reach = config.choice("reach", "dir", {"dir", "partner"});
  cluster.runtime_directory = config.string("runtime_directory", "");
  cluster.routers = config.required_strings("routers");
  cluster.router_endpoints = config.required_strings("router_endpoints");
  cluster.nodes = config.required_strings("nodes");
  const fs::path made_in = config.required_string("directory");
  if (Trouble trouble = first_problem(config)) return *trouble;
  if (made_in != cluster.directory)
    return refused(
        "the cluster in {} was made in {} and knows its elements by that path; move it"
        " back, or make the old path a symbolic link or a bind mount",
        cluster.directory.string(), made_in.string());
  return cluster;
}

Trouble write_cluster(const Cluster& cluster) {
  return write_file(
      cluster.directory / "cluster.toml",
      fmt::format(
          "# A pairfs cluster on this machine. Written by pairfs up; not meant for editing.\n"
          "format_version = {}\n"
          "cluster_id = \"{:016x}\"\n"
          "directory = {}\n"
          "transport = {}\n"
          "link = {}\n"
          "raid_level = {}\n"
          "reach = {}\n"
          "runtime_directory = {}\n"
          "routers = {}\n"
          "router_endpoints = {}\n"
          "nodes = {}\n",
          kFormatVersion, cluster.id, toml_quoted(cluster.directory.string()),
          toml_quoted(cluster.transport), toml_quoted(cluster.link), cluster.raid_level,
          toml_quoted(cluster.reach), toml_quoted(cluster.runtime_directory.string()),
          toml_quoted(cluster.routers), toml_quoted(cluster.router_endpoints),
          toml_quoted(cluster.nodes)));
}

Outcome<SupervisorSettings> read_supervisor_settings(const Cluster& cluster) {
  SupervisorSettings settings;
  boost::system::error_code error;
  if (!fs::exists(cluster.supervisor_settings(), error)) return settings;
  Config config = Config::load_file(cluster.supervisor_settings().string());
  settings.mount = config.string("mount", "");
  settings.mount_options = config.string("mount_options", "");
  settings.restart = config.boolean("restart", true);
  if (Trouble trouble = first_problem(config)) return *trouble;
  return settings;
}

Trouble write_supervisor_settings(const Cluster& cluster, const SupervisorSettings& settings) {
  return write_file(cluster.supervisor_settings(),
                    fmt::format("# Written by pairfs up.\n"
                                "mount = {}\n"
                                "mount_options = {}\n"
                                "restart = {}\n",
                                toml_quoted(settings.mount.string()),
                                toml_quoted(settings.mount_options), settings.restart));
}

}  // namespace pairfs::cli
