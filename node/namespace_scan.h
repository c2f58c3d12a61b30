// What a volume has of the tree, piece by piece, for `pairfs fsck --namespace`. Loop thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "node/store/volume_store.h"

namespace pairfs {

// {"after": KEY or "", "rows": N} -> {"inodes": [[id, generation, type, links, parent id, parent's
// generation] ...], "entries": [[directory id, inode id, generation, type] ...], "after": KEY,
// "end": bool}. Numbers are JSON integers; keys are hexadecimal.
nlohmann::json scan_namespace(const VolumeStore& store, const nlohmann::json& arguments);

}  // namespace pairfs
