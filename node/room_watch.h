// Decides, for one volume, what becomes of a command that takes room when little is left: it fits,
// it waits for room that is on its way (a consistency point lets logs be trimmed and dead stripes
// be punched), or the volume is full and the executor is to refuse it. So a program that deletes
// and then writes finds the room that it made, and one that fills the disk gets its ENOSPC soon.
//
// No clock and no I/O. Loop thread.
#pragma once

#include <cstdint>

#include "common/types.h"

namespace pairfs {

class RoomWatch {
 public:
  enum class Verdict { kFits, kWait, kFull };

  // Asked once for each command; `room_bytes`: what may be admitted now. Who is told to wait goes
  // on when waits() ends, and is not asked about again.
  Verdict consider(uint64_t needed_bytes, uint64_t room_bytes, Instant now);
  // A command changed something: another consistency point may give room.
  void changed() { changed_ = true; }
  bool waits(Instant now) const { return waiting_ && now < until_; }
  Instant next_wake() const { return waiting_ ? until_ : Instant::max(); }

  // What ends the wait: a consistency point that began meanwhile was frozen, was logged, is
  // confirmed, and maintenance that began after that has ended.
  bool wants_point() const { return waiting_ && step_ == Step::kPoint; }
  bool wants_maintenance() const { return waiting_ && step_ == Step::kMaintenance; }
  void point_began() { advance(Step::kPoint, Step::kPointRuns); }
  void point_logged() { advance(Step::kPointRuns, Step::kConfirm); }
  void point_confirmed() { advance(Step::kConfirm, Step::kMaintenance); }
  void maintenance_began() { advance(Step::kMaintenance, Step::kMaintenanceRuns); }
  // `more_bytes`: what the cleaner can still make available.
  void maintenance_ended(uint64_t more_bytes);
  void point_failed() {
    if (step_ == Step::kPointRuns) waiting_ = false;
  }

 private:
  enum class Step { kPoint, kPointRuns, kConfirm, kMaintenance, kMaintenanceRuns };
  void advance(Step from, Step to) {
    if (waiting_ && step_ == from) step_ = to;
  }

  bool waiting_ = false;
  bool changed_ = true;  // since the last wait began
  uint64_t needed_bytes_ = 0;
  Step step_ = Step::kPoint;
  Instant until_{};
};

}  // namespace pairfs
