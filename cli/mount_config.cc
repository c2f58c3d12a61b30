#include "cli/mount_config.h"

#include <unistd.h>

#include "cli/find_cluster.h"

namespace pairfs::cli {

Trouble write_mount_config(const Cluster& cluster, const SupervisorSettings& settings) {
  if (settings.mount.empty()) return std::nullopt;
  const Daemon mount = cluster.mount();
  if (Trouble trouble = make_private_directory(mount.directory)) return trouble;
  std::string options = "wait,router=embedded,fsname=" + mount_source(cluster.router_endpoints);
  if (!settings.mount_options.empty()) options += "," + settings.mount_options;
  // It waits for its routers, as it starts together with them.
  return write_file(mount.config(),
                    fmt::format("# The mount of a local cluster. Written by each pairfs up.\n"
                                "routers = {}\n"
                                "mountpoint = {}\n"
                                "options = {}\n"
                                "own_root = {}\n"
                                "ready_file = {}\n\n[log]\nlevel = \"info\"\n",
                                toml_quoted(cluster.router_endpoints),
                                toml_quoted(settings.mount.string()), toml_quoted(options),
                                ::geteuid() != 0, toml_quoted(mount.ready_file().string())));
}

}  // namespace pairfs::cli
