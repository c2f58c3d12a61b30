// utimensat(2), and which call moves which time.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <ctime>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

constexpr timespec kOmit{0, UTIME_OMIT};
constexpr timespec kNow{0, UTIME_NOW};

int set_times(const Path& path, timespec atime, timespec mtime, int flags = 0) {
  const timespec both[2] = {atime, mtime};
  return ::utimensat(AT_FDCWD, path, both, flags);
}

void set_old(const Path& path) { OK(set_times(path, {1000, 1}, {2000, 2})); }

// What a change did to a file's times, as letters of those that moved forward.
std::string moved(const struct stat& before, const struct stat& after) {
  std::string letters;
  if (nanoseconds(after.st_atim) != nanoseconds(before.st_atim)) letters += 'a';
  if (nanoseconds(after.st_mtim) != nanoseconds(before.st_mtim)) letters += 'm';
  if (nanoseconds(after.st_ctim) != nanoseconds(before.st_ctim)) letters += 'c';
  return letters;
}

template <typename Change>
std::string moved_by(const Path& path, Change change) {
  const struct stat before = lstat_of(path);
  let_the_clock_tick();
  change();
  return moved(before, lstat_of(path));
}

bool no_atime(Context& t) {
  struct statvfs status {};
  OK(::statvfs(t.dir(), &status));
  return (status.f_flag & ST_NOATIME) != 0;
}

}  // namespace

void add_time_cases(CaseList& list) {
  list.group("utimens");
  list.add("keeps nanoseconds, years after 2038 and before 1970", [](Context& t) {
    write_file(t / "f", "x");
    const timespec values[] = {{0, 0},          {1, 999999999},  {1234567890, 123456789},
                               {2147483648, 1}, {4294967296, 5}, {-1, 500000000},
                               {-2000000000, 7}};
    for (const timespec& value : values) {
      OK(set_times(t / "f", value, value));
      EQUAL(nanoseconds(stat_of(t / "f").st_atim), nanoseconds(value));
      EQUAL(nanoseconds(stat_of(t / "f").st_mtim), nanoseconds(value));
    }
  });
  list.add("UTIME_OMIT leaves one, UTIME_NOW takes the clock", [](Context& t) {
    write_file(t / "f", "x");
    set_old(t / "f");
    OK(set_times(t / "f", {5, 6}, kOmit));
    EQUAL(nanoseconds(stat_of(t / "f").st_atim), 5000000006LL);
    EQUAL(nanoseconds(stat_of(t / "f").st_mtim), 2000000000002LL);
    OK(set_times(t / "f", kOmit, kNow));
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    EQUAL(nanoseconds(stat_of(t / "f").st_atim), 5000000006LL);
    CHECK(std::abs(nanoseconds(stat_of(t / "f").st_mtim) - nanoseconds(now)) < 5'000'000'000LL);
    const struct stat before = stat_of(t / "f");
    let_the_clock_tick();
    OK(set_times(t / "f", kOmit, kOmit));
    EQUAL(moved(before, stat_of(t / "f")), "");
  });
  list.add("moves ctime to the clock", [](Context& t) {
    write_file(t / "f", "x");
    EQUAL(moved_by(t / "f", [&] { set_old(t / "f"); }), "amc");
    EQUAL(moved_by(t / "f", [&] { set_old(t / "f"); }), "c");
  });
  list.add("on a link changes the link only when told so", [](Context& t) {
    write_file(t / "f", "x");
    OK(::symlink("f", t / "l"));
    OK(set_times(t / "l", {1, 1}, {2, 2}, AT_SYMLINK_NOFOLLOW));
    EQUAL(nanoseconds(lstat_of(t / "l").st_mtim), 2000000002LL);
    CHECK(nanoseconds(stat_of(t / "f").st_mtim) > 2000000002LL);
    OK(set_times(t / "l", {3, 3}, {4, 4}));
    EQUAL(nanoseconds(stat_of(t / "f").st_mtim), 4000000004LL);
  });
  list.add("works on a descriptor, on directories and special files", [](Context& t) {
    OK(::mkfifo(t / "fifo", 0644));
    OK(::mkdir(t / "d", 0755));
    for (const char* name : {"fifo", "d"}) {
      set_old(t / name);
      EQUAL(nanoseconds(lstat_of(t / name).st_mtim), 2000000000002LL);
    }
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    const timespec both[2] = {{9, 9}, {8, 8}};
    OK(::futimens(fd, both));
    EQUAL(nanoseconds(fstat_of(fd).st_mtim), 8000000008LL);
  });
  list.add("the clock may be set by who may write, other times by the owner only", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0606);
    OK(::chown(t / "f", kOwner.uid, kOwner.gid));
    as(kStranger, [&] {
      OK(set_times(t / "f", kNow, kNow));
      OK(::utimensat(AT_FDCWD, t / "f", nullptr, 0));
      FAILS(EPERM, set_times(t / "f", {1, 1}, {2, 2}));
      FAILS(EPERM, set_times(t / "f", kOmit, kNow));
      FAILS(EPERM, set_times(t / "f", kNow, kOmit));
    });
    OK(::chmod(t / "f", 0444));
    as(kStranger, [&] {
      FAILS(EACCES, set_times(t / "f", kNow, kNow));
      FAILS(EACCES, ::utimensat(AT_FDCWD, t / "f", nullptr, 0));
      FAILS(EPERM, set_times(t / "f", {1, 1}, {2, 2}));
      OK(set_times(t / "f", kOmit, kOmit));
    });
    as(kOwner, [&] {
      OK(set_times(t / "f", kNow, kNow));
      OK(set_times(t / "f", {1, 1}, {2, 2}));
    });
    FAILS(EINVAL, set_times(t / "f", {1, 1000000000}, {1, 1}));
    FAILS(ENOENT, set_times(t / "none", kNow, kNow));
  });

  list.group("times");
  list.add("a new file has the clock in all three and moves its parent's", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    EQUAL(moved_by(t / "d", [&] { write_file(t / "d" / "f", ""); }), "mc");
    const struct stat status = stat_of(t / "d" / "f");
    for (const timespec& time : {status.st_atim, status.st_mtim, status.st_ctim}) {
      CHECK(nanoseconds(time) > nanoseconds(now) - 1'000'000'000LL);
      CHECK(nanoseconds(time) < nanoseconds(now) + 10'000'000'000LL);
    }
  });
  list.add("each call moves exactly the times that it should", [](Context& t) {
    write_file(t / "f", "contents");
    Fd fd = open_file(t / "f", O_RDWR);
    const Path f = t / "f";
    EQUAL(moved_by(f, [&] { OK(::pwrite(fd, "y", 1, 0)); }), "mc");
    EQUAL(moved_by(f, [&] { OK(::pwrite(fd, "y", 0, 0)); }), "");
    EQUAL(moved_by(f, [&] { OK(::ftruncate(fd, 4)); }), "mc");
    EQUAL(moved_by(f, [&] { OK(::ftruncate(fd, 4000)); }), "mc");
    EQUAL(moved_by(f, [&] { OK(::fallocate(fd, 0, 0, 9000)); }), "mc");
    EQUAL(moved_by(f, [&] { OK(::fchmod(fd, 0600)); }), "c");
    EQUAL(moved_by(f, [&] { OK(::link(f, t / "g")); }), "c");
    EQUAL(moved_by(f, [&] { OK(::unlink(t / "g")); }), "c");
    EQUAL(moved_by(f, [&] { OK(::fsync(fd)); }), "");
    EQUAL(moved_by(f, [&] { stat_of(f); }), "");
  });
  list.add("a write through a descriptor is visible in mtime before close", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    long long last = 0;
    for (int i = 0; i < 20; ++i) {
      write_at(fd, i, "x");
      const long long now = nanoseconds(stat_of(t / "f").st_mtim);
      CHECK(now > last);
      last = now;
    }
  });
  list.add("reading moves atime when it is not newer than mtime (relatime)", [](Context& t) {
    if (no_atime(t)) skip("mounted with noatime");
    write_file(t / "f", "contents");
    set_old(t / "f");
    EQUAL(moved_by(t / "f", [&] { read_file(t / "f"); }), "a");
    EQUAL(moved_by(t / "f", [&] { read_file(t / "f"); }), "");
  });
  list.add("reading a file with a recent atime but an older one than mtime moves it",
           [](Context& t) {
             if (no_atime(t)) skip("mounted with noatime");
             write_file(t / "f", "contents");
             read_file(t / "f");
             let_the_clock_tick();
             write_file(t / "f", "changed!");
             EQUAL(moved_by(t / "f", [&] { read_file(t / "f"); }), "a");
           });
  list.add("listing a directory and reading a link move atime by the same rule", [](Context& t) {
    if (no_atime(t)) skip("mounted with noatime");
    OK(::mkdir(t / "d", 0755));
    write_file(t / "d" / "f", "");
    set_old(t / "d");
    EQUAL(moved_by(t / "d", [&] { names_in(t / "d"); }), "a");
    OK(::symlink("target", t / "l"));
    OK(set_times(t / "l", {1, 1}, {2, 2}, AT_SYMLINK_NOFOLLOW));
    EQUAL(moved_by(t / "l", [&] { link_target(t / "l"); }), "a");
  });
  list.add("O_NOATIME leaves atime and is for the owner", [](Context& t) {
    t.need_root();
    write_file(t / "f", "contents", 0644);
    set_old(t / "f");
    EQUAL(moved_by(t / "f",
                   [&] {
                     Fd fd = open_file(t / "f", O_RDONLY | O_NOATIME);
                     read_at(fd, 0, 8);
                   }),
          "");
    as(kStranger, [&] { FAILS(EPERM, ::open(t / "f", O_RDONLY | O_NOATIME)); });
  });
  list.add("a times set by hand lasts until the next change", [](Context& t) {
    write_file(t / "f", "x");
    set_old(t / "f");
    Fd fd = open_file(t / "f", O_RDWR);
    EQUAL(nanoseconds(stat_of(t / "f").st_mtim), 2000000000002LL);
    write_at(fd, 0, "y");
    CHECK(nanoseconds(stat_of(t / "f").st_mtim) > 2000000000002LL);
    set_old(t / "f");
    fd.close();
    EQUAL(nanoseconds(stat_of(t / "f").st_mtim), 2000000000002LL);
  });
  list.add("truncate to the same size moves mtime and ctime, as ext4 does", [](Context& t) {
    write_file(t / "f", "1234");
    EQUAL(moved_by(t / "f", [&] { OK(::truncate(t / "f", 4)); }), "mc");
  });
}

}  // namespace pairfs::posix
