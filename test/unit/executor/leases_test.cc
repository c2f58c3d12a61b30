// What commands do to leases, through the executor.
#include "test/unit/executor/volume_harness.h"

#include "common/acl.h"
#include "common/header.h"

using namespace pairfs;
using namespace pairfs::test;
using namespace std::chrono_literals;

namespace {

constexpr SessionId kA = 11, kB = 12, kC = 13;

struct Volume : VolumeHarness {
  Volume() {
    for (const SessionId session : {kA, kB, kC}) open_session(session);
  }
  template <class C>
  Executed ask(const C& command, SessionId session, BytesView bulk = {}) {
    const uint32_t slot = C::kKind == Kind::kRead ? kUnslotted : 5;
    return execute(input_of(command, {session, slot, ++request_number}, bulk));
  }
  InodeRef make_as(SessionId session, const char* name) {
    const Executed made =
        ask(MakeNode{.parent = kRootInode, .name = Name(name), .mode = S_IFREG}, session);
    const auto reply = decode<EntryReply>(made.reply);
    REQUIRE(reply);
    return reply->attributes.inode;
  }
  bool waits(const Executed& executed) const {
    for (const auto number : executed.waits_for)
      if (executor->is_waited_for(number)) return true;
    return false;
  }
  std::vector<uint64_t> recalled_from(SessionId session) {
    std::vector<uint64_t> inodes;
    for (const auto& recall : executor->take_recalls(now))
      if (recall.session == session) inodes.push_back(recall.inode_id);
    std::sort(inodes.begin(), inodes.end());
    return inodes;
  }
};

}  // namespace

TEST_CASE("a lookup lets its session hold the directory and what it found") {
  Volume v;
  const InodeRef file = v.make_file("f");
  const Executed found = v.ask(Lookup{kRootInode, Name("f"), {}}, kA);
  CHECK(found.lease_ms == kLeaseTerm / 1ms);
  CHECK(found.lease_grants == (kGrantFirst | kGrantEntry));
  const Executed absent = v.ask(Lookup{kRootInode, Name("g"), {}}, kA);
  CHECK(absent.error == ENOENT);
  CHECK(absent.lease_grants == kGrantFirst);
  const Executed changed = v.ask(SetAttributes{.inode = file, .valid = SetAttributes::kMode}, kB);
  CHECK(v.waits(changed));
  CHECK(v.recalled_from(kA) == std::vector{file.id});
}

TEST_CASE("every command that changes an inode waits for those who hold it") {
  Volume v;
  const InodeRef directory = v.make_directory("d");
  const InodeRef file = v.make_file("f", directory);
  const InodeRef other = v.make_file("o", directory);
  const auto hold = [&] {
    v.now += 1s;
    v.ask(GetAttributes{directory}, kA);
    v.ask(GetAttributes{file}, kA);
    v.ask(GetAttributes{other}, kA);
  };
  const auto check = [&](const char* what, const Executed& executed, std::vector<uint64_t> inodes) {
    CAPTURE(what);
    REQUIRE(executed.status == ReplyStatus::kOutcome);
    REQUIRE(executed.error == 0);
    CHECK(v.waits(executed));
    v.now += LeaseTable::kRecallAgain;
    std::sort(inodes.begin(), inodes.end());
    CHECK(v.recalled_from(kA) == inodes);
    v.now += LeaseTable::kRecallAgain;
    v.answer_recalls();
    CHECK_FALSE(v.waits(executed));
    hold();
  };
  hold();
  const uint64_t d = directory.id, f = file.id, o = other.id;
  check("chmod", v.ask(SetAttributes{.inode = file, .valid = SetAttributes::kMode}, kB), {f});
  check("write", v.ask(Write{.inode = file}, kB, "x"), {f});
  check("xattr", v.ask(SetXattr{.inode = file, .name = "user.a", .value = BytesView("v")}, kB),
        {f});
  check("xattr gone", v.ask(RemoveXattr{.inode = file, .name = "user.a"}, kB), {f});
  check("create", v.ask(MakeNode{.parent = directory, .name = Name("n"), .mode = S_IFREG}, kB),
        {d});
  check("mkdir", v.ask(MakeDirectory{.parent = directory, .name = Name("s")}, kB), {d});
  check("link", v.ask(MakeLink{.inode = file, .parent = directory, .name = Name("l")}, kB), {d, f});
  check("rename", v.ask(Rename{directory, Name("l"), directory, Name("m"), 0, {}, {}}, kB), {d, f});
  check("replace", v.ask(Rename{directory, Name("f"), directory, Name("o"), 0, {}, {}}, kB),
        {d, f, o});
  check("unlink", v.ask(Unlink{.parent = directory, .name = Name("m")}, kB), {d, f});
  check("truncate", v.ask(CreateFile{.parent = directory, .name = Name("o"), .flags = O_TRUNC}, kB),
        {f});
}

TEST_CASE("a change tells its own client what it changed besides what it names") {
  Volume v;
  const InodeRef file = v.make_file("f");
  v.make_file("g");
  Executed done = v.ask(Unlink{.parent = kRootInode, .name = Name("f")}, kA);
  CHECK((done.lease_grants & kLeaseChangesTold) != 0);
  CHECK(done.changed[0] == file.id);
  CHECK(done.changed[1] == 0);
  done = v.ask(Write{.inode = v.make_file("h")}, kA, "x");
  CHECK((done.lease_grants & kLeaseChangesTold) != 0);
  CHECK(done.changed[0] == 0);
}

TEST_CASE(
    "a repeated change tells the same again, and a new executor tells that it does not know") {
  Volume v;
  const InodeRef file = v.make_file("f");
  const RequestId id{kA, 5, ++v.request_number};
  const CommandInput unlink = v.input_of(Unlink{.parent = kRootInode, .name = Name("f")}, id);
  v.execute(unlink);
  const Executed again = v.execute(unlink);
  CHECK_FALSE(again.logged);
  CHECK((again.lease_grants & kLeaseChangesTold) != 0);
  CHECK(again.changed[0] == file.id);
  v.check_replay(true);
  const Executed elsewhere = v.execute(unlink);
  CHECK(elsewhere.error == 0);
  CHECK((elsewhere.lease_grants & kLeaseChangesTold) == 0);
}

TEST_CASE("who reads a change waits with it, and who asks for something else does not") {
  Volume v;
  const InodeRef file = v.make_as(kB, "f");  // so that nobody but A holds it besides who changes it
  const InodeRef other = v.make_as(kB, "g");
  v.ask(GetAttributes{file}, kA);
  v.ask(Write{.inode = file}, kB, "x");
  CHECK(v.waits(v.ask(GetAttributes{file}, kC)));
  CHECK(v.waits(v.ask(Read{.inode = file, .length_bytes = 1}, kC)));
  CHECK_FALSE(v.waits(v.ask(GetAttributes{other}, kC)));
  CHECK_FALSE(
      v.waits(v.ask(GetAttributes{file}, kA)));  // the holder, which may need it to give back
}

TEST_CASE("after a takeover changes wait for what the executor before granted, reads do not") {
  Volume v;
  const InodeRef file = v.make_file("f");
  const InodeRef other = v.make_file("g");
  v.ask(GetAttributes{file}, kA);
  v.executor->begin_serving(v.now);
  CHECK_FALSE(v.waits(v.ask(GetAttributes{other}, kC)));
  const Executed changed = v.ask(Write{.inode = file}, kB, "x");
  CHECK(v.waits(changed));
  for (int i = 0; i < 2; ++i) {
    for (const SessionId session : {kA, kC, VolumeHarness::kClient})
      v.ask(RenewSession{.slice = v.slices.front()}, session);
    v.now += LeaseTable::kRecallAgain;
    v.answer_recalls();
  }
  CHECK_FALSE(v.waits(changed));
}

TEST_CASE("what was changed shortly before a takeover is not shown before it may be") {
  Volume v;
  const InodeRef file = v.make_file("f");
  v.check_replay(true);  // the new executor replays the change
  CHECK(v.waits(v.ask(GetAttributes{file}, kC)));
}

TEST_CASE("an inode with an ACL says so with its grant") {
  Volume v;
  const InodeRef file = v.make_file("f");
  const Acl acl = {{AclEntry::kUserObj, 6},
                   {AclEntry::kUser, 4, 5},
                   {AclEntry::kGroupObj, 4},
                   {AclEntry::kMask, 4},
                   {AclEntry::kOther, 0}};
  REQUIRE(
      v.send(SetXattr{.inode = file, .name = BytesView(kAccessAclName), .value = encode_acl(acl)})
          .error == 0);
  v.now += 1s;
  CHECK(v.ask(Lookup{kRootInode, Name("f"), {}}, kA).lease_grants ==
        (kGrantFirst | kGrantEntry | kGrantEntryAcl));
}

TEST_CASE("a moved access time is a change") {
  Volume v;
  const InodeRef file = v.make_file("f");
  v.write(file, 0, "x");
  v.now += 1s;
  v.ask(GetAttributes{file}, kA);
  v.ask(Read{.inode = file, .length_bytes = 1}, kA);
  v.run_follow_ups();
  CHECK(v.recalled_from(kA) == std::vector{file.id});
}
