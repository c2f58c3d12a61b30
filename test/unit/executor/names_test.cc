#include <linux/fs.h>

#include "node/executor/inodes.h"
#include "test/unit/executor/volume_harness.h"

using namespace pairfs;
using pairfs::test::user;
using pairfs::test::VolumeHarness;

TEST_CASE("a file that was made is found, listed, written, read and removed") {
  VolumeHarness v;
  const auto made = v.send(CreateFile{
      .parent = kRootInode, .name = Name("a"), .mode = 0666, .umask = 022, .flags = O_RDWR});
  REQUIRE(made.error == 0);
  const InodeRef file = made.reply.attributes.inode;
  CHECK(made.reply.attributes.mode == (S_IFREG | 0644));
  CHECK(v.write(file, 3, "hello") == 0);
  CHECK(v.read(file, 0, 100) == Bytes("\0\0\0hello", 8));
  CHECK(v.attributes(file).size_bytes == 8);
  CHECK(v.attributes(file).allocated_bytes == 4096);
  const auto list = v.send(ReadDirectory{.inode = kRootInode, .max_bytes = 4096});
  REQUIRE(list.reply.entries.size() == 3);
  CHECK(list.reply.entries[2].name == "a");
  CHECK(list.reply.end);
  CHECK(v.unlink("a") == 0);
  CHECK(v.lookup_error("a") == ENOENT);
  CHECK(v.read(file, 3, 5) == "hello");  // still open
  CHECK(v.attributes(file).nlink == 0);
  CHECK(v.close(file) == 0);
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{file}).error == ESTALE);
  v.check_replay();
}

TEST_CASE("rename follows the rules of rename(2)") {
  VolumeHarness v;
  const auto a = v.make_directory("a");
  const auto b = v.make_directory("b", a);
  const auto c = v.make_directory("c");
  v.make_file("f");
  v.make_file("g", c);
  CHECK(v.attributes(kRootInode).nlink == 4);
  CHECK(v.rename(kRootInode, "a", b, "x") == EINVAL);
  CHECK(v.rename(kRootInode, "a", a, "x") == EINVAL);
  CHECK(v.rename(a, "b", kRootInode, "a") == ENOTEMPTY);
  CHECK(v.rename(kRootInode, "f", kRootInode, "a") == EISDIR);
  CHECK(v.rename(kRootInode, "a", kRootInode, "f") == ENOTDIR);
  CHECK(v.rename(kRootInode, "a", kRootInode, "c") == ENOTEMPTY);
  CHECK(v.rename(kRootInode, "nothing", kRootInode, "c") == ENOENT);
  CHECK(v.rename(kRootInode, "f", c, "g", RENAME_NOREPLACE) == EEXIST);
  CHECK(v.rename(kRootInode, "f", c, "h", RENAME_EXCHANGE) == ENOENT);
  CHECK(v.rename(kRootInode, "f", c, "g", RENAME_WHITEOUT) == EINVAL);
  CHECK(v.rename(kRootInode, "a", c, "g", RENAME_EXCHANGE) == 0);
  CHECK(v.attributes(kRootInode).nlink == 3);
  CHECK(v.attributes(c).nlink == 3);
  CHECK(v.send(Lookup{a, Name("..")}).reply.attributes.inode == c);
  CHECK(v.rename(c, "g", kRootInode, "a2") == 0);
  CHECK(v.attributes(kRootInode).nlink == 4);
  CHECK(v.attributes(c).nlink == 2);
  CHECK(v.rename(kRootInode, "a", kRootInode, "f") == 0);
  CHECK(v.lookup_error("a") == ENOENT);
  CHECK(v.rename(kRootInode, "a2", kRootInode, "c") == 0);
  CHECK(v.attributes(kRootInode).nlink == 3);
  v.check_replay();
}

TEST_CASE(
    "a file that another one replaces can be opened a moment longer by who had looked it up") {
  VolumeHarness v;
  const auto old = v.make_file("name");
  CHECK(v.write(old, 0, "old") == 0);
  v.make_file("new");
  CHECK(v.rename(kRootInode, "new", kRootInode, "name") == 0);
  v.run_follow_ups();
  CHECK(v.attributes(old).nlink == 0);
  CHECK(v.read(old, 0, 3) == "old");
  v.now += kReplacedGrace;
  v.run_follow_ups();
  CHECK(v.send(GetAttributes{old}).error == ESTALE);
  v.check_replay();
}

TEST_CASE("a rename between two names of one inode does nothing") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  CHECK(v.send(MakeLink{.inode = f, .parent = kRootInode, .name = Name("g")}).error == 0);
  CHECK(v.rename(kRootInode, "f", kRootInode, "g") == 0);
  CHECK(v.lookup_error("f") == 0);
  CHECK(v.attributes(f).nlink == 2);
}

TEST_CASE("a listing goes on from any cookie while names come and go") {
  VolumeHarness v;
  for (int i = 0; i < 300; ++i) v.make_file("file" + std::to_string(i));
  std::vector<Bytes> seen;
  uint64_t cookie = 0;
  bool end = false;
  for (int round = 0; !end; ++round) {
    auto list = v.send(ReadDirectory{
        .inode = kRootInode, .cookie = cookie, .max_bytes = 2048, .with_attributes = true});
    REQUIRE(list.error == 0);
    for (auto& entry : list.reply.entries) {
      seen.push_back(entry.name);
      cookie = entry.cookie;
    }
    end = list.reply.end;
    // The entry that the listing stopped at goes; new ones come.
    if (!end && round < 10) v.unlink(seen.back());
    v.make_file("new" + std::to_string(round));
  }
  size_t old_ones = 0;
  std::sort(seen.begin(), seen.end());
  CHECK(std::adjacent_find(seen.begin(), seen.end()) == seen.end());
  for (const auto& name : seen) old_ones += name.starts_with("file");
  CHECK(old_ones == 300);
}

TEST_CASE("names and types are checked as Linux does") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  const auto d = v.make_directory("d");
  CHECK(v.send(MakeNode{.parent = kRootInode, .name = Name("f"), .mode = S_IFREG}).error == EEXIST);
  CHECK(v.send(MakeNode{.parent = f, .name = Name("x"), .mode = S_IFREG}).error == ENOTDIR);
  CHECK(v.send(MakeDirectory{.parent = kRootInode, .name = Name(".")}).error == EEXIST);
  CHECK(v.unlink("d") == EISDIR);
  CHECK(v.remove_directory("f") == ENOTDIR);
  CHECK(v.remove_directory(".") == EINVAL);
  CHECK(v.remove_directory("..", d) == ENOTEMPTY);
  v.make_file("inside", d);
  CHECK(v.remove_directory("d") == ENOTEMPTY);
  CHECK(v.unlink("inside", d) == 0);
  CHECK(v.open(d, O_RDONLY) == 0);
  CHECK(v.remove_directory("d") == 0);
  CHECK(v.send(MakeNode{.parent = d, .name = Name("x"), .mode = S_IFREG}).error == ENOENT);
  CHECK(v.send(ReadDirectory{.inode = d, .max_bytes = 4096}).reply.entries.empty());
  CHECK(v.open(f, O_WRONLY) == 0);
  CHECK(v.open(kRootInode, O_RDWR) == EISDIR);
  CHECK(v.send(MakeLink{.inode = kRootInode, .parent = kRootInode, .name = Name("r")}).error ==
        EPERM);
  CHECK(v.send(MakeNode{.parent = kRootInode,
                        .name = Name("dev"),
                        .mode = S_IFBLK | 0600,
                        .rdev = 5,
                        .credentials = user(5, 5)})
            .error == EACCES);
  const auto link = v.send(
      MakeSymlink{.parent = kRootInode, .name = Name("s"), .target = LinkTarget("somewhere")});
  CHECK(link.reply.attributes.size_bytes == 9);
  CHECK(v.send(ReadLink{link.reply.attributes.inode}).reply.target == "somewhere");
  CHECK(v.send(ReadLink{f}).error == EINVAL);
  CHECK(v.send(GetAttributes{{f.id, 99}}).error == ESTALE);
}
