// Extents: which blocks of an inode lie where. They are rows of the store's own, beside the
// executor's, under keys whose first byte is 0xff. Formats: docs/storage_format.md.
#pragma once

#include <optional>
#include <vector>

#include "node/store/stripe.h"

namespace pairfs {

struct Extent {
  enum class Kind : uint8_t { kStored = 1, kZero = 2, kInline = 3 };
  Kind kind = Kind::kStored;
  uint64_t from = 0;  // blocks of the inode
  uint64_t count = 0;
  // kStored
  Stripe stripe;
  uint32_t first_block = 0;    // of the stripe's data blocks
  std::vector<uint32_t> crcs;  // one per block
  // kInline: the block's bytes without its trailing zeros; count is 1
  Bytes bytes;

  uint64_t to() const { return from + count; }
  BlockState state() const { return kind == Kind::kZero ? BlockState::kZero : BlockState::kData; }
  // The part of it that covers blocks [part_from, part_to).
  Extent cut(uint64_t part_from, uint64_t part_to) const;
};

inline constexpr uint64_t kExtentBlocksMax = 256;  // of a stored extent
inline constexpr size_t kExtentPrefixBytes = 10;   // of a key: all extents of one inode

Bytes extent_prefix(uint64_t inode_id);
Bytes extent_key(uint64_t inode_id, uint64_t from_block);
Bytes encode_extent(const Extent& extent);
// nullopt: the row is damaged.
std::optional<Extent> decode_extent(BytesView key, BytesView value);

// How much of a stripe is in use.
struct StripeUse {
  Stripe stripe;
  uint32_t live_blocks = 0;
};
Bytes stripe_prefix();
Bytes stripe_key(SegmentId segment, uint32_t row);
Bytes encode_stripe_use(const StripeUse& use);
std::optional<StripeUse> decode_stripe_use(BytesView key, BytesView value);

Bytes sequence_key();  // of the row with the consistency point's applied sequence

}  // namespace pairfs
