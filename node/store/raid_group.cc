#include "node/store/raid_group.h"

#include <cstring>

#include "common/logging.h"
#include "node/store/parity.h"

namespace pairfs {

namespace {

// More than this is plenty of room for an element beside a full one.
constexpr uint64_t kPlentyBytes = 64 << 20;

bool is_no_space(int error) { return error == ENOSPC || error == EDQUOT; }

// The whole element is not there, rather than bad.
bool is_gone(int error) {
  return error == ENOENT || error == ESTALE || error == ENODEV || error == ENXIO ||
         error == ENOTCONN || error == EHOSTUNREACH || error == ETIMEDOUT;
}

void add_share(const Element::Space& space, CappedList<FilesystemShare, 64>* shares) {
  for (FilesystemShare& share : *shares) {
    if (share.id != space.filesystem_id) continue;
    ++share.elements;
    share.available_bytes = std::min(share.available_bytes, space.available_bytes);
    return;
  }
  shares->push_back({space.filesystem_id, 1, space.available_bytes});
}

}  // namespace

std::optional<RaidLayout> RaidGroup::layout_of(uint8_t level, size_t elements, std::string* why) {
  const auto n = static_cast<uint32_t>(elements);
  if (n < 1 || n > 24) {
    *why = fmt::format("A volume has 1 to 24 elements, not {}.", elements);
    return std::nullopt;
  }
  switch (level) {
    case 0:
      return RaidLayout{n, n, 0, 1};
    case 1:
      return RaidLayout{n, 1, 0, n};
    case 5:
      if (n >= 3) return RaidLayout{n, n - 1, 1, 1};
      *why = fmt::format("RAID level 5 needs at least 3 elements, not {}.", n);
      return std::nullopt;
    case 6:
      if (n >= 4) return RaidLayout{n, n - 2, 2, 1};
      *why = fmt::format("RAID level 6 needs at least 4 elements, not {}.", n);
      return std::nullopt;
    case 10:
      if (n >= 4 && n % 2 == 0) return RaidLayout{n, n / 2, 0, 2};
      *why = fmt::format("RAID level 10 needs an even number of at least 4 elements, not {}.", n);
      return std::nullopt;
    default:
      *why = fmt::format("There is no RAID level {}; 0, 1, 5, 6 and 10 are known.", level);
      return std::nullopt;
  }
}

RaidGroup::RaidGroup(uint8_t level, RaidLayout layout, Members members)
    : level_(level),
      layout_(layout),
      members_(std::move(members)),
      spaces_(members_.size()),
      rooms_(members_.size()),
      kept_back_(members_.size()) {}

uint64_t RaidGroup::in_sync() const {
  uint64_t mask = 0;
  for (size_t i = 0; i < size(); ++i) mask |= uint64_t{member(i).ok()} << i;
  return mask;
}

bool RaidGroup::can_serve_with(uint64_t members) const {
  const auto has = [&](size_t i) { return (members >> i & 1) != 0; };
  if (layout_.copies == 1) {
    uint32_t lost = 0;
    for (size_t i = 0; i < size(); ++i) lost += !has(i);
    return lost <= layout_.parity_columns;
  }
  for (size_t set = 0; set < size(); set += layout_.copies) {
    bool any = false;
    for (uint32_t copy = 0; copy < layout_.copies; ++copy) any |= has(set + copy);
    if (!any) return false;
  }
  return true;
}

void RaidGroup::fail(size_t index, const char* doing, int error) {
  const MemberState now = is_gone(error) ? MemberState::kMissing : MemberState::kFailed;
  MemberState before = member(index).state.load();
  do {
    if (before == MemberState::kMissing || before == MemberState::kFailed) return;
  } while (!member(index).state.compare_exchange_weak(before, now));
  if (before == MemberState::kOk) member(index).rebuilt_to = synced_to_.load();
  changes_.fetch_add(1, std::memory_order_acq_rel);
  const ElementName name = name_of(index);
  log_error("element.state", "state={} element={} path={} doing=\"{}\" error=\"{}\"",
            to_string(now), name.id, name.path, doing, std::strerror(error));
}

void RaidGroup::set_state(size_t index, MemberState state) {
  if (member(index).state.exchange(state) == state) return;
  changes_.fetch_add(1, std::memory_order_acq_rel);
  const ElementName name = name_of(index);
  log_warn("element.state", "element={} path={} state={}", name.id, name.path, to_string(state));
}

void RaidGroup::rename(size_t index, const ElementName& name) {
  std::lock_guard lock(mutex_);
  member(index).name = name;
  rooms_[index] = kept_back_[index] = 0;  // it may be on another disk
  changes_.fetch_add(1, std::memory_order_acq_rel);
}

ElementName RaidGroup::name_of(size_t index) const {
  std::lock_guard lock(mutex_);
  return member(index).name;
}

void RaidGroup::keep_back(size_t index, uint64_t bytes) {
  std::lock_guard lock(mutex_);
  kept_back_[index] = bytes;
}

// Half of the room that the group once had there is neither free nor its own any more.
bool RaidGroup::filled_by_others(size_t index, const Element::Space& space) {
  if (const auto used = member(index).element->used_bytes(); used.ok())
    member(index).used_bytes = *used;
  std::lock_guard lock(mutex_);
  return member(index).used_bytes + space.available_bytes < rooms_[index] / 2;
}

Status RaidGroup::without_room(size_t index, const char* doing) {
  if (!can_serve_without(index)) return Errno{ENOSPC};
  const auto full = member(index).element->space();
  if (!full.ok() || !filled_by_others(index, *full)) return Errno{ENOSPC};
  for (size_t i = 0; i < size(); ++i) {
    if (i == index || !member(i).ok()) continue;
    const auto other = member(i).element->space();
    if (!other.ok() || other->filesystem_id == full->filesystem_id ||
        other->available_bytes < kPlentyBytes + 4 * full->available_bytes) {
      return Errno{ENOSPC};
    }
  }
  fail(index, doing, ENOSPC);
  return success();
}

std::string RaidGroup::segment_name(SegmentId segment) {
  return fmt::format("segment.{}.{}.{}", segment_epoch(segment), segment_opening(segment),
                     segment_number(segment));
}

Status RaidGroup::create_segment(SegmentId segment) {
  for (size_t i = 0; i < size(); ++i) {
    if (!member(i).takes_writes()) continue;
    auto written = member(i).element->write(segment_name(segment), 0, {});
    if (written.ok()) written = member(i).element->sync_directory("");
    if (is_no_space(written.error())) {
      PAIRFS_TRY(without_room(i, "create segment"));
    } else if (!written.ok()) {
      fail(i, "create segment", written.error());
    }
  }
  return can_serve() ? success() : Status(Errno{EIO});
}

Status RaidGroup::write_member(size_t index, const Stripe& stripe, BytesView bytes) {
  if (!member(index).takes_writes()) return success();
  const auto written = member(index).element->write(segment_name(stripe.segment),
                                                    stripe.row * kBlockBytes, {&bytes, 1});
  if (is_no_space(written.error())) return without_room(index, "write");
  if (!written.ok()) fail(index, "write", written.error());
  return success();
}

Status RaidGroup::write_stripe(const Stripe& stripe, std::span<const char> data) {
  ENSURE(data.size() == stripe.blocks * kBlockBytes, "{} bytes, {} blocks", data.size(),
         stripe.blocks);
  const size_t column_bytes = layout_.rows(stripe) * kBlockBytes;
  const uint32_t columns = layout_.data_columns(stripe);
  std::vector<const char*> starts;
  for (uint32_t column = 0; column < columns; ++column) {
    starts.push_back(data.data() + column * column_bytes);
    const BytesView bytes(starts.back(), layout_.column_blocks(stripe, column) * kBlockBytes);
    for (uint32_t copy = 0; copy < layout_.copies; ++copy) {
      PAIRFS_TRY(write_member(layout_.element_of(stripe, column, copy), stripe, bytes));
    }
  }
  if (layout_.parity_columns > 0) {
    // The last column counts as if zeros filled it up.
    std::vector<char> last(column_bytes);
    std::memcpy(last.data(), starts.back(), data.size() - (columns - 1) * column_bytes);
    starts.back() = last.data();
    std::vector<char> buffer(layout_.parity_columns * column_bytes);
    std::vector<char*> parity;
    for (uint32_t p = 0; p < layout_.parity_columns; ++p) {
      parity.push_back(buffer.data() + p * column_bytes);
    }
    compute_parity(starts, parity, column_bytes);
    for (uint32_t p = 0; p < layout_.parity_columns; ++p) {
      PAIRFS_TRY(
          write_member(layout_.parity_element(stripe, p), stripe, {parity[p], column_bytes}));
    }
  }
  return can_serve() ? success() : Status(Errno{EIO});
}

Status RaidGroup::sync(SegmentId segment) {
  for (size_t i = 0; i < size(); ++i) {
    if (!member(i).takes_writes()) continue;
    const auto synced = member(i).element->sync(segment_name(segment));
    if (is_no_space(synced.error())) {
      PAIRFS_TRY(without_room(i, "sync"));
    } else if (!synced.ok()) {
      fail(i, "sync", synced.error());
    }
  }
  return can_serve() ? success() : Status(Errno{EIO});
}

void RaidGroup::punch(SegmentId segment, uint32_t row, uint32_t rows) {
  for (auto& m : members_) {
    if (m->takes_writes()) {
      (void)m->element->punch(segment_name(segment), row * kBlockBytes, rows * kBlockBytes);
    }
  }
}

void RaidGroup::remove_segment(SegmentId segment) {
  for (auto& m : members_) {
    if (m->takes_writes()) (void)m->element->unlink(segment_name(segment));
  }
}

void RaidGroup::look_at_elements(bool measure) {
  for (size_t i = 0; i < size(); ++i) {
    if (!member(i).element) continue;
    const auto space = member(i).element->space();
    if (!space.ok()) {
      if (member(i).takes_writes()) fail(i, "look", space.error());
      continue;
    }
    if (measure) {
      if (const auto used = member(i).element->used_bytes(); used.ok())
        member(i).used_bytes = *used;
    }
    const uint64_t room = member(i).used_bytes + space->available_bytes;
    std::lock_guard lock(mutex_);
    if (rooms_[i] == 0) rooms_[i] = room;
    spaces_[i] = *space;
  }
  // Somebody else filled one up: without it there is room.
  for (size_t i = 0; i < size(); ++i) {
    if (member(i).takes_writes() && spaces_[i] && spaces_[i]->available_bytes <= kPlentyBytes / 4)
      (void)without_room(i, "find room");
  }
}

StoreStatus RaidGroup::status() const {
  StoreStatus out;
  out.raid_level = std::to_string(level_);
  out.raid_state = can_serve() ? "optimal" : "failed";
  std::lock_guard lock(mutex_);
  std::vector<std::optional<Element::Space>> spaces = spaces_;
  for (size_t i = 0; i < size(); ++i) {
    const Member& m = member(i);
    if (m.takes_writes() && !m.element->is_remote()) {
      if (const auto now = m.element->space(); now.ok()) spaces[i] = *now;
    }
    const MemberState state = m.state.load();
    if (state == MemberState::kRebuilding && out.raid_state != "failed") {
      out.raid_state = "rebuilding";
    } else if (state != MemberState::kOk && out.raid_state == "optimal") {
      out.raid_state = "degraded";
    }
    ElementStatus element{m.name.id, m.name.path, m.name.reach, to_string(state), m.used_bytes};
    element.repaired_blocks = m.repaired_blocks;
    if (spaces[i]) {
      element.filesystem_id = spaces[i]->filesystem_id;
      element.capacity_bytes = spaces[i]->capacity_bytes;
      spaces[i]->available_bytes -= std::min(spaces[i]->available_bytes, kept_back_[i]);
      if (m.takes_writes()) add_share(*spaces[i], &out.space.filesystems);
    }
    out.elements.push_back(std::move(element));
  }
  out.space.data_columns = layout_.data_columns_max;
  out.available_bytes = sum_space({out.space}).available_bytes;
  return out;
}

}  // namespace pairfs
