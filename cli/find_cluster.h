// Which cluster a command is about: --router ENDPOINT[,...], or a local cluster's directory, by
// --dir, PAIRFS_DIR, or ./var, in this order. Any thread.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/cluster.h"

namespace pairfs::cli {

struct ClusterOptions {
  std::string directory;
  std::string routers;
};
void add_directory_option(CLI::App& app, ClusterOptions& options);
void add_cluster_options(CLI::App& app, ClusterOptions& options);  // --dir and --router

// The directory that is meant, whether or not a cluster is in it; canonical.
fs::path chosen_directory(const ClusterOptions& options);

struct Reach {
  std::vector<std::string> routers;  // endpoints
  std::optional<Cluster> local;      // when it was found by its directory
};
Outcome<Reach> find_cluster(const ClusterOptions& options);

// "host:1,tcp://a:1,ipc:///b" taken apart. Refused when a part is no endpoint.
Outcome<std::vector<std::string>> parse_endpoints(const std::string& text);

// What a mount calls itself in /proc/mounts, so that its cluster can be found from it:
// "pairfs:ENDPOINT[;ENDPOINT...][:/SUBTREE]" (a comma would end a mount option), or as fstab has it
// (common/mount_source.h); and back, nullopt for others.
std::string mount_source(const std::vector<std::string>& routers, const std::string& subtree = "");
std::optional<std::vector<std::string>> routers_of_source(std::string source);

}  // namespace pairfs::cli
