// The parts of the kernel's FUSE protocol that libfuse 3.14 does not pass on. With
// FUSE_HANDLE_KILLPRIV_V2 the kernel says in each write and truncate whether setuid and setgid bits
// must go, rather than ask for security.capability before each write. Source: linux/fuse.h.
#pragma once

#include <sys/uio.h>

#include "common/types.h"

namespace pairfs {

// Of a WRITE or SETATTR request as read from /dev/fuse: setuid and setgid bits must be cleared.
bool asks_to_kill_privileges(BytesView request);
// An INIT request from a kernel that knows FUSE_HANDLE_KILLPRIV_V2.
bool offers_kill_privileges(BytesView request);
// Takes the offer in libfuse's reply to INIT.
void accept_kill_privileges(iovec* reply, int count);

}  // namespace pairfs
