// The Keeper's cleaner: stripes of which little is in use, or which are narrower than the level's
// full width, hold space that nobody uses. What is in use in them is written anew by the next
// consistency points; then they are given back as a whole. Moves are physical: never logged.
#include <algorithm>

#include "common/map_store.h"
#include "node/store/fields.h"
#include "node/store/keeper.h"

namespace pairfs {
namespace {

constexpr Duration kCleanPeriod = std::chrono::seconds(1);
// Stored blocks may be this much above what the blocks in use need at full width: while a volume is
// written to, cleaning late is cleaning less, as more dies meanwhile, unless the room is needed.
constexpr double kWasteMaxIdle = 1.06, kWasteMaxBusy = 1.50;
constexpr Duration kIdleAfter = std::chrono::seconds(3);
constexpr uint64_t kBusyBlocks = 256;           // of one consistency point
constexpr double kRoomMin = 0.15;               // of what the volume could hold
constexpr uint64_t kWasteSlackBlocks = 1024;    // 4 MiB: not worth the trouble
constexpr double kDenseEnough = 0.94;           // such stripes stay
constexpr uint64_t kVictimBlocksMin = 16384;    // in use, found by one scan: 64 MiB, and at least
constexpr uint64_t kVictimShare = 16;           // the 16th part of all, as a scan goes through all
constexpr uint64_t kMoveBlocksPerPoint = 8192;  // 32 MiB

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
  garbage_blocks_ =
      static_cast<uint64_t>(std::max(0.0, stored - needed * kWasteMaxIdle) / redundancy);
  const StoreStatus status = group_.status();
  const double live_bytes = needed / redundancy * static_cast<double>(kBlockBytes);
  const double room = static_cast<double>(status.available_bytes);
  const bool busy = boot_now() - busy_at_ < kIdleAfter && room > (live_bytes + room) * kRoomMin;
  const double waste_max = busy ? kWasteMaxBusy : kWasteMaxIdle;
  if (stored <= needed * waste_max + static_cast<double>(kWasteSlackBlocks)) return false;
  std::sort(candidates.begin(), candidates.end(),
            [](const Candidate& a, const Candidate& b) { return a.density < b.density; });
  const uint64_t live_max =
      std::max(kVictimBlocksMin, static_cast<uint64_t>(needed / redundancy) / kVictimShare);
  uint64_t live = 0;
  for (const Candidate& candidate : candidates) {
    victims_.insert(candidate.name);
    live += candidate.live_blocks;
    if (live >= live_max) break;
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
    if (extent && extent->kind == Extent::Kind::kStored &&
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

void Keeper::note_written(uint64_t blocks) {
  if (blocks >= kBusyBlocks) busy_at_ = boot_now();
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
