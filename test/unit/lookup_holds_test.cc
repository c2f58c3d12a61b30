#include <doctest/doctest.h>

#include "fuse/lookup_holds.h"

namespace pairfs::test {
namespace {

using std::chrono::milliseconds;
constexpr Instant kStart{std::chrono::seconds(100)};
constexpr InodeRef kFile{7, 1}, kOther{8, 1};

TEST_CASE("only a thread that was told ESTALE has its lookups held, and not for long") {
  LookupHolds holds;
  CHECK(!holds.wanted(11, kStart));
  holds.told_stale(11, kStart);
  CHECK(holds.wanted(11, kStart + milliseconds(10)));
  CHECK(!holds.wanted(12, kStart + milliseconds(10)));
  CHECK(!holds.wanted(11, kStart + milliseconds(1000)));
}

TEST_CASE("a caller out of sight, whose thread id is 0, has nothing held") {
  LookupHolds holds;
  holds.told_stale(0, kStart);
  CHECK(!holds.wanted(0, kStart));
}

TEST_CASE("each hold ends once, a second after its lookup") {
  LookupHolds holds;
  CHECK(holds.next_wake() == Instant::max());
  holds.held(kFile, kStart);
  holds.held(kOther, kStart + milliseconds(400));
  holds.held(kFile, kStart + milliseconds(500));
  CHECK(holds.next_wake() == kStart + milliseconds(1000));
  CHECK(holds.expired(kStart + milliseconds(999)).empty());
  CHECK(holds.expired(kStart + milliseconds(1450)) == std::vector<InodeRef>{kFile, kOther});
  CHECK(holds.next_wake() == kStart + milliseconds(1500));
  CHECK(holds.expired(kStart + milliseconds(1500)) == std::vector<InodeRef>{kFile});
  CHECK(holds.next_wake() == Instant::max());
}

TEST_CASE("threads that have ended are forgotten: what is remembered has a bound") {
  LookupHolds holds;
  for (pid_t thread = 1; thread <= 5000; ++thread) holds.told_stale(thread, kStart);
  CHECK(!holds.wanted(5000, kStart));
  holds.told_stale(5000, kStart + milliseconds(1000));
  CHECK(holds.wanted(5000, kStart + milliseconds(1001)));
}

}  // namespace
}  // namespace pairfs::test
