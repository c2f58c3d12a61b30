// Waiting until a cluster that was just started serves. One thread.
#pragma once

#include "cli/cluster.h"

namespace pairfs::cli {

// Each says what it sees as it happens, and gives up after a minute without any progress, with a
// sentence that names what is missing.

// Returns when every daemon has announced that it serves. Gives up early when one refuses to start.
// The sentence shows the end of its log.
Trouble wait_for_daemons(const Cluster& cluster);

// Returns when every volume has its executor and its logger. For after wait_for_daemons(): what
// runs goes on with what it can serve.
Trouble wait_for_volumes(const Cluster& cluster);

// Returns when the mount answers; gives up as wait_for_daemons(). At once when none is wanted.
Trouble wait_for_mount(const Cluster& cluster, const SupervisorSettings& settings);

// All three, one after the other.
Trouble wait_until_ready(const Cluster& cluster, const SupervisorSettings& settings);

}  // namespace pairfs::cli
