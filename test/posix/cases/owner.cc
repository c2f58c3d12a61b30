// chmod(2) and chown(2).
#include <fcntl.h>
#include <sys/stat.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_owner_cases(CaseList& list) {
  list.group("chmod");
  list.add("sets every one of the 4096 modes on files and directories that it should",
           [](Context& t) {
             write_file(t / "f", "");
             OK(::mkdir(t / "d", 0755));
             for (mode_t mode = 0; mode < 010000; mode += 37) {
               OK(::chmod(t / "f", mode));
               EQUAL(mode_of(t / "f"), mode);
               OK(::chmod(t / "d", mode));
               EQUAL(mode_of(t / "d"), mode);
             }
             OK(::chmod(t / "d", 0755));
           });
  list.add("moves ctime and nothing else", [](Context& t) {
    write_file(t / "f", "x");
    const struct stat before = stat_of(t / "f");
    let_the_clock_tick();
    OK(::chmod(t / "f", 0600));
    const struct stat after = stat_of(t / "f");
    CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
    EQUAL(nanoseconds(after.st_mtim), nanoseconds(before.st_mtim));
    EQUAL(nanoseconds(after.st_atim), nanoseconds(before.st_atim));
    EQUAL(after.st_size, before.st_size);
  });
  list.add("follows symbolic links, and fchmod works on a descriptor", [](Context& t) {
    write_file(t / "f", "x");
    OK(::symlink("f", t / "l"));
    OK(::chmod(t / "l", 0640));
    EQUAL(mode_of(t / "f"), mode_t{0640});
    EQUAL(mode_of(t / "l"), mode_t{0777});
    Fd fd = open_file(t / "f", O_RDONLY);
    OK(::fchmod(fd, 0604));
    EQUAL(mode_of(t / "f"), mode_t{0604});
  });
  list.add("is for the owner and root: EPERM for others", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0666);
    OK(::chown(t / "f", kOwner.uid, kOwner.gid));
    as(kOwner, [&] { OK(::chmod(t / "f", 0606)); });
    for (const User& user : {kFriend, kStranger}) {
      as(user, [&] { FAILS(EPERM, ::chmod(t / "f", 0777)); });
    }
    EQUAL(mode_of(t / "f"), mode_t{0606});
    FAILS(ENOENT, ::chmod(t / "none", 0644));
    FAILS(ENOTDIR, ::chmod(t / "f" / "x", 0644));
  });
  list.add("a user may set the sticky bit on an own file", [](Context& t) {
    t.need_root();
    OK(::chmod(t.dir(), 0777));
    as(kOwner, [&] {
      write_file(t / "f", "x");
      OK(::chmod(t / "f", 01644));
      EQUAL(mode_of(t / "f"), mode_t{01644});
    });
  });

  list.group("chown");
  list.add("root sets both ids; minus one leaves one as it is", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x");
    OK(::chown(t / "f", 123, 456));
    OK(::chown(t / "f", static_cast<uid_t>(-1), 789));
    EQUAL(lstat_of(t / "f").st_uid, 123u);
    EQUAL(lstat_of(t / "f").st_gid, 789u);
    OK(::chown(t / "f", 321, static_cast<gid_t>(-1)));
    EQUAL(lstat_of(t / "f").st_uid, 321u);
    EQUAL(lstat_of(t / "f").st_gid, 789u);
    OK(::chown(t / "f", 4294967294u, 4294967294u));
    EQUAL(lstat_of(t / "f").st_uid, 4294967294u);
  });
  list.add("lchown changes the link, chown its target, and ctime moves", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x");
    OK(::symlink("f", t / "l"));
    const struct stat before = lstat_of(t / "l");
    let_the_clock_tick();
    OK(::lchown(t / "l", 11, 22));
    EQUAL(lstat_of(t / "l").st_uid, 11u);
    EQUAL(lstat_of(t / "f").st_uid, 0u);
    CHECK(nanoseconds(lstat_of(t / "l").st_ctim) > nanoseconds(before.st_ctim));
    OK(::chown(t / "l", 33, 44));
    EQUAL(lstat_of(t / "l").st_uid, 11u);
    EQUAL(lstat_of(t / "f").st_uid, 33u);
  });
  list.add("an owner may give a file to a group of theirs and nothing more", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x");
    OK(::chown(t / "f", kOwner.uid, kOwner.gid));
    as(kOwner, [&] {
      OK(::chown(t / "f", static_cast<uid_t>(-1), kOwner.groups[0]));
      OK(::chown(t / "f", kOwner.uid, kOwner.gid));
      FAILS(EPERM, ::chown(t / "f", static_cast<uid_t>(-1), kStranger.gid));
      FAILS(EPERM, ::chown(t / "f", kStranger.uid, static_cast<gid_t>(-1)));
      FAILS(EPERM, ::chown(t / "f", 0, kOwner.gid));
    });
    as(kStranger, [&] {
      FAILS(EPERM, ::chown(t / "f", kStranger.uid, kStranger.gid));
      FAILS(EPERM, ::chown(t / "f", static_cast<uid_t>(-1), kStranger.gid));
    });
    FAILS(ENOENT, ::chown(t / "none", 1, 1));
  });
  list.add("fchown works on a descriptor, also without a name", [](Context& t) {
    t.need_root();
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(::unlink(t / "f"));
    OK(::fchown(fd, 77, 88));
    EQUAL(fstat_of(fd).st_uid, 77u);
    EQUAL(fstat_of(fd).st_gid, 88u);
  });
}

}  // namespace pairfs::posix
