// Which process a node is, so that its partner can tell whether it is gone for certain. Any thread.
#pragma once

#include "common/link_messages.h"

namespace pairfs {

// Of this process; all zero where /proc does not tell.
ProcessIdentity own_process();

// Of the kernel that runs now.
std::string read_boot_id();

// True when that process ran under this very kernel, in this pid namespace, and has ended: nothing
// of it will ever run again. False whenever that is not certain.
bool surely_dead(const ProcessIdentity& process);

}  // namespace pairfs
