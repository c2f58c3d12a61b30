// What Open and CreateFile have in common.
#pragma once

#include "node/executor/inodes.h"

namespace pairfs {

// What open(2)'s flags ask of an existing inode: EISDIR, ELOOP (a symlink), EACCES.
Status check_open(const Context& context, const Inode& inode, uint32_t flags,
                  const Credentials& credentials);

}  // namespace pairfs
