// What is written where a filesystem's source is expected, in mount(8), fstab(5) and `pairfs
// mount`:
//   router1:7400,router2:7400           the whole cluster
//   router1:7400,router2:7400:/projects  the tree below one directory of it
// No I/O. Any thread.
#pragma once

#include <string>

namespace pairfs {

struct MountSource {
  std::string routers;  // as written, separated by commas
  std::string subtree;  // "/projects/a", without a slash at its end; empty: the whole cluster
};

// The subtree begins at the first ":/" that is not the one of "tcp://" or "ipc://". Takes anything;
// whether the routers are right is for others to say.
MountSource split_mount_source(const std::string& text);

}  // namespace pairfs
