// Where the blocks of a stripe lie. A segment is one file on each element, grown in rows of 4 KiB;
// a stripe is what one append puts there: `blocks` data blocks in columns of equal height, and as
// many parity columns or copies as the RAID level has. Its width varies: few blocks take few
// columns. Arithmetic only.
#pragma once

#include <algorithm>
#include <cstdint>

#include "node/store/block.h"

namespace pairfs {

// A segment's name: who made it (ownership version and opening), and its number there.
using SegmentId = uint64_t;
constexpr SegmentId make_segment_id(uint64_t epoch, uint64_t opening, uint64_t number) {
  return epoch << 32 | (opening & 0xfff) << 20 | (number & 0xfffff);
}
constexpr uint64_t segment_epoch(SegmentId id) { return id >> 32; }
constexpr uint64_t segment_opening(SegmentId id) { return id >> 20 & 0xfff; }
constexpr uint64_t segment_number(SegmentId id) { return id & 0xfffff; }

struct Stripe {
  SegmentId segment = 0;
  uint32_t row = 0;     // where it begins in every element's file, in blocks
  uint32_t blocks = 0;  // of data
  uint8_t first = 0;    // the column that the stripe begins with: spreads small stripes
  friend bool operator==(const Stripe&, const Stripe&) = default;
};

// What a RAID level makes of a number of elements.
struct RaidLayout {
  uint32_t elements = 1;
  uint32_t data_columns_max = 1;
  uint32_t parity_columns = 0;
  uint32_t copies = 1;

  // Elements that may be lost, whichever they are, without losing data.
  uint32_t tolerance() const { return copies > 1 ? copies - 1 : parity_columns; }

  uint32_t rows(const Stripe& stripe) const {
    const uint32_t columns = std::min(data_columns_max, stripe.blocks);
    return (stripe.blocks + columns - 1) / columns;
  }
  uint32_t data_columns(const Stripe& stripe) const {
    const uint32_t height = rows(stripe);
    return (stripe.blocks + height - 1) / height;
  }
  // The element of a data column's copy.
  uint32_t element_of(const Stripe& stripe, uint32_t column, uint32_t copy) const {
    return ((column + stripe.first) * copies + copy) % elements;
  }
  uint32_t parity_element(const Stripe& stripe, uint32_t parity) const {
    return (data_columns(stripe) + parity + stripe.first) % elements;
  }
  // Blocks that it takes on all elements together.
  uint64_t stored_blocks(const Stripe& stripe) const {
    return uint64_t{stripe.blocks} * copies + uint64_t{rows(stripe)} * parity_columns;
  }
  // Blocks in a data column; only the last may be shorter than rows().
  uint32_t column_blocks(const Stripe& stripe, uint32_t column) const {
    const uint32_t height = rows(stripe);
    return std::min(height, stripe.blocks - column * height);
  }
};

}  // namespace pairfs
