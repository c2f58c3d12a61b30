#include <linux/falloc.h>

#include "test/unit/executor/volume_harness.h"

using namespace pairfs;
using pairfs::test::user;
using pairfs::test::VolumeHarness;

namespace {
int allocate(VolumeHarness& v, InodeRef inode, uint32_t mode, uint64_t offset, uint64_t length) {
  return v
      .send(Allocate{.inode = inode, .mode = mode, .offset_bytes = offset, .length_bytes = length})
      .error;
}
int truncate(VolumeHarness& v, InodeRef inode, uint64_t size) {
  return v.send(SetAttributes{.inode = inode, .valid = SetAttributes::kSize, .size_bytes = size})
      .error;
}
constexpr uint32_t kPunch = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;
}  // namespace

TEST_CASE("appends choose their offset at the executor") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  for (const char* text : {"one", "two"})
    CHECK(
        v.send(Write{.inode = f, .offset_bytes = 999, .append = true}, VolumeHarness::kClient, text)
            .error == 0);
  CHECK(v.read(f, 0, 100) == "onetwo");
  v.check_replay();
}

TEST_CASE("sparse files of a pebibyte work, and allocated bytes are exact") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  const uint64_t pebibyte = 1ULL << 50;
  CHECK(truncate(v, f, pebibyte) == 0);
  CHECK(v.write(f, pebibyte - 10, "0123456789") == 0);
  CHECK(v.write(f, 5000, "x") == 0);
  CHECK(v.attributes(f).size_bytes == pebibyte);
  CHECK(v.attributes(f).allocated_bytes == 8192);
  CHECK(v.read(f, pebibyte - 4, 100) == "6789");
  v.check_replay();
  CHECK(v.send(Seek{f, 0, SEEK_DATA}).reply.count <= 5000);
  CHECK(v.send(Seek{f, 0, SEEK_HOLE}).reply.count == 0);
  const auto far = v.send(Seek{f, 100'000, SEEK_DATA});
  CHECK(far.reply.count > pebibyte - 4096 - 1);
  CHECK(v.send(Seek{f, pebibyte, SEEK_DATA}).error == ENXIO);
  CHECK(truncate(v, f, 6000) == 0);
  CHECK(v.attributes(f).allocated_bytes == 4096);
  CHECK(v.send(Seek{f, 0, SEEK_HOLE}).reply.count == 0);
  CHECK(truncate(v, f, 0) == 0);
  CHECK(v.attributes(f).allocated_bytes == 0);
  CHECK(v.write(f, 0x7fff'ffff'ffff'fffeULL, "xy") == EFBIG);
  CHECK(truncate(v, f, 1ULL << 63) == EFBIG);
  v.check_replay();
}

TEST_CASE("what a shorter size cut off reads as zeros when the file grows again") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  CHECK(v.write(f, 0, Bytes(10000, 'a')) == 0);
  CHECK(truncate(v, f, 5000) == 0);
  CHECK(v.attributes(f).allocated_bytes == 8192);
  CHECK(truncate(v, f, 9000) == 0);
  CHECK(v.read(f, 4990, 20) == Bytes(10, 'a') + Bytes(10, '\0'));
  CHECK(v.attributes(f).allocated_bytes == 8192);
  v.check_replay();
}

TEST_CASE("fallocate allocates, keeps the size, punches and zeroes") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  CHECK(allocate(v, f, 0, 0, 0) == EINVAL);
  CHECK(allocate(v, f, FALLOC_FL_COLLAPSE_RANGE, 0, 4096) == EOPNOTSUPP);
  CHECK(allocate(v, f, FALLOC_FL_PUNCH_HOLE, 0, 4096) == EOPNOTSUPP);
  CHECK(allocate(v, kRootInode, 0, 0, 4096) == EISDIR);
  CHECK(v.write(f, 0, Bytes(20000, 'a')) == 0);
  CHECK(allocate(v, f, kPunch, 4000, 9000) == 0);
  CHECK(v.attributes(f).size_bytes == 20000);
  CHECK(v.attributes(f).allocated_bytes == 20480 - 8192);
  CHECK(v.read(f, 3999, 3) == Bytes("a\0\0", 3));
  v.check_sound();
  CHECK(allocate(v, f, FALLOC_FL_KEEP_SIZE, 0, 40960) == 0);
  CHECK(v.attributes(f).size_bytes == 20000);
  CHECK(v.attributes(f).allocated_bytes == 40960);
  CHECK(v.read(f, 3999, 3) == Bytes("a\0\0", 3));
  v.check_sound();
  CHECK(allocate(v, f, FALLOC_FL_ZERO_RANGE, 100, 50000) == 0);
  CHECK(v.attributes(f).size_bytes == 50100);
  CHECK(v.read(f, 99, 2) == Bytes("a\0", 2));
  v.check_sound();
  const auto g = v.make_file("g");
  CHECK(allocate(v, g, 0, 10000, 10000) == 0);
  CHECK(v.attributes(g).size_bytes == 20000);
  CHECK(v.attributes(g).allocated_bytes == 12288);
  CHECK(allocate(v, g, 0, 1ULL << 60, 1ULL << 60) == ENOSPC);
  v.check_replay();
}

TEST_CASE("ranges are copied on the server, within a file only without overlap") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  const auto g = v.make_file("g");
  CHECK(v.write(f, 0, "0123456789") == 0);
  CHECK(v.send(CopyRange{f, 2, g, 5000, 100, false, {}, {}}).reply.count == 8);
  CHECK(v.read(g, 4999, 10) == Bytes("\0"
                                     "23456789",
                                     9));
  CHECK(v.send(CopyRange{f, 0, f, 5, 10, false, {}, {}}).error == EINVAL);
  CHECK(v.send(CopyRange{f, 0, f, 10, 10, false, {}, {}}).reply.count == 10);
  CHECK(v.read(f, 0, 100) == "01234567890123456789");
  CHECK(v.send(CopyRange{f, 100, g, 0, 10, false, {}, {}}).reply.count == 0);
  v.check_replay();
}

TEST_CASE("reading moves the access time as relatime does") {
  VolumeHarness v;
  const auto f = v.make_file("f");
  CHECK(v.write(f, 0, "x") == 0);
  v.wall.seconds += 10;
  v.read(f, 0, 1);
  v.run_follow_ups();
  const Attributes first = v.attributes(f);
  CHECK(first.atime > first.mtime);
  v.wall.seconds += 10;
  v.read(f, 0, 1);
  v.run_follow_ups();
  CHECK(v.attributes(f).atime == first.atime);
  v.wall.seconds += 24 * 60 * 60;
  v.read(f, 0, 1);
  v.run_follow_ups();
  CHECK(v.attributes(f).atime > first.atime);
  v.check_replay();
}
