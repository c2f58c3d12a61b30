// pairfs-node --fsck: looks at everything that this node and the elements keep of a volume while
// nobody serves it: the log, superblocks, manifests, every extent and checksum, what is counted,
// and the tree as it is with the log's tail replayed. Opens the volume as a takeover would, in
// files of its own, and confirms nothing, so that the next start finds what it would have found.
#pragma once

#include <string>

#include "node/node_config.h"

namespace pairfs {

struct OfflineCheck {
  std::string volume;     // "1.0"
  bool repair = false;    // mend what is good elsewhere
  bool only_log = false;  // look at this node's log, and at nothing else
  // Gets {"findings": [...], "log": {"damaged", "last_epoch", "last_sequence"}, "error": "..."} as
  // JSON; "log" is left out when there is none, "error" when there was none.
  std::string report_path;
};
// The process's exit code: 0 when the check was carried out, whatever it found.
int check_offline(const NodeConfig& config, const OfflineCheck& wish);

}  // namespace pairfs
