// Calls that all cases about locks share.
#pragma once

#include <sys/types.h>

#include <functional>

#include "test/posix/suite/files.h"

namespace pairfs::posix {

// fcntl(2) with F_SETLK, F_SETLKW or their OFD forms; length 0 means to the end of all offsets.
int record_lock(int fd, int command, short type, off_t start = 0, off_t length = 0);

// Runs `expect` in another process with an own descriptor of `path`.
void elsewhere(const Path& path, const std::function<void(int)>& expect);

}  // namespace pairfs::posix
