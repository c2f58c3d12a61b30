#include "cli/find_cluster.h"

#include <cstdlib>
#include <sstream>

namespace pairfs::cli {

void add_directory_option(CLI::App& app, ClusterOptions& options) {
  app.add_option("--dir", options.directory,
                 "The cluster's directory (default: $PAIRFS_DIR, else ./var)")
      ->type_name("DIR");
}

void add_cluster_options(CLI::App& app, ClusterOptions& options) {
  add_directory_option(app, options);
  app.add_option("--router", options.routers,
                 "Routers of the cluster instead of its directory, such as tcp://127.0.0.1:7400")
      ->type_name("ENDPOINT[,ENDPOINT...]")
      ->excludes("--dir");
}

fs::path chosen_directory(const ClusterOptions& options) {
  if (!options.directory.empty()) return canonical_path(options.directory);
  const char* environment = std::getenv("PAIRFS_DIR");
  return canonical_path(environment != nullptr && *environment != '\0' ? environment : "var");
}

Outcome<std::vector<std::string>> parse_endpoints(const std::string& text) {
  std::vector<std::string> endpoints;
  std::istringstream in(text);
  for (std::string part; std::getline(in, part, ',');) {
    const bool tcp = part.starts_with("tcp://") && part.find(':', 6) != std::string::npos;
    const bool ipc = part.starts_with("ipc:///");
    if (!tcp && !ipc)
      return refused("\"{}\" is not a router's endpoint; expected tcp://HOST:PORT or ipc:///PATH", part);
    endpoints.push_back(part);
  }
  if (endpoints.empty())
    return refused("no router is named; expected tcp://HOST:PORT or ipc:///PATH");
  return endpoints;
}

Outcome<Reach> find_cluster(const ClusterOptions& options) {
  if (!options.routers.empty()) {
    auto endpoints = parse_endpoints(options.routers);
    if (!endpoints.ok()) return endpoints.problem();
    return Reach{*endpoints, std::nullopt};
  }
  auto cluster = read_cluster(chosen_directory(options));
  if (!cluster.ok()) return cluster.problem();
  return Reach{cluster->router_endpoints, *cluster};
}

}  // namespace pairfs::cli
