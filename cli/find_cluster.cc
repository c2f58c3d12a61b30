#include "cli/find_cluster.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "common/mount_source.h"

namespace pairfs::cli {
namespace {

const std::string kSourcePrefix = "pairfs:";

}  // namespace

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
    if (part.find("://") == std::string::npos) part = "tcp://" + part;
    const bool tcp = part.starts_with("tcp://") && part.find(':', 6) != std::string::npos;
    if (!tcp && !part.starts_with("ipc:///"))
      return refused(
          "\"{}\" is not a router's endpoint; expected HOST:PORT, tcp://HOST:PORT or"
          " ipc:///PATH",
          part);
    endpoints.push_back(part);
  }
  if (endpoints.empty())
    return refused("no router is named; expected HOST:PORT, tcp://HOST:PORT or ipc:///PATH");
  return endpoints;
}

std::string mount_source(const std::vector<std::string>& routers, const std::string& subtree) {
  std::string source = kSourcePrefix;
  for (size_t i = 0; i < routers.size(); ++i) source += (i == 0 ? "" : ";") + routers[i];
  return subtree.empty() ? source : source + ":" + subtree;
}

std::optional<std::vector<std::string>> routers_of_source(std::string source) {
  if (source.starts_with(kSourcePrefix)) source.erase(0, kSourcePrefix.size());
  source = split_mount_source(source).routers;
  std::replace(source.begin(), source.end(), ';', ',');
  auto endpoints = parse_endpoints(source);
  if (!endpoints.ok()) return std::nullopt;
  return *endpoints;
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
