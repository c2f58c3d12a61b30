// The directory that is mounted on: what can be wrong with it, and taking a mount away from it.
// Any thread.
#pragma once

#include <string>

namespace pairfs {

struct MountPointCheck {
  bool nonempty_allowed = false;
  bool replace = false;  // a dead mount there is detached
};
// Checks /dev/fuse, fusermount3 (for an ordinary user) and the directory, and gives its absolute
// path. False: `why` is a sentence that says what to do.
bool prepare_mount_point(const MountPointCheck& check, std::string* path, std::string* why);

// Lets the kernel read so far ahead on what is mounted at `path`. Its default for FUSE is 128 KiB,
// which keeps one small request under way. Only root may; else nothing happens.
void raise_read_ahead(const std::string& path, size_t bytes);

// Unmounts `path`: at once from the name space when `lazy`, even if it is in use. Blocks until the
// kernel has let go. False: `why` is a sentence.
bool unmount(const std::string& path, bool lazy, std::string* why);

}  // namespace pairfs
