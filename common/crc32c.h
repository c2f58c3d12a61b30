// crc32c (Castagnoli), by ISA-L. Any thread.
#pragma once

#include <cstdint>

#include "common/types.h"

namespace pairfs {

// The crc of `bytes`, going on from `previous` (0 to start).
uint32_t crc32c(BytesView bytes, uint32_t previous = 0);

}  // namespace pairfs
