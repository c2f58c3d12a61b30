// Mount points: what is mounted at a path, whether it answers, and how to take it away. Never hangs
// on a mount that does not answer: looking is done in a child process with a time limit. Any
// thread.
#pragma once

#include <optional>
#include <string>

#include "cli/files.h"

namespace pairfs::cli {

struct Mounted {
  std::string type;           // "fuse.pairfs"
  std::string source;         // what the filesystem calls itself
  unsigned device_minor = 0;  // also the number of its fuse connection
  bool is_pairfs() const { return type == "fuse.pairfs"; }
};
// The topmost filesystem that is mounted exactly at `path` (canonical); nullopt: none.
std::optional<Mounted> mounted_at(const fs::path& path);

enum class Answer { kAlive, kDead, kSilent };  // kDead: "Transport endpoint is not connected"
// Asks the filesystem at `path` for its root's attributes, for up to `timeout_ms`.
Answer probe(const fs::path& path, int timeout_ms);

enum class Force { kNo, kLazy, kAbort };
// Unmounts. kNo: failed with a sentence, naming its users, when it is busy. kLazy: takes it out of
// the tree now, and lets its users end. kAbort: also ends every request that waits in it.
Trouble unmount(const fs::path& path, Force force);

// Refused when /dev/fuse cannot be used, or when an ordinary user has no fusermount3.
Trouble check_fuse_available();
// Refused unless `path` is absent (its parent exists then) or an empty directory, with nothing
// mounted at it except, when `may_be_pairfs`, a pairfs mount.
Trouble check_mount_point(const fs::path& path, bool may_be_pairfs);

}  // namespace pairfs::cli
