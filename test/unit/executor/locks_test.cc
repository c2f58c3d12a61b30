#include "node/executor/lock_table.h"

#include "test/unit/executor/volume_harness.h"

using namespace pairfs;
using pairfs::test::VolumeHarness;

namespace {
constexpr SessionId kOther = 5;

struct LockHarness : VolumeHarness {
  InodeRef file;
  LockHarness() {
    open_session(kOther);
    file = make_file("f");
  }
  SetLock lock(uint8_t type, uint64_t start, uint64_t end, uint64_t owner = 1, bool wait = false) {
    return {.inode = file, .range = {type, start, end, owner, 42}, .wait = wait};
  }
  std::vector<Executed> run_granted() {
    std::vector<Executed> done;
    for (const auto& input : executor->take_granted()) done.push_back(execute(input));
    return done;
  }
};
}  // namespace

TEST_CASE("an owner's ranges split, join and replace each other") {
  HeldRanges held;
  held = with_range(held, {F_RDLCK, 0, 99, 1});
  held = with_range(held, {F_WRLCK, 40, 59, 1});
  CHECK(held == HeldRanges{{F_RDLCK, 0, 39, 1}, {F_WRLCK, 40, 59, 1}, {F_RDLCK, 60, 99, 1}});
  held = with_range(held, {F_UNLCK, 10, 19, 1});
  CHECK(held.size() == 4);
  held = with_range(held, {F_RDLCK, 5, 70, 1});
  CHECK(held == HeldRanges{{F_RDLCK, 0, 99, 1}});
  held = with_range(held, {F_RDLCK, 100, ~0ULL, 1});
  CHECK(held == HeldRanges{{F_RDLCK, 0, ~0ULL, 1}});
  CHECK(with_range(held, {F_UNLCK, 0, ~0ULL, 1}).empty());
}

TEST_CASE("locks of two mounts conflict as fcntl(2) says, and flock is a space of its own") {
  LockHarness v;
  CHECK(v.send(v.lock(F_RDLCK, 0, 9)).error == 0);
  CHECK(v.send(v.lock(F_RDLCK, 5, 14), kOther).error == 0);
  CHECK(v.send(v.lock(F_WRLCK, 9, 9), kOther).error == EAGAIN);
  CHECK(v.send(v.lock(F_WRLCK, 10, 14), kOther).error == 0);
  CHECK(v.send(v.lock(F_WRLCK, 0, 4)).error == 0);
  CHECK(v.send(v.lock(F_WRLCK, 0, 0, 2)).error == EAGAIN);
  const auto test = v.send(TestLock{v.file, {F_WRLCK, 0, 3, 1, 0}}, kOther);
  CHECK(test.reply.conflict.type == F_WRLCK);
  CHECK(test.reply.conflict.end == 4);
  CHECK(test.reply.conflict.pid == 42);
  SetLock whole = v.lock(F_WRLCK, 0, 0, 9);
  whole.whole_file = true;
  CHECK(v.send(whole).error == 0);
  CHECK(v.send(whole, kOther).error == EAGAIN);
  v.check_replay(true);
  CHECK(v.send(whole, kOther).error == EAGAIN);
  CHECK(v.send(v.lock(F_UNLCK, 0, ~0ULL)).error == 0);
  CHECK(v.send(v.lock(F_WRLCK, 0, 9), kOther).error == 0);
  v.check_replay();
}

TEST_CASE("a waiting lock is granted when it can be, once") {
  LockHarness v;
  CHECK(v.send(v.lock(F_WRLCK, 0, 9)).error == 0);
  const RequestId request{kOther, 7, 1};
  auto waits = v.send_as(v.lock(F_WRLCK, 5, 5, 1, true), request);
  CHECK(waits.waiting);
  CHECK_FALSE(waits.logged);
  CHECK(v.send_as(v.lock(F_WRLCK, 5, 5, 1, true), request).waiting);  // a retry
  CHECK(v.executor->take_granted().empty());
  CHECK(v.send(v.lock(F_UNLCK, 0, 9)).error == 0);
  const auto done = v.run_granted();
  REQUIRE(done.size() == 1);
  CHECK(done[0].error == 0);
  CHECK(done[0].logged);
  CHECK(v.executor->take_granted().empty());
  CHECK(v.send(v.lock(F_RDLCK, 5, 5)).error == EAGAIN);
  v.check_replay();
}

TEST_CASE("a cancelled waiting lock is answered EINTR, also when the cancel overtakes it") {
  LockHarness v;
  CHECK(v.send(v.lock(F_WRLCK, 0, 9)).error == 0);
  const RequestId request{kOther, 7, 1};
  CHECK(v.send_as(v.lock(F_WRLCK, 5, 5, 1, true), request).waiting);
  CHECK(v.send(CancelLock{v.file, 7, 1}, kOther).error == 0);
  auto done = v.run_granted();
  REQUIRE(done.size() == 1);
  CHECK(done[0].error == EINTR);
  CHECK_FALSE(done[0].logged);
  CHECK(v.send(CancelLock{v.file, 7, 2}, kOther).error == 0);
  CHECK(v.send_as(v.lock(F_WRLCK, 5, 5, 1, true), {kOther, 7, 2}).error == EINTR);
  v.check_replay(true);
  CHECK(v.send_as(v.lock(F_WRLCK, 5, 5, 1, true), {kOther, 7, 2}).error == EINTR);
}

TEST_CASE("owners that would wait for each other get EDEADLK, and a replay says so too") {
  LockHarness v;
  CHECK(v.send(v.lock(F_WRLCK, 0, 0)).error == 0);
  CHECK(v.send(v.lock(F_WRLCK, 1, 1), kOther).error == 0);
  CHECK(v.send_as(v.lock(F_WRLCK, 1, 1, 1, true), {VolumeHarness::kClient, 8, 1}).waiting);
  CHECK(v.send(v.lock(F_WRLCK, 0, 0, 1, true), kOther).error == EDEADLK);
  v.check_replay();
}

TEST_CASE("a session that ends lets the waiting ones go on") {
  LockHarness v;
  CHECK(v.send(v.lock(F_WRLCK, 0, 9), kOther).error == 0);
  CHECK(v.send_as(v.lock(F_WRLCK, 0, 9, 1, true), {VolumeHarness::kClient, 8, 1}).waiting);
  v.now += std::chrono::seconds(61);
  CHECK(v.send(RenewSession{}).error == 0);
  v.run_follow_ups();
  CHECK(v.run_granted().size() == 1);
  v.check_replay();
}
