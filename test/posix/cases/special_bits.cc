// setgid directories, and when setuid and setgid bits vanish.
#include <fcntl.h>
#include <sys/stat.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

// A file of kOwner that others may write, with these bits.
Path file_with(Context& t, mode_t mode) {
  const Path path = t / "f";
  write_file(path, "contents", 0666);
  OK(::chown(path, kOwner.uid, kOwner.gid));
  OK(::chmod(path, mode));
  return path;
}

}  // namespace

void add_special_bit_cases(CaseList& list) {
  list.group("setgid directory");
  list.add("gives its group to files and group and bit to directories", [](Context& t) {
    t.need_root();
    make_directory(t / "d", 0777);
    OK(::chown(t / "d", 0, 61900));
    OK(::chmod(t / "d", 02777));
    as(kStranger, [&] {
      write_file(t / "d" / "f", "x");
      OK(::mkdir(t / "d" / "sub", 0755));
      OK(::mkfifo(t / "d" / "fifo", 0644));
      OK(::symlink("x", t / "d" / "l"));
    });
    for (const char* name : {"f", "sub", "fifo", "l"}) {
      EQUAL(lstat_of(t / "d" / name).st_gid, 61900u);
      EQUAL(lstat_of(t / "d" / name).st_uid, kStranger.uid);
    }
    EQUAL(mode_of(t / "d" / "sub"), mode_t{02755});
    EQUAL(mode_of(t / "d" / "f"), mode_t{0644});
  });
  list.add("without the bit a new file has the group of its maker", [](Context& t) {
    t.need_root();
    make_directory(t / "d", 0777);
    OK(::chown(t / "d", 0, 61900));
    as(kStranger, [&] { write_file(t / "d" / "f", "x"); });
    EQUAL(lstat_of(t / "d" / "f").st_gid, kStranger.gid);
  });
  list.add("a maker outside the group does not get a setgid executable", [](Context& t) {
    t.need_root();
    make_directory(t / "d", 0777);
    OK(::chown(t / "d", 0, 61900));
    OK(::chmod(t / "d", 02777));
    as(kStranger, [&] { Fd outside(OK(::open(t / "d" / "outside", O_CREAT | O_RDWR, 02775))); });
    as({kStranger.uid, kStranger.gid, {61900}},
       [&] { Fd inside(OK(::open(t / "d" / "inside", O_CREAT | O_RDWR, 02775))); });
    EQUAL(mode_of(t / "d" / "outside"), mode_t{0755});
    EQUAL(mode_of(t / "d" / "inside"), mode_t{02755});
  });

  list.group("setuid and setgid");
  list.add("a write by another user clears them", [](Context& t) {
    t.need_root();
    const std::pair<mode_t, mode_t> changes[] = {
        {06777, 0777}, {04777, 0777}, {02777, 0777}, {04666, 0666}, {06767, 0767}};
    for (const auto& [before, after] : changes) {
      const Path f = file_with(t, before);
      as(kStranger, [&] {
        Fd fd = open_file(f, O_WRONLY);
        OK(::pwrite(fd, "y", 1, 0));
      });
      EQUAL(mode_of(f), after);
      OK(::unlink(f));
    }
  });
  list.add("setgid without group execution stays when a member of the group writes",
           [](Context& t) {
             t.need_root();
             const Path f = file_with(t, 06767);
             as(kFriend, [&] {
               Fd fd = open_file(f, O_WRONLY);
               OK(::pwrite(fd, "y", 1, 0));
             });
             EQUAL(mode_of(f), mode_t{02767});
           });
  list.add("a write by root leaves them", [](Context& t) {
    t.need_root();
    const Path f = file_with(t, 06755);
    Fd fd = open_file(f, O_WRONLY);
    OK(::pwrite(fd, "y", 1, 0));
    EQUAL(mode_of(f), mode_t{06755});
  });
  list.add("a write by the owner clears them as well", [](Context& t) {
    t.need_root();
    const Path f = file_with(t, 06755);
    as(kOwner, [&] {
      Fd fd = open_file(f, O_WRONLY);
      OK(::pwrite(fd, "y", 1, 0));
    });
    EQUAL(mode_of(f), mode_t{0755});
  });
  list.add("truncate, ftruncate, O_TRUNC and fallocate by another user clear them", [](Context& t) {
    t.need_root();
    const std::pair<const char*, std::function<void(const Path&)>> ways[] = {
        {"truncate", [](const Path& f) { OK(::truncate(f, 3)); }},
        {"ftruncate",
         [](const Path& f) {
           Fd fd = open_file(f, O_WRONLY);
           OK(::ftruncate(fd, 30));
         }},
        {"O_TRUNC", [](const Path& f) { Fd fd = open_file(f, O_WRONLY | O_TRUNC); }},
        {"fallocate",
         [](const Path& f) {
           Fd fd = open_file(f, O_WRONLY);
           OK(::fallocate(fd, 0, 0, 10000));
         }},
        {"copy_file_range", [](const Path& f) {
           Fd fd = open_file(f, O_RDWR);
           Fd same = open_file(f, O_RDONLY);
           off_t in = 4;
           off_t out = 0;
           OK(::copy_file_range(same, &in, fd, &out, 2, 0));
         }}};
    for (const auto& [name, change] : ways) {
      const Path f = file_with(t, 06777);
      as(kStranger, [&, act = change] { act(f); });
      EQUAL(std::string(name) + (mode_of(f) == 0777 ? " clears" : " keeps"),
            std::string(name) + " clears");
      OK(::unlink(f));
    }
  });
  list.add("chown clears them on a file, also for root, and not on a directory", [](Context& t) {
    t.need_root();
    const Path f = file_with(t, 06777);
    OK(::chown(f, 1, 1));
    EQUAL(mode_of(f), mode_t{0777});
    OK(::chmod(f, 06766));
    OK(::chown(f, 2, 2));
    EQUAL(mode_of(f), mode_t{02766});
    make_directory(t / "d", 06777);
    OK(::chown(t / "d", 1, 1));
    EQUAL(mode_of(t / "d"), mode_t{06777});
  });
  list.add("chmod by someone outside the file's group clears setgid", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x");
    OK(::chown(t / "f", kOwner.uid, 61900));
    as(kOwner, [&] { OK(::chmod(t / "f", 02755)); });
    EQUAL(mode_of(t / "f"), mode_t{0755});
    as({kOwner.uid, kOwner.gid, {61900}}, [&] { OK(::chmod(t / "f", 02755)); });
    EQUAL(mode_of(t / "f"), mode_t{02755});
    OK(::chmod(t / "f", 0755));
    OK(::chmod(t / "f", 06755));
    EQUAL(mode_of(t / "f"), mode_t{06755});
  });
}

}  // namespace pairfs::posix
