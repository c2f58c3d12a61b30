// rename(2) and renameat2(2).
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdio>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

int rename2(const Path& from, const Path& to, unsigned flags) {
  return ::renameat2(AT_FDCWD, from, AT_FDCWD, to, flags);
}

}  // namespace

void add_rename_cases(CaseList& list) {
  list.group("rename");
  list.add("moves every kind of file with its inode", [](Context& t) {
    write_file(t / "file", "x");
    OK(::mkdir(t / "dir", 0755));
    OK(::mkfifo(t / "fifo", 0644));
    OK(::mknod(t / "socket", S_IFSOCK | 0644, 0));
    OK(::symlink("nowhere", t / "link"));
    OK(::mkdir(t / "to", 0755));
    for (const char* name : {"file", "dir", "fifo", "socket", "link"}) {
      const struct stat before = lstat_of(t / name);
      OK(::rename(t / name, t / "to" / name));
      CHECK(!exists(t / name));
      const struct stat after = lstat_of(t / "to" / name);
      EQUAL(after.st_ino, before.st_ino);
      EQUAL(after.st_mode, before.st_mode);
    }
  });
  list.add("replaces a file; who has the old one open keeps it", [](Context& t) {
    write_file(t / "a", "new");
    Fd old = open_file(t / "b", O_RDWR | O_CREAT);
    write_at(old, 0, "old");
    OK(::rename(t / "a", t / "b"));
    EQUAL(read_file(t / "b"), "new");
    EQUAL(read_at(old, 0, 9), "old");
    EQUAL(fstat_of(old).st_nlink, 0u);
    EQUAL(names_in(t.dir()).size(), 1u);
  });
  list.add("replacing lowers the link count of the target's other names", [](Context& t) {
    write_file(t / "a", "a");
    write_file(t / "b", "b");
    OK(::link(t / "b", t / "c"));
    OK(::rename(t / "a", t / "b"));
    EQUAL(links_of(t / "c"), 1u);
    EQUAL(read_file(t / "c"), "b");
  });
  list.add("between two names of one file does nothing", [](Context& t) {
    write_file(t / "a", "x");
    OK(::link(t / "a", t / "b"));
    OK(::rename(t / "a", t / "b"));
    CHECK(exists(t / "a"));
    CHECK(exists(t / "b"));
    OK(::rename(t / "a", t / "a"));
    EQUAL(links_of(t / "a"), 2u);
  });
  list.add("a directory replaces an empty directory and refuses a full one", [](Context& t) {
    OK(::mkdir(t / "a", 0755));
    write_file(t / "a" / "f", "x");
    OK(::mkdir(t / "empty", 0755));
    OK(::mkdir(t / "full", 0755));
    write_file(t / "full" / "g", "x");
    CHECK(::rename(t / "a", t / "full") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
    OK(::rename(t / "a", t / "empty"));
    EQUAL(read_file(t / "empty" / "f"), "x");
  });
  list.add("a directory and another kind do not replace each other", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    write_file(t / "f", "x");
    OK(::symlink("d", t / "l"));
    FAILS(EISDIR, ::rename(t / "f", t / "d"));
    FAILS(ENOTDIR, ::rename(t / "d", t / "f"));
    FAILS(ENOTDIR, ::rename(t / "d", t / "l"));
  });
  list.add("a directory does not go below itself: EINVAL", [](Context& t) {
    OK(::mkdir(t / "a", 0755));
    OK(::mkdir(t / "a" / "b", 0755));
    FAILS(EINVAL, ::rename(t / "a", t / "a" / "x"));
    FAILS(EINVAL, ::rename(t / "a", t / "a" / "b" / "x"));
    FAILS(ENOTEMPTY, ::rename(t / "a" / "b", t / "a"));
  });
  list.add("the usual errors of a path", [](Context& t) {
    write_file(t / "f", "x");
    OK(::mkdir(t / "d", 0755));
    const std::string longer(256, 'n');
    FAILS(ENOENT, ::rename(t / "none", t / "x"));
    FAILS(ENOENT, ::rename(t / "f", t / "none" / "x"));
    FAILS(ENOTDIR, ::rename(t / "f" / "x", t / "y"));
    FAILS(ENOTDIR, ::rename(t / "f", t / "f" / "y"));
    FAILS(ENAMETOOLONG, ::rename(t / longer, t / "x"));
    FAILS(ENAMETOOLONG, ::rename(t / "f", t / longer));
    FAILS(ENOTDIR, ::rename(t / "f", t / "x/"));
    FAILS(EBUSY, ::rename(t / "d" / ".", t / "x"));
    FAILS(EBUSY, ::rename(t / "d", t / "d" / ".."));
    OK(::rename(t / "d/", t / "e/"));
  });
  list.add("NOREPLACE fails with EEXIST on every kind and moves otherwise", [](Context& t) {
    write_file(t / "a", "a");
    write_file(t / "b", "b");
    OK(::mkdir(t / "d", 0755));
    OK(::symlink("nowhere", t / "l"));
    for (const char* name : {"b", "d", "l", "a"}) {
      FAILS(EEXIST, rename2(t / "a", t / name, RENAME_NOREPLACE));
    }
    OK(rename2(t / "a", t / "c", RENAME_NOREPLACE));
    EQUAL(read_file(t / "c"), "a");
  });
  list.add("EXCHANGE swaps files, also a file with a directory", [](Context& t) {
    write_file(t / "a", "a");
    OK(::mkdir(t / "d", 0755));
    OK(::mkdir(t / "d" / "sub", 0755));
    write_file(t / "d" / "b", "b");
    OK(rename2(t / "a", t / "d" / "b", RENAME_EXCHANGE));
    EQUAL(read_file(t / "a"), "b");
    EQUAL(read_file(t / "d" / "b"), "a");
    OK(rename2(t / "a", t / "d" / "sub", RENAME_EXCHANGE));
    CHECK(S_ISDIR(lstat_of(t / "a").st_mode));
    EQUAL(read_file(t / "d" / "sub"), "b");
    EQUAL(links_of(t / "d"), 2u);
    EQUAL(stat_of(t / "a" / "..").st_ino, stat_of(t.dir()).st_ino);
  });
  list.add("EXCHANGE needs both names, does not build loops, and refuses odd flags",
           [](Context& t) {
             write_file(t / "a", "a");
             OK(::mkdir(t / "d", 0755));
             OK(::mkdir(t / "d" / "e", 0755));
             FAILS(ENOENT, rename2(t / "a", t / "none", RENAME_EXCHANGE));
             FAILS(ENOENT, rename2(t / "none", t / "a", RENAME_EXCHANGE));
             FAILS(EINVAL, rename2(t / "d", t / "d" / "e", RENAME_EXCHANGE));
             FAILS(EINVAL, rename2(t / "d" / "e", t / "d", RENAME_EXCHANGE));
             FAILS(EINVAL, rename2(t / "a", t / "b", RENAME_EXCHANGE | RENAME_NOREPLACE));
             FAILS(EINVAL, rename2(t / "a", t / "b", 0x80));
           });
  list.add("moves mtime and ctime of both parents and ctime of the file", [](Context& t) {
    OK(::mkdir(t / "a", 0755));
    OK(::mkdir(t / "b", 0755));
    write_file(t / "a" / "f", "x");
    const struct stat a = stat_of(t / "a"), b = stat_of(t / "b"), f = stat_of(t / "a" / "f");
    let_the_clock_tick();
    OK(::rename(t / "a" / "f", t / "b" / "f"));
    CHECK(nanoseconds(stat_of(t / "a").st_mtim) > nanoseconds(a.st_mtim));
    CHECK(nanoseconds(stat_of(t / "b").st_mtim) > nanoseconds(b.st_mtim));
    CHECK(nanoseconds(stat_of(t / "a").st_ctim) > nanoseconds(a.st_ctim));
    const struct stat moved = stat_of(t / "b" / "f");
    CHECK(nanoseconds(moved.st_ctim) > nanoseconds(f.st_ctim));
    EQUAL(nanoseconds(moved.st_mtim), nanoseconds(f.st_mtim));
  });
  list.add("an open file and an open directory go on under their new name", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    Fd dir(OK(::open(t / "d", O_RDONLY | O_DIRECTORY)));
    Fd file(OK(::openat(dir, "f", O_RDWR | O_CREAT, 0644)));
    OK(::rename(t / "d", t / "e"));
    OK(::rename(t / "e" / "f", t / "g"));
    write_at(file, 0, "abc");
    EQUAL(read_file(t / "g"), "abc");
    Fd other(OK(::openat(dir, "h", O_RDWR | O_CREAT, 0644)));
    CHECK(exists(t / "e" / "h"));
  });
  list.add("a reader always finds one of two files while they are renamed over", [](Context& t) {
    write_file(t / "target", "0");
    Child writer([&] {
      for (int i = 0; i < 300; ++i) {
        write_file(t / "new", std::to_string(i));
        OK(::rename(t / "new", t / "target"));
      }
    });
    for (int i = 0; i < 500; ++i) CHECK(!read_file(t / "target").empty());
    writer.join();
    EQUAL(read_file(t / "target"), "299");
  });
  list.add("two processes renaming directories into each other never build a loop", [](Context& t) {
    OK(::mkdir(t / "a", 0755));
    OK(::mkdir(t / "b", 0755));
    const auto churn = [&](const char* from, const char* into) {
      for (int i = 0; i < 200; ++i) {
        ::rename(t / from, t / into / from);
        ::rename(t / into / from, t / from);
      }
    };
    Child one([&] { churn("a", "b"); });
    Child two([&] { churn("b", "a"); });
    one.join();
    two.join();
    size_t found = 0;
    for (const char* name : {"a", "b", "a/b", "b/a"}) found += exists(t / name) ? 1 : 0;
    EQUAL(found, 2u);
  });
  list.add("a user may not rename what the parents' permissions forbid", [](Context& t) {
    t.need_root();
    OK(::mkdir(t / "closed", 0755));
    make_directory(t / "open", 0777);
    write_file(t / "closed" / "f", "x", 0666);
    write_file(t / "open" / "g", "x", 0666);
    as(kStranger, [&] {
      FAILS(EACCES, ::rename(t / "closed" / "f", t / "open" / "f"));
      FAILS(EACCES, ::rename(t / "open" / "g", t / "closed" / "g"));
      FAILS(EACCES, ::rename(t / "open" / "g", t / "closed" / "f"));
      OK(::rename(t / "open" / "g", t / "open" / "h"));
    });
  });
  list.add("moving a directory to another parent needs write permission on it", [](Context& t) {
    t.need_root();
    make_directory(t / "from", 0777);
    make_directory(t / "to", 0777);
    make_directory(t / "from" / "d", 0755);
    as(kStranger, [&] {
      FAILS(EACCES, ::rename(t / "from" / "d", t / "to" / "d"));
      OK(::rename(t / "from" / "d", t / "from" / "e"));
    });
  });
}

}  // namespace pairfs::posix
