#include <doctest/doctest.h>

#include "node/room_watch.h"

namespace pairfs {
namespace {

using namespace std::chrono_literals;
using Verdict = RoomWatch::Verdict;

void go_around(RoomWatch& watch, uint64_t more_bytes) {
  CHECK(watch.wants_point());
  watch.point_began();
  CHECK_FALSE(watch.wants_point());
  watch.point_logged();
  watch.point_confirmed();
  CHECK(watch.wants_maintenance());
  watch.maintenance_began();
  watch.maintenance_ended(more_bytes);
}

}  // namespace

TEST_CASE("What does not fit waits for what a consistency point gives back, once") {
  RoomWatch watch;
  const Instant now{10s};
  CHECK(watch.consider(10, 10, now) == Verdict::kFits);
  CHECK(watch.consider(11, 10, now) == Verdict::kWait);
  CHECK(watch.waits(now));
  CHECK(watch.consider(5, 10, now) == Verdict::kFits);
  go_around(watch, 0);
  CHECK_FALSE(watch.waits(now));
  // Nothing was changed since: another one would give nothing.
  CHECK(watch.consider(11, 10, now) == Verdict::kFull);
  CHECK_FALSE(watch.waits(now));
  watch.changed();  // a deletion
  CHECK(watch.consider(11, 10, now) == Verdict::kWait);
}

TEST_CASE("A consistency point that began before does not count") {
  RoomWatch watch;
  const Instant now{10s};
  watch.point_began();
  CHECK(watch.consider(11, 10, now) == Verdict::kWait);
  watch.point_logged();
  watch.point_confirmed();
  watch.maintenance_began();
  watch.maintenance_ended(0);
  CHECK(watch.waits(now));
  go_around(watch, 0);
  CHECK_FALSE(watch.waits(now));
}

TEST_CASE("The wait goes on while the cleaner makes room, and has an end") {
  RoomWatch watch;
  const Instant now{10s};
  CHECK(watch.consider(11, 10, now) == Verdict::kWait);
  go_around(watch, 1 << 30);
  CHECK(watch.waits(now));
  go_around(watch, 1 << 30);
  CHECK(watch.waits(now));
  CHECK(watch.next_wake() > now);
  CHECK_FALSE(watch.waits(watch.next_wake()));
  watch.point_failed();  // one that began before
  CHECK(watch.waits(now));
  watch.point_began();
  watch.point_failed();
  CHECK_FALSE(watch.waits(now));
}

}  // namespace pairfs
