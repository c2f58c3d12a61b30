#include "test/unit/executor/volume_harness.h"

using namespace pairfs;
using pairfs::test::VolumeHarness;

TEST_CASE("a retry gets the first answer and has no second effect") {
  VolumeHarness v;
  const MakeDirectory make{.parent = kRootInode, .name = Name("d")};
  const RequestId request{VolumeHarness::kClient, 3, 10};
  const auto first = v.send_as(make, request);
  REQUIRE(first.error == 0);
  CHECK(first.logged);
  const auto again = v.send_as(make, request);
  CHECK(again.error == 0);
  CHECK_FALSE(again.logged);
  CHECK(again.reply.attributes.inode == first.reply.attributes.inode);
  CHECK(v.send_as(make, {VolumeHarness::kClient, 3, 9}).status == ReplyStatus::kBusy);
  CHECK(v.send_as(make, {VolumeHarness::kClient, 3, 11}).error == EEXIST);
  CHECK(v.send_as(make, {VolumeHarness::kClient, 3, 11}).error == EEXIST);
  CHECK(v.send_as(make, {VolumeHarness::kClient, kSlotsPerSession, 1}).status ==
        ReplyStatus::kBadRequest);
}

TEST_CASE("a retry after a takeover gets the answer of the first executor, refusals too") {
  VolumeHarness v;
  const MakeDirectory make{.parent = kRootInode, .name = Name("d")};
  const auto first = v.send_as(make, {VolumeHarness::kClient, 3, 10});
  CHECK(v.send_as(make, {VolumeHarness::kClient, 4, 1}).error == EEXIST);
  CHECK(v.remove_directory("d") == 0);
  v.check_replay(true);
  CHECK(v.send_as(make, {VolumeHarness::kClient, 3, 10}).reply.attributes.inode ==
        first.reply.attributes.inode);
  CHECK(v.send_as(make, {VolumeHarness::kClient, 4, 1}).error == EEXIST);
  CHECK(v.lookup_error("d") == ENOENT);
}

TEST_CASE("mutations of an unknown or ended session are not executed") {
  VolumeHarness v;
  const MakeDirectory make{.parent = kRootInode, .name = Name("d")};
  CHECK(v.send_as(make, {5, 0, 1}).status == ReplyStatus::kUnknownSession);
  CHECK(v.send_as(make, {0, 0, 1}).status == ReplyStatus::kUnknownSession);
  v.open_session(5);
  CHECK(v.send(make, 5).error == 0);
  CHECK(v.send(CloseSession{}, 5).error == 0);
  CHECK(v.send(make, 5).status == ReplyStatus::kUnknownSession);
  CHECK(v.send(OpenSession{}, 5).status == ReplyStatus::kUnknownSession);
  CHECK(v.send(Open{.inode = kRootInode}, 5).status == ReplyStatus::kUnknownSession);
  CHECK(v.send(Lookup{.parent = kRootInode, .name = Name("d")}, 5).error == 0);
  v.check_replay(true);
  CHECK(v.send(OpenSession{}, 5).status == ReplyStatus::kUnknownSession);
}

TEST_CASE("malformed and foreign commands are refused") {
  VolumeHarness v;
  CHECK(v.execute({.op = 999, .request = {VolumeHarness::kClient, 1, 1}}).status ==
        ReplyStatus::kBadRequest);
  CHECK(v.execute({.op = Rename::kOp,
                   .request = {VolumeHarness::kClient, 1, 1},
                   .body = SharedBytes::from("x")})
            .status == ReplyStatus::kBadRequest);
  CHECK(v.send_as(FreeInode{kRootInode}, {VolumeHarness::kClient, 1, 1}).status ==
        ReplyStatus::kBadRequest);
}

TEST_CASE("times only go forward, whatever the wall clock does") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  Timestamp last{};
  for (int i = 0; i < 5; ++i) {
    if (i == 2) v.wall.seconds -= 100;
    CHECK(v.write(f, 0, "x") == 0);
    const Attributes now = v.attributes(f);
    CHECK(now.mtime > last);
    CHECK(now.mtime == now.ctime);
    last = now.mtime;
  }
  v.wall.seconds -= 1000;
  v.check_replay(true);
  CHECK(v.write(f, 0, "x") == 0);
  CHECK(v.attributes(f).mtime > last);
}
