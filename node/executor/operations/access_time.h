// relatime (mount(8)): a read moves the access time only when it is not later than the last change,
// or older than a day.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

// Notes that the inode was read; an UpdateAtime command follows when relatime says so. A read is
// never logged itself, so replay does not come here.
void note_read(Context& context, const Inode& inode);

}  // namespace pairfs
