// Waiting until a cluster that was just started serves. One thread.
#pragma once

#include "cli/cluster.h"

namespace pairfs::cli {

// Returns when every daemon has announced that it serves, every volume has its executor and its
// logger, and the mount answers; says each of these as it happens. Gives up early when a daemon
// refuses to start, and after a minute without any progress, with a sentence that names what is
// missing and shows the end of its log.
Trouble wait_until_ready(const Cluster& cluster, const SupervisorSettings& settings);

}  // namespace pairfs::cli
