// The TOML file of a local cluster's own mount. Any thread.
#pragma once

#include "cli/cluster.h"

namespace pairfs::cli {

// Writes DIR/mount/mount.toml; nothing when the settings name no mount.
Trouble write_mount_config(const Cluster& cluster, const SupervisorSettings& settings);

}  // namespace pairfs::cli
