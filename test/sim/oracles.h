// What must be true of a cluster that ran and became whole again.
#pragma once

#include "test/sim/client_host.h"

namespace pairfs::sim {

// The histories of shared objects are linearizable.
void check_histories(ClusterWorld& world, const SharedObjects& shared);
// Every answered change is in the history of its volume, once; replaying the history into an empty
// store gives the executor's state and every outcome again; the cluster's entries and inodes fit
// together.
void check_volumes(ClusterWorld& world);

}  // namespace pairfs::sim
