#include <sys/xattr.h>

#include "test/unit/executor/volume_harness.h"

using namespace pairfs;
using pairfs::test::user;
using pairfs::test::VolumeHarness;

namespace {
int set(VolumeHarness& v, InodeRef inode, BytesView name, BytesView value, uint32_t flags = 0,
        Credentials who = {}) {
  return v
      .send(SetXattr{.inode = inode,
                     .name = XattrName(name),
                     .value = XattrValue(value),
                     .flags = flags,
                     .credentials = std::move(who)})
      .error;
}
int get_error(VolumeHarness& v, InodeRef inode, BytesView name, Credentials who = {}) {
  return v.send(GetXattr{inode, XattrName(name), std::move(who)}).error;
}
}  // namespace

TEST_CASE("xattrs are created, replaced, listed and removed") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  CHECK(get_error(v, f, "user.a") == ENODATA);
  CHECK(set(v, f, "user.a", "1", XATTR_REPLACE) == ENODATA);
  CHECK(set(v, f, "user.a", "1", XATTR_CREATE) == 0);
  CHECK(set(v, f, "user.a", "2", XATTR_CREATE) == EEXIST);
  CHECK(set(v, f, "user.a", "", XATTR_REPLACE) == 0);
  CHECK(set(v, f, "user.b", Bytes(65536, 'x')) == 0);
  CHECK(set(v, f, "trusted.t", "x") == 0);
  CHECK(v.send(ListXattr{f, {}}).reply.value == Bytes("trusted.t\0user.a\0user.b\0", 24));
  CHECK(v.send(ListXattr{f, user(5, 5)}).reply.value == Bytes("user.a\0user.b\0", 14));
  CHECK(v.send(RemoveXattr{.inode = f, .name = XattrName("user.a")}).error == 0);
  CHECK(v.send(RemoveXattr{.inode = f, .name = XattrName("user.a")}).error == ENODATA);
  CHECK(v.send(GetXattr{f, XattrName("user.b"), {}}).reply.value.size() == 65536);
  v.check_replay();
  v.unlink("f");
  v.check_replay();
}

TEST_CASE("xattr namespaces have their own rules") {
  VolumeHarness v;
  const auto f = v.make_file("f", kRootInode, user(0, 0), 0644);
  CHECK(set(v, f, "user.a", "1", 0, user(5, 5)) == EACCES);
  CHECK(set(v, f, "trusted.a", "1", 0, user(5, 5)) == EPERM);
  CHECK(get_error(v, f, "trusted.a", user(5, 5)) == ENODATA);
  CHECK(set(v, f, "security.a", "1", 0, user(5, 5)) == EPERM);
  CHECK(set(v, f, "other.a", "1") == EOPNOTSUPP);
  CHECK(set(v, f, "user.", "1") == EINVAL);
  const auto link =
      v.send(MakeSymlink{.parent = kRootInode, .name = Name("s"), .target = LinkTarget("t")});
  CHECK(set(v, link.reply.attributes.inode, "user.a", "1") == EPERM);
  CHECK(get_error(v, link.reply.attributes.inode, "user.a") == ENODATA);
  CHECK(set(v, link.reply.attributes.inode, "trusted.a", "1") == 0);
  const auto d = v.make_directory("d", kRootInode, {}, 01777);
  CHECK(set(v, d, "user.a", "1", 0, user(5, 5)) == EPERM);
}

TEST_CASE("where there is no ACL, removing it changes nothing") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  const Timestamp before = v.attributes(f).ctime;
  CHECK(v.send(RemoveXattr{.inode = f, .name = XattrName("system.posix_acl_access")}).error == 0);
  CHECK(v.send(RemoveXattr{.inode = f, .name = XattrName("system.posix_acl_default")}).error == 0);
  CHECK(v.attributes(f).ctime == before);
  CHECK(set(v, f, "user.a", "") == 0);
  CHECK(v.attributes(f).ctime != before);
  v.check_replay();
}

TEST_CASE("file capabilities fall with a write or chown") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  CHECK(set(v, f, "security.capability", "x") == 0);
  CHECK(v.write(f, 0, "y") == 0);
  CHECK(get_error(v, f, "security.capability") == ENODATA);
  CHECK(set(v, f, "security.capability", "x") == 0);
  CHECK(v.send(SetAttributes{.inode = f, .valid = SetAttributes::kUid, .uid = 5}).error == 0);
  CHECK(get_error(v, f, "security.capability") == ENODATA);
  v.check_replay();
}
