// RaidGroup::read_blocks: from the members that have the data, checked; what is bad or missing is
// computed from the others, or read from another copy, and written anew.
#include <cstring>

#include "common/crc32c.h"
#include "common/logging.h"
#include "node/store/parity.h"
#include "node/store/raid_group.h"

namespace pairfs {

Status RaidGroup::read_blocks(const Stripe& stripe, uint32_t first_block,
                              std::span<const uint32_t> crcs, char* into) {
  const uint32_t height = layout_.rows(stripe);
  while (!crcs.empty()) {
    const uint32_t column = first_block / height;
    const uint32_t row = first_block % height;
    const size_t count = std::min<size_t>(crcs.size(), height - row);
    PAIRFS_TRY(read_column(stripe, column, row, crcs.first(count), into));
    crcs = crcs.subspan(count);
    into += count * kBlockBytes;
    first_block += static_cast<uint32_t>(count);
  }
  return success();
}

Status RaidGroup::read_column(const Stripe& stripe, uint32_t column, uint32_t first_row,
                              std::span<const uint32_t> crcs, char* into) {
  // Spreads reads over the copies, the same blocks always to the same one (its page cache).
  const uint32_t start = (stripe.row + first_row) / 256;
  uint32_t chosen = start % layout_.copies;
  bool found = false;
  for (uint32_t i = 0; i < layout_.copies; ++i) {
    const uint32_t copy = (start + i) % layout_.copies;
    const Member& candidate = member(layout_.element_of(stripe, column, copy));
    if (!candidate.ok()) continue;
    if (!found || !candidate.element->is_remote()) chosen = copy;
    found = true;
    if (!candidate.element->is_remote()) break;
  }
  Member& from = member(layout_.element_of(stripe, column, chosen));
  size_t good_bytes = 0;
  if (from.ok()) {
    const auto count =
        from.element->read(segment_name(stripe.segment), (stripe.row + first_row) * kBlockBytes,
                           {into, crcs.size() * kBlockBytes});
    if (count.ok()) good_bytes = *count;
  }
  auto is_bad = [&](size_t i) {
    return (i + 1) * kBlockBytes > good_bytes ||
           crc32c({into + i * kBlockBytes, kBlockBytes}) != crcs[i];
  };
  for (size_t i = 0; i < crcs.size(); ++i) {
    if (!is_bad(i)) continue;
    size_t end = i + 1;
    while (end < crcs.size() && is_bad(end)) ++end;
    PAIRFS_TRY(recover_rows(stripe, column, chosen, first_row + static_cast<uint32_t>(i),
                            crcs.subspan(i, end - i), into + i * kBlockBytes));
    i = end;
  }
  return success();
}

// `copy` of the column is bad from first_row on.
Status RaidGroup::recover_rows(const Stripe& stripe, uint32_t column, uint32_t copy,
                               uint32_t first_row, std::span<const uint32_t> crcs, char* into) {
  bool recovered = true;
  if (layout_.copies > 1) {
    for (size_t i = 0; i < crcs.size() && recovered; ++i) {
      recovered = recover_from_copies(stripe, column, copy, first_row + static_cast<uint32_t>(i),
                                      crcs[i], into + i * kBlockBytes);
    }
  } else {
    const auto is_good = [&](size_t i, BytesView block) { return crc32c(block) == crcs[i]; };
    recovered = layout_.parity_columns > 0 &&
                recover_from_parity(stripe, column, first_row, crcs.size(), is_good, into);
  }
  if (recovered) {
    repair(layout_.element_of(stripe, column, copy), stripe, first_row,
           {into, crcs.size() * kBlockBytes});
    return success();
  }
  log_error("block.lost", "segment={} row={} blocks={}", segment_name(stripe.segment),
            stripe.row + first_row, crcs.size());
  return Errno{EIO};
}

bool RaidGroup::recover_from_copies(const Stripe& stripe, uint32_t column, uint32_t bad_copy,
                                    uint32_t row, uint32_t crc, char* into) {
  for (uint32_t copy = 0; copy < layout_.copies; ++copy) {
    const Member& from = member(layout_.element_of(stripe, column, copy));
    if (copy == bad_copy || !from.ok()) continue;
    const auto count = from.element->read(segment_name(stripe.segment),
                                          (stripe.row + row) * kBlockBytes, {into, kBlockBytes});
    if (count.ok() && *count == kBlockBytes && crc32c({into, kBlockBytes}) == crc) return true;
  }
  return false;
}

// Bytes of rows [first_row, first_row + count) of a column, data or parity; false: not to be had.
bool RaidGroup::read_rows(const Stripe& stripe, uint32_t number, uint32_t first_row, size_t count,
                          char* into) {
  const uint32_t columns = layout_.data_columns(stripe);
  const bool is_data = number < columns;
  const size_t index = is_data ? layout_.element_of(stripe, number, 0)
                               : layout_.parity_element(stripe, number - columns);
  // Behind the end of a short last column there are zeros that no element keeps.
  const uint32_t height = is_data ? layout_.column_blocks(stripe, number) : layout_.rows(stripe);
  const size_t bytes = count * kBlockBytes;
  const size_t stored =
      height <= first_row ? 0 : std::min<size_t>(bytes, (height - first_row) * kBlockBytes);
  std::memset(into + stored, 0, bytes - stored);
  if (stored == 0) return true;
  if (!member(index).ok()) return false;
  const auto there = member(index).element->read(
      segment_name(stripe.segment), (stripe.row + first_row) * kBlockBytes, {into, stored});
  return there.ok() && *there == stored;
}

bool RaidGroup::recover_from_parity(const Stripe& stripe, uint32_t column, uint32_t first_row,
                                    size_t count, const IsGood& is_good, char* into) {
  const uint32_t columns = layout_.data_columns(stripe);
  const uint32_t all = columns + layout_.parity_columns;
  const size_t bytes = count * kBlockBytes;
  const std::unique_ptr<char[]> buffer(new char[all * bytes]);
  std::vector<GivenColumn> there;
  uint32_t next = 0;
  const auto read_next = [&] {
    for (; next < all; ++next) {
      char* const at = buffer.get() + next * bytes;
      if (next == column || !read_rows(stripe, next, first_row, count, at)) continue;
      there.push_back({next++, at});
      return true;
    }
    return false;
  };
  while (there.size() < columns) {
    if (!read_next()) return false;
  }
  const auto block_at = [](const char* from, size_t i) {
    return BytesView(from + i * kBlockBytes, kBlockBytes);
  };
  reconstruct_column(columns, layout_.parity_columns, there, column, into, bytes);
  std::vector<bool> good(count);
  size_t missing = 0;
  for (size_t i = 0; i < count; ++i) {
    good[i] = is_good(i, block_at(into, i));
    missing += !good[i];
  }
  if (missing == 0) return true;
  // One of those that were used may be bad unnoticed. With a column more than needed each is left
  // out in turn until the checksum fits, block by block, as different blocks may be bad.
  if (!read_next()) return false;
  std::vector<char> attempt(bytes);
  for (size_t left_out = 0; left_out < columns && missing > 0; ++left_out) {
    std::vector<GivenColumn> given = there;
    given.erase(given.begin() + static_cast<ptrdiff_t>(left_out));
    reconstruct_column(columns, layout_.parity_columns, given, column, attempt.data(), bytes);
    for (size_t i = 0; i < count; ++i) {
      const BytesView block = block_at(attempt.data(), i);
      if (good[i] || !is_good(i, block)) continue;
      std::memcpy(into + i * kBlockBytes, block.data(), kBlockBytes);
      good[i] = true;
      --missing;
    }
  }
  return missing == 0;
}

void RaidGroup::repair(size_t index, const Stripe& stripe, uint32_t row, BytesView bytes) {
  Member& bad = member(index);
  if (!bad.ok() || !mends_) return;
  const auto written = bad.element->write(segment_name(stripe.segment),
                                          (stripe.row + row) * kBlockBytes, {&bytes, 1});
  if (!written.ok()) {
    fail(index, "repair", written.error());
    return;
  }
  bad.repaired_blocks += bytes.size() / kBlockBytes;
  log_warn("block.repaired", "element={} segment={} row={} blocks={}", name_of(index).id,
           segment_name(stripe.segment), stripe.row + row, bytes.size() / kBlockBytes);
}

}  // namespace pairfs
