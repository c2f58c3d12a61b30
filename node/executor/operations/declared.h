// What open.cc and sessions.cc share about declared opens.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

// Frees of orphans wait until every live session has declared its opens.
void update_all_declared(VolumeState& state);

}  // namespace pairfs
