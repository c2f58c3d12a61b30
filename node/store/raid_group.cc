#include "node/store/raid_group.h"

#include <spdlog/spdlog.h>

#include <cstring>
#include <map>

#include "common/crc32c.h"

namespace pairfs {

const char* to_string(MemberState state) {
  switch (state) {
    case MemberState::kOk: return "ok";
    case MemberState::kMissing: return "missing";
    case MemberState::kFailed: return "failed";
    case MemberState::kRebuilding: return "rebuilding";
    case MemberState::kStale: return "stale";
  }
  return "failed";
}

std::optional<RaidLayout> RaidGroup::layout_of(uint8_t level, size_t elements, std::string* why) {
  const auto n = static_cast<uint32_t>(elements);
  if (n < 1 || n > 24) {
    *why = fmt::format("A volume has 1 to 24 elements, not {}.", elements);
    return std::nullopt;
  }
  if (level == 0) return RaidLayout{n, n, 0, 1};
  if (level == 1) return RaidLayout{n, 1, 0, n};
  *why = fmt::format("RAID level {} is not built yet; levels 0 and 1 are.", level);
  return std::nullopt;
}

RaidGroup::RaidGroup(uint8_t level, RaidLayout layout, Members members)
    : level_(level), layout_(layout), members_(std::move(members)) {}

uint64_t RaidGroup::in_sync() const {
  uint64_t mask = 0;
  for (size_t i = 0; i < size(); ++i) mask |= uint64_t{member(i).ok()} << i;
  return mask;
}

bool RaidGroup::can_serve() const {
  if (layout_.copies == 1) {
    uint32_t lost = 0;
    for (const auto& m : members_) lost += !m->ok();
    return lost <= layout_.parity_columns;
  }
  for (size_t set = 0; set < size(); set += layout_.copies) {
    bool any = false;
    for (uint32_t copy = 0; copy < layout_.copies; ++copy) any |= member(set + copy).ok();
    if (!any) return false;
  }
  return true;
}

void RaidGroup::fail(size_t index, const char* doing, int error) {
  MemberState expected = MemberState::kOk;
  if (!member(index).state.compare_exchange_strong(expected, MemberState::kFailed)) return;
  spdlog::error("element.failed element={} path={} doing={} error=\"{}\"", member(index).id,
                member(index).path, doing, std::strerror(error));
}

std::string RaidGroup::segment_name(SegmentId segment) {
  return fmt::format("segment.{}.{}.{}", segment_epoch(segment), segment_opening(segment),
                     segment_number(segment));
}

Status RaidGroup::create_segment(SegmentId segment) {
  for (size_t i = 0; i < size(); ++i) {
    if (!member(i).ok()) continue;
    auto written = member(i).element->write(segment_name(segment), 0, {});
    if (written.error() == ENOSPC || written.error() == EDQUOT) return Errno{ENOSPC};
    if (written.ok()) written = member(i).element->sync_directory("");
    if (!written.ok()) fail(i, "create segment", written.error());
  }
  return can_serve() ? success() : Status(Errno{EIO});
}

Status RaidGroup::write_stripe(const Stripe& stripe, std::span<const char> data) {
  ENSURE(data.size() == stripe.blocks * kBlockBytes, "{} bytes, {} blocks", data.size(),
         stripe.blocks);
  const std::string name = segment_name(stripe.segment);
  const uint32_t height = layout_.rows(stripe);
  auto write = [&](size_t index, BytesView bytes) -> Status {
    if (!member(index).ok()) return success();
    const auto written =
        member(index).element->write(name, stripe.row * kBlockBytes, {&bytes, 1});
    if (written.error() == ENOSPC || written.error() == EDQUOT) return Errno{ENOSPC};
    if (!written.ok()) fail(index, "write", written.error());
    return success();
  };
  for (uint32_t column = 0; column < layout_.data_columns(stripe); ++column) {
    const BytesView bytes(data.data() + column * height * kBlockBytes,
                          layout_.column_blocks(stripe, column) * kBlockBytes);
    for (uint32_t copy = 0; copy < layout_.copies; ++copy) {
      PAIRFS_TRY(write(layout_.element_of(stripe, column, copy), bytes));
    }
  }
  return can_serve() ? success() : Status(Errno{EIO});
}

Status RaidGroup::sync(SegmentId segment) {
  for (size_t i = 0; i < size(); ++i) {
    if (!member(i).ok()) continue;
    const auto synced = member(i).element->sync(segment_name(segment));
    if (!synced.ok()) fail(i, "sync", synced.error());
  }
  return can_serve() ? success() : Status(Errno{EIO});
}

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
  uint32_t chosen = 0;
  for (uint32_t i = 0; i < layout_.copies; ++i) {
    chosen = (start + i) % layout_.copies;
    if (member(layout_.element_of(stripe, column, chosen)).ok()) break;
  }
  Member& from = member(layout_.element_of(stripe, column, chosen));
  size_t good_bytes = 0;
  if (from.ok()) {
    const auto count =
        from.element->read(segment_name(stripe.segment), (stripe.row + first_row) * kBlockBytes,
                           {into, crcs.size() * kBlockBytes});
    if (count.ok()) good_bytes = *count;
  }
  for (size_t i = 0; i < crcs.size(); ++i) {
    char* block = into + i * kBlockBytes;
    const bool whole = (i + 1) * kBlockBytes <= good_bytes;
    if (whole && crc32c({block, kBlockBytes}) == crcs[i]) continue;
    PAIRFS_TRY(recover_block(stripe, column, first_row + static_cast<uint32_t>(i), crcs[i],
                             1U << chosen, block));
  }
  return success();
}

Status RaidGroup::recover_block(const Stripe& stripe, uint32_t column, uint32_t row, uint32_t crc,
                                uint32_t bad_copies, char* into) {
  for (uint32_t copy = 0; copy < layout_.copies; ++copy) {
    const size_t index = layout_.element_of(stripe, column, copy);
    if ((bad_copies >> copy & 1) != 0 || !member(index).ok()) continue;
    const auto count = member(index).element->read(
        segment_name(stripe.segment), (stripe.row + row) * kBlockBytes, {into, kBlockBytes});
    if (!count.ok() || *count != kBlockBytes || crc32c({into, kBlockBytes}) != crc) {
      bad_copies |= 1U << copy;
      continue;
    }
    for (uint32_t bad = 0; bad < layout_.copies; ++bad) {
      if ((bad_copies >> bad & 1) == 0) continue;
      repair(layout_.element_of(stripe, column, bad), stripe, row, into);
    }
    return success();
  }
  spdlog::error("block.lost segment={} row={}", segment_name(stripe.segment), stripe.row + row);
  return Errno{EIO};
}

void RaidGroup::repair(size_t index, const Stripe& stripe, uint32_t row, const char* block) {
  Member& bad = member(index);
  if (!bad.ok()) return;
  const BytesView bytes(block, kBlockBytes);
  const auto written = bad.element->write(segment_name(stripe.segment),
                                          (stripe.row + row) * kBlockBytes, {&bytes, 1});
  if (!written.ok()) {
    fail(index, "repair", written.error());
    return;
  }
  ++bad.repaired_blocks;
  spdlog::warn("block.repaired element={} segment={} row={}", bad.id,
               segment_name(stripe.segment), stripe.row + row);
}

void RaidGroup::punch(SegmentId segment, uint32_t row, uint32_t rows) {
  for (auto& m : members_) {
    if (m->ok()) {
      (void)m->element->punch(segment_name(segment), row * kBlockBytes, rows * kBlockBytes);
    }
  }
}

void RaidGroup::remove_segment(SegmentId segment) {
  for (auto& m : members_) {
    if (m->ok()) (void)m->element->unlink(segment_name(segment));
  }
}

StoreStatus RaidGroup::status() const {
  StoreStatus out;
  out.raid_level = std::to_string(level_);
  out.raid_state = can_serve() ? "optimal" : "failed";
  // Elements that share a filesystem share its space: each gets its part.
  std::map<uint64_t, uint64_t> sharers;
  std::vector<std::optional<Element::Space>> spaces;
  for (const auto& m : members_) {
    std::optional<Element::Space> space;
    if (m->element) {
      if (auto found = m->element->space(); found.ok()) space = *found;
    }
    if (space) ++sharers[space->filesystem_id];
    spaces.push_back(space);
  }
  uint64_t capacity_min = ~0ULL, available_min = ~0ULL;
  for (size_t i = 0; i < size(); ++i) {
    const Member& m = member(i);
    ElementStatus element{m.id, m.path, m.reach, to_string(m.state.load()), m.used_bytes, 0};
    if (!m.ok() && out.raid_state == "optimal") out.raid_state = "degraded";
    if (spaces[i]) {
      const uint64_t sharing = sharers[spaces[i]->filesystem_id];
      element.capacity_bytes = spaces[i]->capacity_bytes / sharing;
      if (m.ok()) {
        capacity_min = std::min(capacity_min, element.capacity_bytes);
        available_min = std::min(available_min, spaces[i]->available_bytes / sharing);
      }
    }
    out.elements.push_back(std::move(element));
  }
  if (capacity_min != ~0ULL) {
    out.capacity_bytes = capacity_min * layout_.data_columns_max;
    out.available_bytes = available_min * layout_.data_columns_max;
  }
  return out;
}

}  // namespace pairfs
