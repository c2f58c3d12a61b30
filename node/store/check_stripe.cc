// RaidGroup::check_stripe: what scrub and rebuild do with one stripe. Data are judged by their
// checksums; parity, which has none, by the data. Blocks that are not in use count only as what the
// parity was made of.
#include <cstring>

#include "common/crc32c.h"
#include "common/logging.h"
#include "node/store/parity.h"
#include "node/store/raid_group.h"

namespace pairfs {
namespace {

bool fits(const std::optional<uint32_t>& crc, const char* block) {
  return !crc || crc32c({block, kBlockBytes}) == *crc;
}

}  // namespace

uint32_t RaidGroup::rows_on(const Stripe& stripe, size_t index) const {
  for (uint32_t p = 0; p < layout_.parity_columns; ++p) {
    if (layout_.parity_element(stripe, p) == index) return layout_.rows(stripe);
  }
  const uint32_t columns = layout_.data_columns(stripe);
  for (uint32_t column = 0; column < columns; ++column) {
    for (uint32_t copy = 0; copy < layout_.copies; ++copy) {
      if (layout_.element_of(stripe, column, copy) == index)
        return layout_.column_blocks(stripe, column);
    }
  }
  return 0;
}

bool RaidGroup::mend(size_t index, const Stripe& stripe, uint32_t row, BytesView bytes,
                     StripeCheck* out) {
  if (out->only_look) {
    out->mended_blocks += bytes.size() / kBlockBytes;
    return true;
  }
  const auto written = member(index).element->write(segment_name(stripe.segment),
                                                    (stripe.row + row) * kBlockBytes, {&bytes, 1});
  if (!written.ok()) {
    fail(index, "mend", written.error());
    return false;
  }
  out->mended_blocks += bytes.size() / kBlockBytes;
  if (member(index).ok()) member(index).repaired_blocks += bytes.size() / kBlockBytes;
  return true;
}

RaidGroup::StripeCheck RaidGroup::check_stripe(const Stripe& stripe,
                                               std::span<const std::optional<uint32_t>> crcs,
                                               uint64_t members, bool only_look) {
  ENSURE(crcs.size() == stripe.blocks, "{} crcs, {} blocks", crcs.size(), stripe.blocks);
  StripeCheck out;
  out.only_look = only_look;
  bool any = false;
  for (size_t i = 0; i < size(); ++i) any |= (members >> i & 1) != 0 && rows_on(stripe, i) > 0;
  if (!any) return out;
  if (layout_.copies > 1) {
    check_copies(stripe, crcs, members, &out);
  } else {
    check_columns(stripe, crcs, members, &out);
  }
  if (out.lost_blocks > 0) {
    log_error("block.lost", "segment={} row={} blocks={}", segment_name(stripe.segment), stripe.row,
              out.lost_blocks);
  }
  return out;
}

void RaidGroup::check_copies(const Stripe& stripe, std::span<const std::optional<uint32_t>> crcs,
                             uint64_t members, StripeCheck* out) {
  const uint32_t height = layout_.rows(stripe);
  for (uint32_t column = 0; column < layout_.data_columns(stripe); ++column) {
    const uint32_t blocks = layout_.column_blocks(stripe, column);
    std::vector<std::vector<char>> copies(layout_.copies);
    std::vector<size_t> got_bytes(layout_.copies);
    for (uint32_t copy = 0; copy < layout_.copies; ++copy) {
      const Member& from = member(layout_.element_of(stripe, column, copy));
      copies[copy].resize(blocks * kBlockBytes);
      if (!from.takes_writes()) continue;
      const auto count =
          from.element->read(segment_name(stripe.segment), stripe.row * kBlockBytes, copies[copy]);
      if (count.ok()) got_bytes[copy] = *count;
      out->read_blocks += got_bytes[copy] / kBlockBytes;
    }
    for (uint32_t row = 0; row < blocks; ++row) {
      const std::optional<uint32_t>& crc = crcs[column * height + row];
      const char* good = nullptr;
      for (uint32_t copy = 0; copy < layout_.copies && good == nullptr; ++copy) {
        if ((row + 1) * kBlockBytes > got_bytes[copy]) continue;
        // A block that is not in use has no checksum; one that is being rebuilt proves nothing.
        if (!crc && !member(layout_.element_of(stripe, column, copy)).ok()) continue;
        const char* candidate = copies[copy].data() + row * kBlockBytes;
        if (fits(crc, candidate)) good = candidate;
      }
      if (good == nullptr) {
        if (crc) ++out->lost_blocks;
        continue;
      }
      for (uint32_t copy = 0; copy < layout_.copies; ++copy) {
        const size_t index = layout_.element_of(stripe, column, copy);
        if ((members >> index & 1) == 0 || !member(index).takes_writes()) continue;
        const bool there = (row + 1) * kBlockBytes <= got_bytes[copy];
        if (there && std::memcmp(copies[copy].data() + row * kBlockBytes, good, kBlockBytes) == 0)
          continue;
        (void)mend(index, stripe, row, {good, kBlockBytes}, out);
      }
    }
  }
}

void RaidGroup::check_columns(const Stripe& stripe, std::span<const std::optional<uint32_t>> crcs,
                              uint64_t members, StripeCheck* out) {
  const uint32_t height = layout_.rows(stripe), columns = layout_.data_columns(stripe);
  std::vector<std::vector<char>> data(columns);
  bool whole = true;  // every block that the parity is made of is known
  for (uint32_t column = 0; column < columns; ++column) {
    const size_t index = layout_.element_of(stripe, column, 0);
    const uint32_t blocks = layout_.column_blocks(stripe, column);
    data[column].resize(height * kBlockBytes);
    size_t got_bytes = 0;
    if (member(index).takes_writes()) {
      const auto count =
          member(index).element->read(segment_name(stripe.segment), stripe.row * kBlockBytes,
                                      {data[column].data(), blocks * kBlockBytes});
      if (count.ok()) got_bytes = *count;
      out->read_blocks += got_bytes / kBlockBytes;
    }
    const auto is_bad = [&](uint32_t row) {
      const auto& crc = crcs[column * height + row];
      if ((row + 1) * kBlockBytes > got_bytes) return true;
      if (!crc) return !member(index).ok();
      return !fits(crc, data[column].data() + row * kBlockBytes);
    };
    for (uint32_t row = 0; row < blocks; ++row) {
      if (!is_bad(row)) continue;
      uint32_t end = row + 1;
      while (end < blocks && is_bad(end)) ++end;
      const auto* run = &crcs[column * height + row];
      char* into = data[column].data() + row * kBlockBytes;
      const bool recovered =
          layout_.parity_columns > 0 &&
          recover_from_parity(
              stripe, column, row, end - row,
              [&](size_t i, BytesView block) { return fits(run[i], block.data()); }, into);
      if (recovered) {
        if ((members >> index & 1) != 0 && member(index).takes_writes()) {
          (void)mend(index, stripe, row, {into, (end - row) * kBlockBytes}, out);
        }
      } else {
        whole = false;
        for (uint32_t i = 0; i < end - row; ++i) out->lost_blocks += run[i].has_value();
      }
      row = end;
    }
  }
  if (layout_.parity_columns == 0 || !whole) return;
  std::vector<const char*> starts;
  for (const auto& column : data) starts.push_back(column.data());
  const size_t bytes = height * kBlockBytes;
  std::vector<char> buffer(layout_.parity_columns * bytes), stored(bytes);
  std::vector<char*> parity;
  for (uint32_t p = 0; p < layout_.parity_columns; ++p) parity.push_back(buffer.data() + p * bytes);
  compute_parity(starts, parity, bytes);
  for (uint32_t p = 0; p < layout_.parity_columns; ++p) {
    const size_t index = layout_.parity_element(stripe, p);
    if ((members >> index & 1) == 0 || !member(index).takes_writes()) continue;
    const auto count =
        member(index).element->read(segment_name(stripe.segment), stripe.row * kBlockBytes, stored);
    out->read_blocks += height;
    if (count.ok() && *count == bytes && std::memcmp(stored.data(), parity[p], bytes) == 0)
      continue;
    (void)mend(index, stripe, 0, {parity[p], bytes}, out);
  }
}

}  // namespace pairfs
