// Goes through all stripes of a volume and checks them (RaidGroup::check_stripe), a bit at a time:
// what scrub and rebuild have in common. Checksums are found by going through all extents once for
// every few GiB of stripes.
//
// Worker thread; nothing is punched while step() runs. Stripes that are written after the walk
// began may be left out: they are on every member that takes writes.
#pragma once

#include <map>
#include <memory>
#include <set>

#include "node/store/extent.h"
#include "node/store/raid_group.h"
#include "node/store/row_table.h"

namespace pairfs {

// The stripes of each segment that have blocks in use, by first row.
struct SegmentUse {
  struct InUse {
    Stripe stripe;
    uint32_t live_blocks = 0;
  };
  std::map<uint32_t, InUse> stripes;
};
using SegmentUses = std::map<SegmentId, SegmentUse>;

class StripeWalk {
 public:
  // Checks the parts on `members` (bits), from segment `from` on. Of segments before `trusted` only
  // those are checked whose files on these members are too short or missing.
  StripeWalk(const RowTable& rows, const SegmentUses& uses, RaidGroup& group, uint64_t members,
             SegmentId from, SegmentId trusted = 0, bool only_look = false);

  // Works until `deadline`; true when all is done.
  bool step(Instant deadline);
  // Segments before this one are done.
  SegmentId done_to() const { return done_to_; }
  uint64_t done_bytes() const { return done_rows_ * kBlockBytes * group_.layout().elements; }
  uint64_t total_bytes() const { return total_rows_ * kBlockBytes * group_.layout().elements; }
  const RaidGroup::StripeCheck& sum() const { return sum_; }

 private:
  struct Stripes {
    Stripe stripe;
    std::vector<std::optional<uint32_t>> crcs;
  };
  void choose_window();
  bool looks_whole(SegmentId segment, const SegmentUse& use) const;
  bool load(Instant deadline);
  void finish_segment(SegmentId segment);

  static constexpr uint64_t kWindowBlocks = 2 << 20;  // 8 GiB of data, 16 MiB of memory

  const RowTable& rows_;
  const SegmentUses& uses_;
  RaidGroup& group_;
  const uint64_t members_;
  SegmentId done_to_, window_end_ = 0, last_ = 0;
  const SegmentId trusted_;
  const bool only_look_;
  std::set<SegmentId> skipped_;  // of the window
  std::map<std::pair<SegmentId, uint32_t>, Stripes> window_;
  std::unique_ptr<RowCursor> loading_;
  bool have_window_ = false;
  uint64_t done_rows_ = 0, total_rows_ = 0;
  RaidGroup::StripeCheck sum_;
};

}  // namespace pairfs
