#include "common/acl.h"
#include "test/unit/executor/volume_harness.h"

using namespace pairfs;
using pairfs::test::user;
using pairfs::test::VolumeHarness;

namespace {
using V = SetAttributes;

int set(VolumeHarness& v, const SetAttributes& command) { return v.send(command).error; }

Bytes acl_bytes(std::vector<AclEntry> entries) { return encode_acl(entries); }
// u::rwx, u:7:rw-, g::r-x, g:8:r--, m::rwx, o::---
Acl sample_acl() {
  return {{AclEntry::kUserObj, 7},  {AclEntry::kUser, 6, 7}, {AclEntry::kGroupObj, 5},
          {AclEntry::kGroup, 4, 8}, {AclEntry::kMask, 7},    {AclEntry::kOther, 0}};
}
}  // namespace

TEST_CASE("search, read and write permission are checked with supplementary groups") {
  VolumeHarness v;
  const auto d = v.make_directory("d", kRootInode, {}, 0750);
  v.send(SetAttributes{.inode = d, .valid = V::kGid, .gid = 30});
  const auto f = v.make_file("f", d, {}, 0640);
  v.send(SetAttributes{.inode = f, .valid = V::kGid, .gid = 30});
  CHECK(v.lookup_error("f", d, user(5, 5)) == EACCES);
  CHECK(v.lookup_error("f", d, user(5, 30)) == 0);
  CHECK(v.lookup_error("f", d, user(5, 5, {29, 30})) == 0);
  CHECK(v.open(f, O_RDONLY, user(5, 30)) == 0);
  CHECK(v.open(f, O_RDWR, user(5, 30)) == EACCES);
  CHECK(v.open(f, O_RDONLY, user(5, 5)) == EACCES);
  CHECK(v.unlink("f", d, user(5, 30)) == EACCES);
  CHECK(v.send(Access{f, X_OK, {}}).error == EACCES);  // root cannot run what nobody can
  CHECK(v.send(Access{f, R_OK | W_OK, {}}).error == 0);
}

TEST_CASE("in a sticky directory only owners remove and rename") {
  VolumeHarness v;
  const auto d = v.make_directory("tmp", kRootInode, {}, 01777);
  v.make_file("mine", d, user(5, 5));
  v.make_file("yours", d, user(6, 6));
  CHECK(v.unlink("yours", d, user(5, 5)) == EPERM);
  CHECK(v.rename(d, "yours", d, "x", 0, user(5, 5)) == EPERM);
  CHECK(v.rename(d, "mine", d, "yours", 0, user(5, 5)) == EPERM);
  CHECK(v.rename(d, "mine", d, "x", 0, user(5, 5)) == 0);
  CHECK(v.unlink("yours", d, user(6, 6)) == 0);
}

TEST_CASE("chmod and chown follow the owner rules and clear setuid and setgid") {
  VolumeHarness v;
  const auto d = v.make_directory("d", kRootInode, {}, 0777);
  const auto f = v.make_file("f", d, user(5, 50));
  CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 06755, .credentials = user(6, 50)}) ==
        EPERM);
  CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 06755, .credentials = user(5, 50)}) == 0);
  CHECK((v.attributes(f).mode & 07777) == 06755);
  CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 06755, .credentials = user(5, 51)}) == 0);
  CHECK((v.attributes(f).mode & 07777) == 04755);
  CHECK(set(v, {.inode = f, .valid = V::kUid, .uid = 6, .credentials = user(5, 50)}) == EPERM);
  CHECK(set(v, {.inode = f, .valid = V::kGid, .gid = 60, .credentials = user(5, 50)}) == EPERM);
  CHECK(set(v, {.inode = f, .valid = V::kGid, .gid = 60, .credentials = user(5, 50, {60})}) == 0);
  CHECK((v.attributes(f).mode & 07777) == 0755);
  CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 06755}) == 0);
  CHECK(set(v, {.inode = f, .valid = V::kUid, .uid = 7}) == 0);
  CHECK((v.attributes(f).mode & 07777) == 0755);
  CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 06755}) == 0);
  CHECK(v.send(Write{.inode = f, .clear_privileges = true}, VolumeHarness::kClient, "x").error ==
        0);
  CHECK((v.attributes(f).mode & 07777) == 0755);
  CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 06745}) == 0);
  CHECK(set(v, {.inode = f, .valid = V::kSize, .credentials = user(7, 60)}) == 0);
  CHECK((v.attributes(f).mode & 07777) == 02745);
  v.check_replay();
}

TEST_CASE("setgid without group execution stays with changes by the group's members only") {
  VolumeHarness v;
  const auto f = v.make_file("f", kRootInode, {}, 0666);
  const auto g = v.make_file("g", kRootInode, {}, 0666);
  CHECK(set(v, {.inode = f, .valid = V::kUid | V::kGid, .uid = 5, .gid = 60}) == 0);
  v.send(Write{.inode = g}, VolumeHarness::kClient, "bytes");
  const auto bits_after = [&](auto command) {
    CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 06764}) == 0);
    const char* data = std::is_same_v<decltype(command), Write> ? "x" : "";
    CHECK(v.send(command, VolumeHarness::kClient, data).error == 0);
    return v.attributes(f).mode & 07777;
  };
  for (const auto& [caller, clear, bits] : {std::tuple{user(8, 60), true, 02764U},
                                            {user(8, 8, {60}), true, 02764U},
                                            {user(8, 8), true, 0764U},
                                            {user(8, 8), false, 06764U}}) {
    CHECK(bits_after(Write{.inode = f, .clear_privileges = clear, .credentials = caller}) == bits);
    CHECK(bits_after(Allocate{
              .inode = f, .length_bytes = 9, .clear_privileges = clear, .credentials = caller}) ==
          bits);
    CHECK(bits_after(CopyRange{.source = g,
                               .inode = f,
                               .length_bytes = 5,
                               .clear_privileges = clear,
                               .credentials = caller}) == bits);
  }
  v.check_replay();
}

TEST_CASE("chown that names neither user nor group drops privileges, for the owner and root") {
  VolumeHarness v;
  const auto f = v.make_file("f", kRootInode, {}, 0666);
  CHECK(set(v, {.inode = f, .valid = V::kUid | V::kGid, .uid = 5, .gid = 60}) == 0);
  for (const auto& [caller, bits] :
       {std::pair{user(8, 60), 06755U}, {user(5, 60), 0755U}, {Credentials{}, 0755U}}) {
    CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 06755}) == 0);
    CHECK(set(v, {.inode = f, .valid = 0, .credentials = caller}) == 0);
    CHECK((v.attributes(f).mode & 07777) == bits);
  }
  v.check_replay();
}

TEST_CASE("times are set by owners, to now by writers") {
  VolumeHarness v;
  const auto f = v.make_file("f", kRootInode, {}, 0666);
  const uint32_t both = V::kAtime | V::kMtime;
  const uint32_t now = V::kAtimeNow | V::kMtimeNow;
  CHECK(set(v, {.inode = f, .valid = both, .mtime = {5, 6}, .credentials = user(5, 5)}) == EPERM);
  CHECK(set(v, {.inode = f, .valid = both, .mtime = {5, 6}}) == 0);
  CHECK(v.attributes(f).mtime == Timestamp{5, 6});
  CHECK(set(v, {.inode = f, .valid = both | V::kMtimeNow, .credentials = user(5, 5)}) == EPERM);
  CHECK(set(v, {.inode = f, .valid = both | now, .credentials = user(5, 5)}) == 0);
  CHECK(v.attributes(f).mtime == v.attributes(f).ctime);
  CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 0644}) == 0);
  CHECK(set(v, {.inode = f, .valid = now, .credentials = user(5, 5)}) == EACCES);
}

TEST_CASE("setgid directories give their group, and setgid to directories") {
  VolumeHarness v;
  const auto d = v.make_directory("d", kRootInode, {}, 0777);
  CHECK(set(v, {.inode = d, .valid = V::kGid, .gid = 40}) == 0);
  CHECK(set(v, {.inode = d, .valid = V::kMode, .mode = 02777}) == 0);
  const auto f = v.attributes(v.make_file("f", d, user(5, 5), 02755));
  CHECK(f.gid == 40);
  CHECK((f.mode & 07777) == 0755);
  const auto sub = v.attributes(v.make_directory("sub", d, user(5, 5)));
  CHECK(sub.gid == 40);
  CHECK((sub.mode & S_ISGID) != 0);
  CHECK((v.attributes(v.make_file("g", d, user(5, 5, {40}), 02755)).mode & S_ISGID) != 0);
}

TEST_CASE("an ACL decides by owner, named user, groups under the mask, other") {
  const Acl acl = sample_acl();
  CHECK(decode_acl(encode_acl(acl)));
  CHECK(mode_of(acl).bits == 0770);
  CHECK(mode_of(acl).extended);
  CHECK(acl_allows(acl, 1, 2, user(7, 7), R_OK | W_OK));
  CHECK_FALSE(acl_allows(acl, 1, 2, user(7, 7), X_OK));
  CHECK(acl_allows(acl, 1, 2, user(9, 8), R_OK));
  CHECK_FALSE(acl_allows(acl, 1, 2, user(9, 8), X_OK));
  CHECK(acl_allows(acl, 1, 2, user(9, 2, {8}), R_OK | X_OK));
  CHECK_FALSE(acl_allows(acl, 1, 2, user(9, 2, {8}), W_OK));
  CHECK_FALSE(acl_allows(acl, 1, 2, user(9, 9), R_OK));
  Acl no_mask = acl;
  no_mask.erase(no_mask.begin() + 4);
  CHECK_FALSE(decode_acl(encode_acl(no_mask)));
  CHECK_FALSE(decode_acl("junk"));
}

TEST_CASE("access ACLs follow chmod, and the mode bits follow them") {
  VolumeHarness v;
  const auto f = v.make_file("f", kRootInode, {}, 0640);
  const auto set_acl = [&](const Bytes& value, Credentials who = {}) {
    return v
        .send(SetXattr{.inode = f,
                       .name = XattrName(kAccessAclName),
                       .value = value,
                       .credentials = std::move(who)})
        .error;
  };
  CHECK(set_acl(acl_bytes(sample_acl()), user(5, 5)) == EPERM);
  CHECK(set_acl("junk") == EINVAL);
  CHECK(set_acl(acl_bytes(sample_acl())) == 0);
  CHECK((v.attributes(f).mode & 0777) == 0770);
  CHECK(v.open(f, O_RDWR, user(7, 7)) == 0);
  CHECK(set(v, {.inode = f, .valid = V::kMode, .mode = 0740}) == 0);
  CHECK(v.open(f, O_RDWR, user(7, 7)) == EACCES);
  CHECK(v.open(f, O_RDONLY, user(7, 7)) == 0);
  // An ACL that the mode bits can say is not kept.
  CHECK(set_acl(acl_bytes(
            {{AclEntry::kUserObj, 6}, {AclEntry::kGroupObj, 4}, {AclEntry::kOther, 4}})) == 0);
  CHECK((v.attributes(f).mode & 0777) == 0644);
  CHECK(v.send(GetXattr{f, XattrName(kAccessAclName), {}}).error == ENODATA);
  v.check_replay();
}

TEST_CASE("a default ACL takes the umask's place and goes on to subdirectories") {
  VolumeHarness v;
  const auto d = v.make_directory("d", kRootInode, {}, 0777);
  const auto f0 = v.make_file("f0");
  const auto set_default = [&](InodeRef inode) {
    return v
        .send(SetXattr{
            .inode = inode, .name = XattrName(kDefaultAclName), .value = acl_bytes(sample_acl())})
        .error;
  };
  CHECK(set_default(f0) == EACCES);
  CHECK(set_default(d) == 0);
  const auto made =
      v.send(MakeNode{.parent = d, .name = Name("f"), .mode = S_IFREG | 0666, .umask = 077});
  CHECK((made.reply.attributes.mode & 0777) == 0660);
  const auto acl = v.send(GetXattr{made.reply.attributes.inode, XattrName(kAccessAclName), {}});
  REQUIRE(acl.error == 0);
  CHECK(acl_allows(*decode_acl(acl.reply.value), 1, 1, user(7, 7), R_OK | W_OK));
  const auto sub = v.make_directory("sub", d, {}, 0755);
  CHECK(v.send(GetXattr{sub, XattrName(kDefaultAclName), {}}).reply.value ==
        acl_bytes(sample_acl()));
  CHECK((v.attributes(sub).mode & 0777) == 0750);
  v.check_replay();
}
