// The xattr rows of an inode within a transaction, with the inode's flags and size of names that
// mirror them. The caller stores the inode.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

inline constexpr char kCapabilityName[] = "security.capability";

void put_xattr(Context& context, Inode& inode, BytesView name, Bytes value);
// Nothing happens when there is none.
void erase_xattr(Context& context, Inode& inode, BytesView name);

}  // namespace pairfs
