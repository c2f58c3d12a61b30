#include "test/unit/executor/volume_harness.h"

using namespace pairfs;
using pairfs::test::VolumeHarness;

TEST_CASE("an unlinked file lives until the last handle of any session is closed") {
  VolumeHarness v;
  v.open_session(5);
  const auto f = v.make_file("f");
  CHECK(v.open(f, O_RDWR) == 0);
  CHECK(v.open(f, O_RDONLY, {}, 5) == 0);
  CHECK(v.unlink("f") == 0);
  CHECK(v.close(f) == 0);
  v.run_follow_ups();
  CHECK(v.attributes(f).nlink == 0);
  CHECK(v.close(f, 5) == 0);
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{f}).error == ESTALE);
  v.check_replay();
}

TEST_CASE("a retried open or close counts once") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  for (int i = 0; i < 3; ++i)
    v.send_as(Open{.inode = f}, {VolumeHarness::kClient, kUnslotted, 1000});
  v.unlink("f");
  v.send_as(Close{.inode = f}, {VolumeHarness::kClient, kUnslotted, 1001});
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{f}).error == ESTALE);
}

TEST_CASE("after a takeover orphans wait until every live session has declared or expired") {
  VolumeHarness v;
  v.open_session(5);
  v.open_session(6);
  const auto kept = v.make_file("kept");
  const auto lost = v.make_file("lost");
  for (const auto& f : {kept, lost}) CHECK(v.open(f, O_RDONLY) == 0);
  v.unlink("kept");
  v.unlink("lost");
  v.check_replay(true);
  v.run_follow_ups();
  CHECK(v.attributes(lost).nlink == 0);
  const auto declared = v.send(DeclareOpens{.inodes = {{kept, {12345, 1}}}, .counts = {{1, 1}}});
  CHECK(declared.reply.unknown == std::vector<InodeRef>{{12345, 1}});
  CHECK(v.send(DeclareOpens{}, 5).error == 0);
  v.run_follow_ups();
  CHECK(v.attributes(lost).nlink == 0);
  v.make_file("gone soon");
  v.unlink("gone soon");  // nobody may free it yet
  v.now += std::chrono::seconds(59);
  CHECK(v.send(RenewSession{}).error == 0);
  CHECK(v.send(RenewSession{}, 5).error == 0);
  v.run_follow_ups();
  CHECK(v.executor->sessions().size() == 3);
  v.now += std::chrono::seconds(2);
  v.run_follow_ups();  // session 6 expires, then lost goes
  v.run_follow_ups();
  CHECK(v.executor->sessions().size() == 2);
  CHECK(v.send(GetAttributes{lost}).error == ESTALE);
  CHECK(v.attributes(kept).nlink == 0);
  CHECK(v.close(kept) == 0);
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{kept}).error == ESTALE);
  v.check_replay();
}

TEST_CASE("a create that is retried at the new executor counts its handle there") {
  VolumeHarness v;
  const CreateFile create{.parent = kRootInode, .name = Name("f"), .mode = 0644, .flags = O_RDWR};
  const auto made = v.send_as(create, {VolumeHarness::kClient, 9, 1});
  REQUIRE(made.error == 0);
  const InodeRef f = made.reply.attributes.inode;
  v.check_replay(true);
  CHECK(v.send(DeclareOpens{}).error == 0);
  for (int i = 0; i < 2; ++i) v.send_as(create, {VolumeHarness::kClient, 9, 1});
  v.unlink("f");
  v.run_follow_ups();
  CHECK(v.attributes(f).nlink == 0);
  CHECK(v.close(f) == 0);
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{f}).error == ESTALE);
}

TEST_CASE("a late copy of a Close or of a declaration does not take a newer handle away") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  const auto late = [&](uint64_t sequence, const auto& command) {
    return v.send_as(command, {VolumeHarness::kClient, kUnslotted, sequence}).error;
  };
  const uint64_t before = v.request_number + 1;
  v.request_number += 2;  // of a Close and of a declaration that a frozen router keeps
  CHECK(v.send(DeclareOpens{}).error == 0);  // the client sent it again, elsewhere
  CHECK(v.open(f, O_RDWR) == 0);
  CHECK(late(before, Close{f, 1}) == 0);
  CHECK(late(before + 1, DeclareOpens{}) == 0);
  v.unlink("f");
  v.run_follow_ups();
  CHECK(v.attributes(f).nlink == 0);
  CHECK(v.close(f) == 0);
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{f}).error == ESTALE);
}

TEST_CASE("a declaration that was made for an earlier executor counts for nothing") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  CHECK(v.open(f, O_RDWR) == 0);
  v.unlink("f");
  v.check_replay(true);
  const Epoch here = v.config.epoch;
  CHECK(v.send(DeclareOpens{.inodes = {{InodeRef{0, here - 1}}}, .counts = {{0}}}).error == 0);
  v.run_follow_ups();
  CHECK(v.attributes(f).nlink == 0);
  CHECK(v.send(DeclareOpens{.inodes = {{InodeRef{0, here}, f}}, .counts = {{0, 1}}}).error == 0);
  CHECK(v.close(f) == 0);
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{f}).error == ESTALE);
}

TEST_CASE("a closed session leaves no handles, locks or replies behind") {
  VolumeHarness v;
  v.open_session(5);
  const auto f = v.make_file("f");
  CHECK(v.open(f, O_RDWR, {}, 5) == 0);
  CHECK(v.send(SetLock{.inode = f, .range = {.type = F_WRLCK, .owner = 1}}, 5).error == 0);
  CHECK(v.send(SetLock{.inode = f, .range = {.type = F_WRLCK, .owner = 1}}).error == EAGAIN);
  v.unlink("f");
  CHECK(v.send(CloseSession{}, 5).error == 0);
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{f}).error == ESTALE);
  v.check_replay();
}
