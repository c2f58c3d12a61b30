// The elements of one volume operated with one RAID level: stripes are written to the members that
// the layout names, read from any that has them, checked, and mended where they are bad. Also the
// one place that knows each member's state.
//
// Does not know which stripes are in use, nor whose bytes they are. Any thread; write_stripe and
// sync of one segment belong to one thread at a time.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "node/store/element.h"
#include "node/store/stripe.h"
#include "node/store/volume_store.h"

namespace pairfs {

enum class MemberState : uint8_t { kOk, kMissing, kFailed, kRebuilding, kStale };
const char* to_string(MemberState state);

class RaidGroup {
 public:
  struct Member {
    std::string id, path, reach, missing_why;
    std::unique_ptr<Element> element;  // null when it could not be opened
    std::atomic<MemberState> state = MemberState::kOk;
    std::atomic<uint64_t> repaired_blocks = 0;
    std::atomic<uint64_t> used_bytes = 0;  // of its files, as last looked at

    bool ok() const { return state.load(std::memory_order_acquire) == MemberState::kOk; }
  };
  using Members = std::vector<std::unique_ptr<Member>>;

  // Level 0, 1: 1 to 24 elements, 5: 3 to 24, 6: 4 to 24, 10: an even number from 4 to 24.
  // nullopt with a sentence otherwise.
  static std::optional<RaidLayout> layout_of(uint8_t level, size_t elements, std::string* why);

  RaidGroup(uint8_t level, RaidLayout layout, Members members);

  uint8_t level() const { return level_; }
  const RaidLayout& layout() const { return layout_; }
  size_t size() const { return members_.size(); }
  Member& member(size_t index) { return *members_[index]; }
  const Member& member(size_t index) const { return *members_[index]; }
  // Bit i: member i has everything that was ever synced.
  uint64_t in_sync() const;
  // True when every stripe can be read from the members that are ok.
  bool can_serve() const;
  // Takes a member out because of an error; logged once.
  void fail(size_t index, const char* doing, int error);

  // ---- segments ----
  static std::string segment_name(SegmentId segment);
  // Creates the segment's files; durable with the first sync().
  Status create_segment(SegmentId segment);
  // `data`: stripe.blocks blocks. ENOSPC: some member is full, nothing is lost but the place.
  Status write_stripe(const Stripe& stripe, std::span<const char> data);
  Status sync(SegmentId segment);
  // Reads data blocks [first_block, first_block + crcs.size()) of the stripe and checks them;
  // bad ones are had from other members and written anew. EIO: one of them is nowhere.
  Status read_blocks(const Stripe& stripe, uint32_t first_block, std::span<const uint32_t> crcs,
                     char* into);
  // Best effort, on every member that is ok.
  void punch(SegmentId segment, uint32_t row, uint32_t rows);
  void remove_segment(SegmentId segment);

  // used_bytes is left to the caller.
  StoreStatus status() const;

 private:
  Status read_column(const Stripe& stripe, uint32_t column, uint32_t first_row,
                     std::span<const uint32_t> crcs, char* into);
  Status write_member(size_t index, const Stripe& stripe, BytesView bytes);
  Status recover_rows(const Stripe& stripe, uint32_t column, uint32_t copy, uint32_t first_row,
                      std::span<const uint32_t> crcs, char* into);
  bool recover_from_copies(const Stripe& stripe, uint32_t column, uint32_t bad_copy, uint32_t row,
                           uint32_t crc, char* into);
  bool recover_from_parity(const Stripe& stripe, uint32_t column, uint32_t first_row,
                           std::span<const uint32_t> crcs, char* into);
  void repair(size_t index, const Stripe& stripe, uint32_t row, BytesView bytes);

  const uint8_t level_;
  const RaidLayout layout_;
  Members members_;
};

}  // namespace pairfs
