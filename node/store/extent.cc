#include "node/store/extent.h"

#include "node/store/fields.h"

namespace pairfs {
namespace {
constexpr char kPrivate = '\xff';
}  // namespace

Extent Extent::cut(uint64_t part_from, uint64_t part_to) const {
  Extent part;
  part.kind = kind;
  part.from = part_from;
  part.count = part_to - part_from;
  part.bytes = bytes;
  if (kind == Kind::kStored) {
    const uint64_t skip = part_from - from;
    part.stripe = stripe;
    part.first_block = first_block + static_cast<uint32_t>(skip);
    part.crcs.assign(crcs.begin() + static_cast<ptrdiff_t>(skip),
                     crcs.begin() + static_cast<ptrdiff_t>(skip + part.count));
  }
  return part;
}

Bytes extent_prefix(uint64_t inode_id) {
  Bytes key = {kPrivate, 'E'};
  put_big(&key, inode_id);
  return key;
}

Bytes extent_key(uint64_t inode_id, uint64_t from_block) {
  Bytes key = extent_prefix(inode_id);
  put_big(&key, from_block);
  return key;
}

Bytes encode_extent(const Extent& extent) {
  Bytes value;
  put_little(&value, static_cast<uint8_t>(extent.kind));
  put_little(&value, extent.count);
  if (extent.kind == Extent::Kind::kStored) {
    put_little(&value, extent.stripe.segment);
    put_little(&value, extent.stripe.row);
    put_little(&value, extent.stripe.blocks);
    put_little(&value, extent.stripe.first);
    put_little(&value, extent.first_block);
    for (const uint32_t crc : extent.crcs) put_little(&value, crc);
  }
  return value + extent.bytes;
}

std::optional<Extent> decode_extent(BytesView key, BytesView value) {
  Extent extent;
  FieldReader name(key), fields(value);
  name.take(kExtentPrefixBytes);
  extent.from = name.big<uint64_t>();
  const auto kind = fields.little<uint8_t>();
  extent.kind = static_cast<Extent::Kind>(kind);
  extent.count = fields.little<uint64_t>();
  if (!name.at_end() || !fields.complete() || extent.count == 0) return std::nullopt;
  if (extent.count > kEndBlock - extent.from) return std::nullopt;
  switch (extent.kind) {
    case Extent::Kind::kZero:
      break;
    case Extent::Kind::kInline:
      if (fields.rest().size() > kBlockBytes || extent.count != 1) return std::nullopt;
      extent.bytes = fields.take(fields.rest().size());
      break;
    case Extent::Kind::kStored:
      extent.stripe.segment = fields.little<uint64_t>();
      extent.stripe.row = fields.little<uint32_t>();
      extent.stripe.blocks = fields.little<uint32_t>();
      extent.stripe.first = fields.little<uint8_t>();
      extent.first_block = fields.little<uint32_t>();
      if (!fields.complete() || extent.count > kExtentBlocksMax ||
          fields.rest().size() != extent.count * sizeof(uint32_t) ||
          extent.first_block + extent.count > extent.stripe.blocks) {
        return std::nullopt;
      }
      for (uint64_t i = 0; i < extent.count; ++i) extent.crcs.push_back(fields.little<uint32_t>());
      break;
    default:
      return std::nullopt;
  }
  return fields.at_end() ? std::optional(std::move(extent)) : std::nullopt;
}

Bytes stripe_prefix() { return {kPrivate, 'T'}; }

Bytes stripe_key(SegmentId segment, uint32_t row) {
  Bytes key = stripe_prefix();
  put_big(&key, segment);
  put_big(&key, row);
  return key;
}

Bytes encode_stripe_use(const StripeUse& use) {
  Bytes value;
  put_little(&value, use.stripe.blocks);
  put_little(&value, use.stripe.first);
  put_little(&value, use.live_blocks);
  return value;
}

std::optional<StripeUse> decode_stripe_use(BytesView key, BytesView value) {
  StripeUse use;
  FieldReader name(key), fields(value);
  name.take(2);
  use.stripe.segment = name.big<uint64_t>();
  use.stripe.row = name.big<uint32_t>();
  use.stripe.blocks = fields.little<uint32_t>();
  use.stripe.first = fields.little<uint8_t>();
  use.live_blocks = fields.little<uint32_t>();
  if (!name.at_end() || !fields.at_end() || use.live_blocks > use.stripe.blocks ||
      use.stripe.blocks == 0) {
    return std::nullopt;
  }
  return use;
}

Bytes sequence_key() { return {kPrivate, 'S'}; }

}  // namespace pairfs
