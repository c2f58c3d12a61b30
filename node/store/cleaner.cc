// The Keeper's cleaner: stripes of which little is in use, or which are narrower than the level's
// full width, hold space that nobody uses. What is in use in them is written anew by the next
// consistency points; then they are given back as a whole. Moves are physical: never logged.
#include <algorithm>

#include "common/map_store.h"
#include "node/store/fields.h"
#include "node/store/keeper.h"

namespace pairfs {
namespace {

constexpr Duration kCleanPeriod = std::chrono::seconds(5);
// Stored blocks may be this much above what the blocks in use need at full width.
constexpr double kWasteMax = 1.10;
constexpr uint64_t kWasteSlackBlocks = 2048;    // 8 MiB: not worth the trouble
constexpr double kDenseEnough = 0.90;           // such stripes stay
constexpr uint64_t kVictimBlocksMax = 16384;    // in use, found by one scan: 64 MiB
constexpr uint64_t kMoveBlocksPerPoint = 4096;  // 16 MiB

}  // namespace

// True when there is something worth cleaning.
bool Keeper::choose_victims() {
  const RaidLayout& layout = group_.layout();
  const double redundancy =
      static_cast<double>(layout.elements) / static_cast<double>(layout.data_columns_max);
  struct Candidate {
    double density;
    std::pair<SegmentId, uint32_t> name;
    uint32_t live_blocks;
  };
  std::vector<Candidate> candidates;
  double stored = 0, needed = 0;
  for (const auto& [segment, use] : uses_) {
    for (const auto& [row, in_use] : use.stripes) {
      const auto takes = static_cast<double>(layout.stored_blocks(in_use.stripe));
      const double needs = in_use.live_blocks * redundancy;
      stored += takes;
      needed += needs;
      // What is dead altogether is given back without any help.
      if (in_use.live_blocks > 0 && needs < kDenseEnough * takes)
        candidates.push_back({needs / takes, {segment, row}, in_use.live_blocks});
    }
  }
  victims_.clear();
  if (stored <= needed * kWasteMax + static_cast<double>(kWasteSlackBlocks)) return false;
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.density < b.density; });
  uint64_t live = 0;
  for (const Candidate& candidate : candidates) {
    victims_.insert(candidate.name);
    live += candidate.live_blocks;
    if (live >= kVictimBlocksMax) break;
  }
  return !victims_.empty();
}

void Keeper::clean(Instant deadline) {
  if (!scan_) {
    if (!moves_.empty() || boot_now() < clean_at_ || !group_.can_serve()) return;
    clean_at_ = boot_now() + kCleanPeriod;
    if (!choose_victims()) return;
    const Bytes begin = extent_prefix(0).substr(0, 2);
    Bytes end = begin;
    ++end.back();
    scan_ = parts_.table->rows(begin, end);
  }
  for (int count = 1; scan_->valid(); ++count) {
    const auto extent = decode_extent(scan_->key(), scan_->value());
    ENSURE(extent, "an extent row cannot be understood");
    if (extent->kind == Extent::Kind::kStored &&
        victims_.contains({extent->stripe.segment, extent->stripe.row})) {
      FieldReader key(scan_->key().substr(2));
      moves_.push_back({key.big<uint64_t>(), extent->from, extent->to(), extent->stripe.segment,
                        extent->stripe.row});
    }
    scan_->next();
    if (count % 256 == 0 && boot_now() >= deadline) return;
  }
  scan_.reset();
  moves_wanted_ = !moves_.empty();
}

std::vector<Move> Keeper::take_moves() {
  std::vector<Move> moves;
  if (scan_) return moves;
  uint64_t blocks = 0;
  while (!moves_.empty() && blocks < kMoveBlocksPerPoint) {
    blocks += moves_.front().to_block - moves_.front().from_block;
    moves.push_back(moves_.front());
    moves_.pop_front();
  }
  moves_wanted_ = !moves_.empty();
  return moves;
}

}  // namespace pairfs
