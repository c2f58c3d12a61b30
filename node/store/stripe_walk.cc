#include "node/store/stripe_walk.h"

#include "common/logging.h"
#include "common/map_store.h"

namespace pairfs {
namespace {

Instant clock_now() { return boot_now(); }

}  // namespace

StripeWalk::StripeWalk(const RowTable& rows, const SegmentUses& uses, RaidGroup& group,
                       uint64_t members, SegmentId from, SegmentId trusted, bool only_look)
    : rows_(rows),
      uses_(uses),
      group_(group),
      members_(members),
      done_to_(from),
      trusted_(trusted),
      only_look_(only_look) {
  for (const auto& [segment, use] : uses_) {
    uint64_t count = 0;
    for (const auto& [row, in_use] : use.stripes) count += group.layout().rows(in_use.stripe);
    total_rows_ += count;
    if (segment < from) done_rows_ += count;
    last_ = segment;
  }
}

void StripeWalk::choose_window() {
  skipped_.clear();
  uint64_t blocks = 0;
  window_end_ = last_ + 1;
  for (auto at = uses_.lower_bound(done_to_); at != uses_.end() && at->first <= last_; ++at) {
    if (blocks >= kWindowBlocks) {
      window_end_ = at->first;
      break;
    }
    if (at->first < trusted_ && looks_whole(at->first, at->second)) {
      skipped_.insert(at->first);
      for (const auto& [row, in_use] : at->second.stripes)
        done_rows_ += group_.layout().rows(in_use.stripe);
      continue;
    }
    for (const auto& [row, in_use] : at->second.stripes) blocks += in_use.stripe.blocks;
  }
  window_.clear();
  Bytes end = extent_prefix(0).substr(0, 2);
  const Bytes begin = end;
  ++end.back();
  loading_ = rows_.rows(begin, end);
  have_window_ = true;
}

// Files only grow, so an old copy of an element shows in their lengths.
bool StripeWalk::looks_whole(SegmentId segment, const SegmentUse& use) const {
  for (size_t i = 0; i < group_.size(); ++i) {
    if ((members_ >> i & 1) == 0) continue;
    for (auto at = use.stripes.rbegin(); at != use.stripes.rend(); ++at) {
      const uint64_t rows = group_.rows_on(at->second.stripe, i);
      if (rows == 0) continue;
      const auto size = group_.member(i).element->size(RaidGroup::segment_name(segment));
      if (!size.ok() || *size < (at->first + rows) * kBlockBytes) return false;
      break;
    }
  }
  return true;
}

// Collects the checksums of the window's stripes; true when it has them all.
bool StripeWalk::load(Instant deadline) {
  for (int count = 0; loading_->valid(); loading_->next()) {
    const auto extent = decode_extent(loading_->key(), loading_->value());
    if (!extent) {
      if (sum_.lost_blocks++ == 0) log_error("extent.damaged", "where=\"a walk over all stripes\"");
      continue;
    }
    if (extent->kind == Extent::Kind::kStored && extent->stripe.segment >= done_to_ &&
        extent->stripe.segment < window_end_ && !skipped_.contains(extent->stripe.segment)) {
      auto& found = window_[{extent->stripe.segment, extent->stripe.row}];
      found.stripe = extent->stripe;
      found.crcs.resize(extent->stripe.blocks);
      for (uint64_t i = 0; i < extent->count; ++i)
        found.crcs[extent->first_block + i] = extent->crcs[i];
    }
    if (++count % 256 == 0 && clock_now() >= deadline) {
      loading_->next();
      return !loading_->valid();
    }
  }
  return true;
}

void StripeWalk::finish_segment(SegmentId segment) {
  for (size_t i = 0; i < group_.size(); ++i) {
    auto& member = group_.member(i);
    if ((members_ >> i & 1) == 0 || !member.takes_writes() || only_look_) continue;
    const auto synced = member.element->sync(RaidGroup::segment_name(segment));
    // It may have no stripe in this segment.
    if (!synced.ok() && synced.error() != ENOENT) group_.fail(i, "sync", synced.error());
  }
  done_to_ = segment + 1;
}

bool StripeWalk::step(Instant deadline) {
  for (;;) {
    if (!have_window_) {
      if (uses_.lower_bound(done_to_) == uses_.end() || done_to_ > last_) {
        done_to_ = std::max(done_to_, last_ + 1);
        done_rows_ = total_rows_;
        return true;
      }
      choose_window();
    }
    if (loading_) {
      if (!load(deadline)) return false;
      loading_.reset();
    }
    while (!window_.empty()) {
      const auto at = window_.begin();
      const SegmentId segment = at->first.first;
      const auto use = uses_.find(segment);
      // Freed meanwhile: maybe punched, and of no interest.
      if (use != uses_.end() && use->second.stripes.contains(at->first.second)) {
        const auto checked =
            group_.check_stripe(at->second.stripe, at->second.crcs, members_, only_look_);
        sum_.read_blocks += checked.read_blocks;
        sum_.mended_blocks += checked.mended_blocks;
        sum_.lost_blocks += checked.lost_blocks;
      }
      done_rows_ = std::min(total_rows_, done_rows_ + group_.layout().rows(at->second.stripe));
      window_.erase(at);
      if (window_.empty() || window_.begin()->first.first != segment) finish_segment(segment);
      if (clock_now() >= deadline && !window_.empty()) return false;
    }
    done_to_ = window_end_;
    have_window_ = false;
    if (clock_now() >= deadline) return done_to_ > last_;
  }
}

}  // namespace pairfs
