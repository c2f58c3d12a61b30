#include "node/room_watch.h"

#include <algorithm>

namespace pairfs {
namespace {
constexpr Duration kWaitMax = std::chrono::seconds(5);
constexpr uint64_t kCleanedMin = 16 << 20;  // less is not worth waiting for
}  // namespace

RoomWatch::Verdict RoomWatch::consider(uint64_t needed_bytes, uint64_t room_bytes, Instant now) {
  if (needed_bytes <= room_bytes) return Verdict::kFits;
  if (waits(now)) return Verdict::kWait;
  if (!changed_) return Verdict::kFull;
  changed_ = false;
  waiting_ = true;
  step_ = Step::kPoint;
  until_ = now + kWaitMax;
  needed_bytes_ = needed_bytes;
  return Verdict::kWait;
}

void RoomWatch::maintenance_ended(uint64_t more_bytes) {
  const bool more = more_bytes > std::max(needed_bytes_, kCleanedMin);
  if (more) changed_ = true;
  if (step_ != Step::kMaintenanceRuns) return;
  if (more)
    step_ = Step::kPoint;
  else
    waiting_ = false;
}

}  // namespace pairfs
