// Plans a read through the layers: parts in overlays are remembered by reference, the rest is
// left to the base. Loop thread; the plan that results may run on a worker.
#pragma once

#include <memory>
#include <span>

#include "node/store/base_store.h"

namespace pairfs {

// `layers`: the inode's pieces, the newest layer first; null where a layer has none.
std::unique_ptr<ReadPlan> plan_layered_read(const BaseStore& base,
                                            std::span<const InodePieces* const> layers,
                                            uint64_t inode_id, uint64_t offset_bytes,
                                            uint64_t length_bytes);

}  // namespace pairfs
