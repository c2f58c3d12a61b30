// Holes: fallocate(2), SEEK_DATA and SEEK_HOLE, very large files, copy_file_range(2).
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/stat.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

constexpr off_t kKiB = 1024, kMiB = 1024 * kKiB, kPiB = off_t{1} << 50;

void allocate(Context& t, int fd, int mode, off_t offset, off_t length) {
  if (::fallocate(fd, mode, offset, length) == 0) return;
  if (errno == EOPNOTSUPP) t.unsupported("fallocate mode " + std::to_string(mode));
  OK(-1);
}

}  // namespace

void add_sparse_cases(CaseList& list) {
  list.group("fallocate");
  list.add("allocating grows the file with zeros and keeps what is there", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(5000));
    allocate(t, fd, 0, 2000, 100000);
    EQUAL(fstat_of(fd).st_size, 102000);
    CHECK(read_at(fd, 0, 200000) == pattern(5000) + std::string(97000, '\0'));
    allocate(t, fd, 0, 0, 10);
    EQUAL(fstat_of(fd).st_size, 102000);
  });
  list.add("KEEP_SIZE leaves the size", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, "abc");
    allocate(t, fd, FALLOC_FL_KEEP_SIZE, 0, kMiB);
    EQUAL(fstat_of(fd).st_size, 3);
    EQUAL(read_at(fd, 0, 100), "abc");
    OK(::ftruncate(fd, kMiB));
    CHECK(read_at(fd, 0, kMiB) == "abc" + std::string(kMiB - 3, '\0'));
  });
  list.add("PUNCH_HOLE makes zeros of exactly the range and gives blocks back", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    const std::string data = pattern(8 * kMiB);
    write_at(fd, 0, data);
    OK(::fsync(fd));
    const blkcnt_t before = fstat_of(fd).st_blocks;
    allocate(t, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, 6 * kMiB);
    EQUAL(fstat_of(fd).st_size, 8 * kMiB);
    std::string wanted = data;
    wanted.replace(1000, 6 * kMiB, 6 * kMiB, '\0');
    CHECK(read_at(fd, 0, data.size()) == wanted);
    OK(::fsync(fd));
    CHECK(fstat_of(fd).st_blocks <= before - 5 * kMiB / 512);
    allocate(t, fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 7 * kMiB, 100 * kMiB);
    EQUAL(fstat_of(fd).st_size, 8 * kMiB);
  });
  list.add("ZERO_RANGE zeroes, with and without growing the file", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(20000));
    allocate(t, fd, FALLOC_FL_ZERO_RANGE, 5000, 5000);
    std::string wanted = pattern(20000);
    wanted.replace(5000, 5000, 5000, '\0');
    CHECK(read_at(fd, 0, 30000) == wanted);
    allocate(t, fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, 15000, 15000);
    EQUAL(fstat_of(fd).st_size, 20000);
    allocate(t, fd, FALLOC_FL_ZERO_RANGE, 15000, 15000);
    EQUAL(fstat_of(fd).st_size, 30000);
    wanted.resize(15000);
    wanted.resize(30000, '\0');
    CHECK(read_at(fd, 0, 40000) == wanted);
  });
  list.add("errors: EBADF, EINVAL, ENODEV or EISDIR, EOPNOTSUPP", [](Context& t) {
    write_file(t / "f", "x");
    Fd reading = open_file(t / "f", O_RDONLY);
    FAILS(EBADF, ::fallocate(reading, 0, 0, 10));
    Fd fd = open_file(t / "f", O_RDWR);
    FAILS(EINVAL, ::fallocate(fd, 0, -1, 10));
    FAILS(EINVAL, ::fallocate(fd, 0, 0, 0));
    FAILS(EOPNOTSUPP, ::fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10));
    FAILS(EFBIG, ::fallocate(fd, 0, 0x7fffffffffffff00, 0x1000));
  });

  list.group("seek");
  list.add("data and holes are found, and the end counts as a hole", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 4 * kMiB, pattern(kMiB));
    OK(::ftruncate(fd, 10 * kMiB));
    OK(::fsync(fd));
    const off_t data = OK(::lseek(fd, 0, SEEK_DATA));
    const off_t hole = OK(::lseek(fd, 4 * kMiB, SEEK_HOLE));
    CHECK(data <= 4 * kMiB);
    CHECK(hole >= 5 * kMiB && hole <= 10 * kMiB);
    if (data == 0) t.unsupported("SEEK_DATA that knows holes");
    EQUAL(data, 4 * kMiB);
    EQUAL(hole, 5 * kMiB);
    EQUAL(OK(::lseek(fd, 0, SEEK_HOLE)), 0);
    EQUAL(OK(::lseek(fd, 4 * kMiB + 5, SEEK_DATA)), 4 * kMiB + 5);
    FAILS(ENXIO, ::lseek(fd, 6 * kMiB, SEEK_DATA));
    FAILS(ENXIO, ::lseek(fd, 10 * kMiB, SEEK_DATA));
    FAILS(ENXIO, ::lseek(fd, 10 * kMiB, SEEK_HOLE));
    FAILS(ENXIO, ::lseek(fd, -1, SEEK_DATA));
  });
  list.add("a full file has its only hole at its end", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(100000));
    EQUAL(OK(::lseek(fd, 0, SEEK_DATA)), 0);
    EQUAL(OK(::lseek(fd, 99999, SEEK_DATA)), 99999);
    EQUAL(OK(::lseek(fd, 0, SEEK_HOLE)), 100000);
    OK(::ftruncate(fd, 0));
    FAILS(ENXIO, ::lseek(fd, 0, SEEK_DATA));
    FAILS(ENXIO, ::lseek(fd, 0, SEEK_HOLE));
  });

  list.group("sparse");
  list.add("a file of 1 PiB with a few bytes in it", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    if (::ftruncate(fd, kPiB) != 0) {
      EQUAL(errno_name(errno), errno_name(EFBIG));
      t.unsupported("files of 1 PiB");
    }
    EQUAL(fstat_of(fd).st_size, kPiB);
    write_at(fd, kPiB - 5, "end..");
    write_at(fd, kPiB / 2, "middle");
    EQUAL(fstat_of(fd).st_size, kPiB);
    CHECK(fstat_of(fd).st_blocks < 10000);
    EQUAL(read_at(fd, kPiB - 5, 100), "end..");
    EQUAL(read_at(fd, kPiB / 2 - 2, 10), std::string("\0\0middle\0\0", 10));
    EQUAL(read_at(fd, 12345678901234, 3), std::string(3, '\0'));
    OK(::ftruncate(fd, kPiB / 2 + 3));
    EQUAL(read_at(fd, kPiB / 2, 10), "mid");
    OK(::unlink(t / "f"));
  });
  list.add("a file of 1 TiB: data and holes are found without reading it", [](Context& t) {
    constexpr off_t kTiB = off_t{1} << 40;
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(::ftruncate(fd, kTiB));
    write_at(fd, kTiB / 2, "middle");
    OK(::fsync(fd));
    const off_t found = OK(::lseek(fd, 0, SEEK_DATA));
    if (found == 0) t.unsupported("SEEK_DATA that knows holes");
    CHECK(found <= kTiB / 2 && found > kTiB / 2 - kMiB);
    EQUAL(OK(::lseek(fd, 0, SEEK_HOLE)), 0);
  });
  list.add("beyond the largest offset: EFBIG", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    FAILS(EINVAL, ::pwrite(fd, "x", 1, 0x7fffffffffffffff));
    if (::pwrite(fd, "x", 1, 0x7ffffffffffffffe) == 1) skip("the largest offset is allowed here");
    EQUAL(errno_name(errno), "EFBIG");
    EQUAL(fstat_of(fd).st_size, 0);
  });

  list.group("copy_file_range");
  list.add("copies between files and within one, and moves offsets", [](Context& t) {
    write_file(t / "from", pattern(300000));
    Fd from = open_file(t / "from", O_RDONLY);
    Fd to = open_file(t / "to", O_RDWR | O_CREAT);
    off_t in = 1000, out = 50;
    size_t left = 200000;
    while (left > 0) {
      const ssize_t count = OK(::copy_file_range(from, &in, to, &out, left, 0));
      CHECK(count > 0);
      left -= static_cast<size_t>(count);
    }
    EQUAL(in, 201000);
    EQUAL(out, 200050);
    CHECK(read_at(to, 0, 300000) == std::string(50, '\0') + pattern(300000).substr(1000, 200000));
    in = 50;
    out = 250000;
    left = 10000;
    while (left > 0) {
      left -= static_cast<size_t>(OK(::copy_file_range(to, &in, to, &out, left, 0)));
    }
    CHECK(read_at(to, 250000, 20000) == pattern(300000).substr(1000, 10000));
  });
  list.add("stops at the end of the source, and at once beyond it", [](Context& t) {
    write_file(t / "from", "0123456789");
    Fd from = open_file(t / "from", O_RDONLY);
    Fd to = open_file(t / "to", O_RDWR | O_CREAT);
    off_t in = 6, out = 0;
    EQUAL(OK(::copy_file_range(from, &in, to, &out, 100, 0)), 4);
    EQUAL(OK(::copy_file_range(from, &in, to, &out, 100, 0)), 0);
    EQUAL(read_file(t / "to"), "6789");
  });
  list.add("errors: EBADF, EINVAL for overlap and flags, EISDIR", [](Context& t) {
    write_file(t / "f", pattern(10000));
    Fd fd = open_file(t / "f", O_RDWR);
    Fd reading = open_file(t / "f", O_RDONLY);
    Fd appending = open_file(t / "g", O_RDWR | O_CREAT | O_APPEND);
    Fd dir(OK(::open(t.dir(), O_RDONLY)));
    off_t in = 0, out = 50;
    FAILS(EINVAL, ::copy_file_range(fd, &in, fd, &out, 100, 0));
    FAILS(EINVAL, ::copy_file_range(fd, &in, fd, &out, 10, 1));
    FAILS(EBADF, ::copy_file_range(fd, &in, reading, &out, 10, 0));
    FAILS(EBADF, ::copy_file_range(fd, &in, appending, &out, 10, 0));
    FAILS(EISDIR, ::copy_file_range(dir, &in, fd, &out, 10, 0));
  });
  list.add("moves the target's mtime and ctime", [](Context& t) {
    write_file(t / "from", "abc");
    write_file(t / "to", "");
    Fd from = open_file(t / "from", O_RDONLY);
    Fd to = open_file(t / "to", O_RDWR);
    const struct stat before = fstat_of(to);
    let_the_clock_tick();
    OK(::copy_file_range(from, nullptr, to, nullptr, 3, 0));
    const struct stat after = fstat_of(to);
    CHECK(nanoseconds(after.st_mtim) > nanoseconds(before.st_mtim));
    CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
  });
}

}  // namespace pairfs::posix
