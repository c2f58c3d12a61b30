// Where a new directory lives. Directories of the top two levels are spread over the slices of all
// volumes by a hash of their name, leaving out volumes that are 10 points fuller than the emptiest;
// deeper ones stay in their parent's slice, unless its volume is that much fuller. Everything else
// takes its parent's slice. Only fresh commands ask; the outcome is in the inode's id.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

Slice place_directory(const Context& context, const Inode& parent, BytesView name);

}  // namespace pairfs
