// Can a directory hold storage elements? Any thread.
#pragma once

#include "cli/files.h"

namespace pairfs::cli {

// Tries, in files that it removes again, what elements and logs rely on: hard links, fdatasync,
// preallocation, hole punching, an exclusive lock. `directory` exists. Refused with a sentence that
// names what is missing.
Trouble check_disk(const fs::path& directory);

}  // namespace pairfs::cli
