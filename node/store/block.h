// The block: the unit of allocation, of checksums and of alignment in segments. Arithmetic only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "node/store/volume_store.h"

namespace pairfs {

inline constexpr uint64_t kBlockBytes = 4096;
inline constexpr uint64_t kEndBlock = uint64_t{1} << 52;  // one past the last block of any inode

constexpr uint64_t block_floor(uint64_t offset_bytes) { return offset_bytes / kBlockBytes; }
// The first block that begins at or behind the offset; kToEnd gives kEndBlock.
constexpr uint64_t block_ceil(uint64_t offset_bytes) {
  return offset_bytes / kBlockBytes + (offset_bytes % kBlockBytes != 0 ? 1 : 0);
}
// Where a block begins; kEndBlock gives kToEnd.
constexpr uint64_t block_start(uint64_t block) {
  return block >= kEndBlock ? Changes::kToEnd : block * kBlockBytes;
}
// offset + length, kToEnd when that is beyond any offset.
constexpr uint64_t range_end(uint64_t offset_bytes, uint64_t length_bytes) {
  return length_bytes > Changes::kToEnd - offset_bytes ? Changes::kToEnd
                                                       : offset_bytes + length_bytes;
}

// Bytes [from, to) of an inode.
struct ByteRange {
  uint64_t from = 0;
  uint64_t to = 0;
  friend bool operator==(const ByteRange&, const ByteRange&) = default;
};

// What a block of an inode is. A write makes kData; zeroing a whole block makes kZero (and a hole
// that is zeroed in part); punching a whole block makes kHole. Anything in part of a block zeroes
// those bytes and leaves the state. So the state does not depend on when consistency points were.
enum class BlockState : uint8_t { kHole = 0, kZero = 1, kData = 2 };

}  // namespace pairfs
