#include "cli/daemon_config.h"

namespace pairfs::cli {
namespace {

std::string common_part(const Cluster& cluster, const std::string& name) {
  const fs::path directory = cluster.directory / name;
  return fmt::format(
      "# {} of a local cluster. Written once by pairfs up; yours to edit while it is stopped.\n"
      "name = {}\n"
      "cluster_id = \"{:016x}\"\n"
      "ready_file = {}\n",
      name, toml_quoted(name), cluster.id, toml_quoted((directory / "ready").string()));
}

std::string map_endpoints(const ClusterMap& map) {
  std::vector<std::string> endpoints;
  for (const RouterInfo& router : map.routers)
    if (!router.map_endpoint.empty()) endpoints.push_back(router.map_endpoint);
  return toml_quoted(endpoints);
}

}  // namespace

std::string router_config(const Cluster& cluster, const ClusterMap& map, const RouterInfo& router) {
  std::string text = common_part(cluster, router.name);
  text += fmt::format("listen = {}\n\n[map]\n", toml_quoted(router.endpoint));
  if (router.map_endpoint.empty()) {
    text += fmt::format("endpoints = {}\n", map_endpoints(map));
  } else {
    text += fmt::format("dir = {}\nlisten = {}\n",
                        toml_quoted((cluster.directory / router.name / "map").string()),
                        toml_quoted(router.map_endpoint));
  }
  return text + "\n[log]\nlevel = \"info\"\n";
}

std::string node_config(const Cluster& cluster, const ClusterMap& map, const NodeInfo& node) {
  std::string link;
  if (cluster.link == "shm")
    link = fmt::format("\n[link]\nkind = \"shm\"\ndir = {}\n",
                       toml_quoted(cluster.link_directory().string()));
  return common_part(cluster, node.name) +
         fmt::format("state_dir = {}\n\n[map]\nendpoints = {}\n{}\n[log]\nlevel = \"info\"\n",
                     toml_quoted((cluster.directory / node.name / "state").string()),
                     map_endpoints(map), link);
}

}  // namespace pairfs::cli
