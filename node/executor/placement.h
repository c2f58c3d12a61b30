// Where a new directory lives. Directories of the top levels (two, unless the cluster's policy says
// otherwise) are spread over the slices of all volumes by a hash of their name, leaving out volumes
// that are 10 points (policy) fuller than the emptiest and pairs that are drained; deeper ones stay
// in their parent's slice, unless its volume is that much fuller. The children of a directory with
// the attribute kPinAttribute go to the pair that it names. Everything else takes its parent's
// slice. Only fresh commands ask; the outcome is in the inode's id.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

inline constexpr BytesView kPinAttribute = "user.pairfs.pair";  // decimal

Slice place_directory(const Context& context, const Inode& parent, BytesView name);

}  // namespace pairfs
