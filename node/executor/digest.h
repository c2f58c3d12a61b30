// A fingerprint of a volume's logical state: equal for two stores that executed the same commands,
// however they lay out their bytes. For tests, the simulator, and comparing two nodes. Loop thread;
// reads every byte of the volume.
#pragma once

#include "common/result.h"
#include "node/store/volume_store.h"

namespace pairfs {

// crc32c over all rows of the executor and, file by file, over every 4 KiB block that is not all
// zeros. EIO when bytes cannot be read.
Result<uint32_t> digest(const VolumeStore& store);

}  // namespace pairfs
