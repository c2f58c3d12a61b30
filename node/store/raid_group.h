// The elements of one volume operated with one RAID level: stripes are written to the members that
// the layout names, read from any that has them, checked, and mended where they are bad. Also the
// one place that knows each member's state.
//
// Does not know which stripes are in use, nor whose bytes they are. Any thread; write_stripe and
// sync of one segment belong to one thread at a time.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "node/store/element_slot.h"
#include "node/store/group_record.h"
#include "node/store/stripe.h"
#include "node/store/volume_store.h"

namespace pairfs {

class RaidGroup {
 public:
  struct Member {
    ElementName name;  // changed by rename() only
    std::string missing_why;
    ElementSlot element;  // empty when it could not be opened
    std::atomic<MemberState> state = MemberState::kOk;
    std::atomic<uint64_t> repaired_blocks = 0;
    std::atomic<uint64_t> used_bytes = 0;  // of its files, as last looked at
    // Segments before this one are whole. kRebuilding: as far as it has come.
    std::atomic<SegmentId> rebuilt_to = 0;

    // It has everything: reads may go to it.
    bool ok() const { return state.load(std::memory_order_acquire) == MemberState::kOk; }
    // It gets what is written.
    bool takes_writes() const {
      const MemberState now = state.load(std::memory_order_acquire);
      return now == MemberState::kOk || now == MemberState::kRebuilding;
    }
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
  bool can_serve() const { return can_serve_with(in_sync()); }
  // The same, if just these members (bits) were ok.
  bool can_serve_with(uint64_t members) const;
  // The same, if member `index` were lost, too.
  bool can_serve_without(size_t index) const {
    return can_serve_with(in_sync() & ~(uint64_t{1} << index));
  }
  // Takes a member out because of an error; logged once. It is missing when the error says that it
  // is gone (it may come back), else failed.
  void fail(size_t index, const char* doing, int error);
  // A member gave ENOSPC: when somebody else filled it, while the others have plenty of room and
  // can do without it, it is taken out and this is a success; else ENOSPC.
  Status without_room(size_t index, const char* doing);
  // So many bytes of the member's free ones are not available (ballast.h).
  void keep_back(size_t index, uint64_t bytes);
  void set_state(size_t index, MemberState state);
  // Every member that is ok has all segments before this one; a member that goes missing needs to
  // be given only later ones when it returns.
  void note_synced(SegmentId segment) { synced_to_.store(segment); }
  void note_change() { changes_.fetch_add(1, std::memory_order_acq_rel); }
  // Another element takes the member's place; its state is not changed.
  void rename(size_t index, const ElementName& name);
  ElementName name_of(size_t index) const;
  // From now on reads leave bad copies as they are. Before anything else is called.
  void leave_as_it_is() { mends_ = false; }
  bool mends() const { return mends_; }
  // Grows with every change of a state or a name.
  uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
  // Looks at each element: gone ones are missing from then on, and one that others filled up
  // (while the rest of the group has room) is failed. Keeps the sizes for status().
  // `measure`: also what their files take, which reads every directory.
  void look_at_elements(bool measure);

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
  // Checks the parts of a stripe that are on `members` (bit i: member i), mends what is bad there
  // and writes what is missing. `crcs`: one per data block, none for a block that is not in use.
  // Rows that member `index` has of the stripe; 0: none.
  uint32_t rows_on(const Stripe& stripe, size_t index) const;
  struct StripeCheck {
    uint64_t read_blocks = 0, mended_blocks = 0;
    uint64_t lost_blocks = 0;  // in use, and good nowhere
    bool only_look = false;    // set by the caller: what would be mended is counted, not written
  };
  StripeCheck check_stripe(const Stripe& stripe, std::span<const std::optional<uint32_t>> crcs,
                           uint64_t members, bool only_look = false);
  // Best effort, on every member that takes writes.
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
  using IsGood = std::function<bool(size_t block, BytesView bytes)>;
  bool read_rows(const Stripe& stripe, uint32_t number, uint32_t first_row, size_t count,
                 char* into);
  bool recover_from_parity(const Stripe& stripe, uint32_t column, uint32_t first_row, size_t count,
                           const IsGood& is_good, char* into);
  void check_copies(const Stripe& stripe, std::span<const std::optional<uint32_t>> crcs,
                    uint64_t members, StripeCheck* out);
  void check_columns(const Stripe& stripe, std::span<const std::optional<uint32_t>> crcs,
                     uint64_t members, StripeCheck* out);
  bool mend(size_t index, const Stripe& stripe, uint32_t row, BytesView bytes, StripeCheck* out);
  void repair(size_t index, const Stripe& stripe, uint32_t row, BytesView bytes);
  bool filled_by_others(size_t index, const Element::Space& space);

  const uint8_t level_;
  const RaidLayout layout_;
  Members members_;
  bool mends_ = true;
  std::atomic<uint64_t> changes_ = 0;
  std::atomic<SegmentId> synced_to_ = 0;
  mutable std::mutex mutex_;                           // of the members' names, and of:
  std::vector<std::optional<Element::Space>> spaces_;  // as last looked at
  std::vector<uint64_t> rooms_;  // used and available bytes when first looked at
  std::vector<uint64_t> kept_back_;
};

}  // namespace pairfs
