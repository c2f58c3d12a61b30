// link(2), symlink(2), readlink(2) and the walk over symbolic links.
#include <fcntl.h>
#include <sys/stat.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_link_cases(CaseList& list) {
  list.group("link");
  list.add("a hard link is the same file, and the count says so", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    write_file(t / "a", "x");
    OK(::link(t / "a", t / "d" / "b"));
    EQUAL(links_of(t / "a"), 2u);
    EQUAL(lstat_of(t / "a").st_ino, lstat_of(t / "d" / "b").st_ino);
    write_file(t / "d" / "b", "changed");
    EQUAL(read_file(t / "a"), "changed");
    OK(::chmod(t / "a", 0600));
    EQUAL(mode_of(t / "d" / "b"), mode_t{0600});
    OK(::unlink(t / "a"));
    EQUAL(links_of(t / "d" / "b"), 1u);
    EQUAL(read_file(t / "d" / "b"), "changed");
  });
  list.add("a hard link moves the file's ctime and the parent's mtime", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    write_file(t / "a", "x");
    const struct stat file = stat_of(t / "a"), dir = stat_of(t / "d");
    let_the_clock_tick();
    OK(::link(t / "a", t / "d" / "b"));
    CHECK(nanoseconds(stat_of(t / "a").st_ctim) > nanoseconds(file.st_ctim));
    EQUAL(nanoseconds(stat_of(t / "a").st_mtim), nanoseconds(file.st_mtim));
    CHECK(nanoseconds(stat_of(t / "d").st_mtim) > nanoseconds(dir.st_mtim));
    CHECK(nanoseconds(stat_of(t / "d").st_ctim) > nanoseconds(dir.st_ctim));
  });
  list.add("fifos, sockets and symbolic links can be hard linked", [](Context& t) {
    OK(::mkfifo(t / "fifo", 0644));
    OK(::mknod(t / "socket", S_IFSOCK | 0644, 0));
    OK(::symlink("nowhere", t / "symlink"));
    for (const char* name : {"fifo", "socket", "symlink"}) {
      OK(::link(t / name, t / name + "2"));
      EQUAL(links_of(t / name), 2u);
      EQUAL(lstat_of(t / name).st_ino, lstat_of(t / name + "2").st_ino);
    }
  });
  list.add("a directory cannot be hard linked: EPERM", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    FAILS(EPERM, ::link(t / "d", t / "e"));
  });
  list.add("a hard link over any name fails with EEXIST", [](Context& t) {
    write_file(t / "a", "x");
    write_file(t / "b", "x");
    OK(::mkdir(t / "d", 0755));
    OK(::symlink("nowhere", t / "l"));
    for (const char* name : {"a", "b", "d", "l"}) FAILS(EEXIST, ::link(t / "a", t / name));
  });
  list.add("the usual errors of a path", [](Context& t) {
    write_file(t / "f", "x");
    const std::string longer(256, 'n');
    FAILS(ENOENT, ::link(t / "none", t / "x"));
    FAILS(ENOENT, ::link(t / "f", t / "none" / "x"));
    FAILS(ENOTDIR, ::link(t / "f", t / "f" / "x"));
    FAILS(ENAMETOOLONG, ::link(t / "f", t / longer));
    FAILS(ENOENT, ::symlink("", t / "l"));
    FAILS(EEXIST, ::symlink("x", t / "f"));
    FAILS(ENOENT, ::symlink("x", t / "none" / "l"));
    FAILS(ENOTDIR, ::symlink("x", t / "f" / "l"));
    FAILS(ENAMETOOLONG, ::symlink("x", t / longer));
    FAILS(ENAMETOOLONG, ::symlink(std::string(4096, 'x').c_str(), t / "l"));
    char text[10];
    FAILS(EINVAL, ::readlink(t / "f", text, sizeof text));
    FAILS(EINVAL, ::readlink(t.dir(), text, sizeof text));
    FAILS(ENOENT, ::readlink(t / "none", text, sizeof text));
  });
  list.add("a file without a name cannot get one back through its descriptor", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(::unlink(t / "f"));
    const std::string name = "/proc/self/fd/" + std::to_string(fd);
    FAILS(ENOENT, ::linkat(AT_FDCWD, name.c_str(), AT_FDCWD, t / "g", AT_SYMLINK_FOLLOW));
  });
  list.add("link does not follow a symbolic link unless asked to", [](Context& t) {
    write_file(t / "f", "x");
    OK(::symlink("f", t / "l"));
    OK(::link(t / "l", t / "l2"));
    CHECK(S_ISLNK(lstat_of(t / "l2").st_mode));
    OK(::linkat(AT_FDCWD, t / "l", AT_FDCWD, t / "f2", AT_SYMLINK_FOLLOW));
    CHECK(S_ISREG(lstat_of(t / "f2").st_mode));
  });
  list.add("a thousand hard links of one file", [](Context& t) {
    write_file(t / "f", "x");
    for (int i = 0; i < 1000; ++i) OK(::link(t / "f", t / ("l" + std::to_string(i))));
    EQUAL(links_of(t / "f"), 1001u);
    for (int i = 0; i < 1000; ++i) OK(::unlink(t / ("l" + std::to_string(i))));
    EQUAL(links_of(t / "f"), 1u);
  });

  list.group("symlink");
  list.add("keeps any text up to 4095 bytes and its length is its size", [](Context& t) {
    for (const size_t length : {1u, 59u, 60u, 255u, 1000u, 4095u}) {
      const Path name = t / ("l" + std::to_string(length));
      const std::string text(length, 'q');
      if (::symlink(text.c_str(), name) != 0) {
        EQUAL(errno_name(errno), "ENAMETOOLONG");
        t.unsupported("symbolic links of " + std::to_string(length) + " bytes");
      }
      EQUAL(size_of(name), static_cast<off_t>(length));
      CHECK(link_target(name) == text);
    }
    OK(::symlink("\xff\xfe \n\t", t / "bytes"));
    EQUAL(link_target(t / "bytes"), "\xff\xfe \n\t");
  });
  list.add("has mode 0777 whatever the umask says", [](Context& t) {
    ::umask(077);
    OK(::symlink("x", t / "l"));
    EQUAL(lstat_of(t / "l").st_mode, mode_t{S_IFLNK | 0777});
  });
  list.add("readlink cuts to the buffer", [](Context& t) {
    OK(::symlink("0123456789", t / "l"));
    char text[4] = {'-', '-', '-', '-'};
    EQUAL(OK(::readlink(t / "l", text, 3)), 3);
    EQUAL(std::string(text, 4), "012-");
  });
  list.add("is followed relative to where it is, and absolutely", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    write_file(t / "f", "top");
    OK(::symlink("../f", t / "d" / "up"));
    OK(::symlink((t / "f").text().c_str(), t / "d" / "absolute"));
    EQUAL(read_file(t / "d" / "up"), "top");
    EQUAL(read_file(t / "d" / "absolute"), "top");
    OK(::symlink("d", t / "dirlink"));
    EQUAL(read_file(t / "dirlink" / "up"), "top");
    OK(::symlink("f", t / "trailing"));
    FAILS(ENOTDIR, ::open(t / "trailing/", O_RDONLY));
  });
  list.add("forty in a chain are followed, one more is ELOOP", [](Context& t) {
    write_file(t / "l0", "end");
    for (int i = 1; i <= 41; ++i) {
      OK(::symlink(("l" + std::to_string(i - 1)).c_str(), t / ("l" + std::to_string(i))));
    }
    EQUAL(read_file(t / "l40"), "end");
    FAILS(ELOOP, ::open(t / "l41", O_RDONLY));
  });
  list.add("that leads to itself is ELOOP for every call that follows it", [](Context& t) {
    OK(::symlink("self", t / "self"));
    OK(::symlink("b", t / "a"));
    OK(::symlink("a", t / "b"));
    struct stat status {};
    for (const char* name : {"self", "a", "self/x"}) {
      FAILS(ELOOP, ::open(t / name, O_RDONLY));
      FAILS(ELOOP, ::stat(t / name, &status));
      FAILS(ELOOP, ::chmod(t / name, 0644));
      FAILS(ELOOP, ::truncate(t / name, 0));
    }
    FAILS(ELOOP, ::mkdir(t / "self/x", 0755));
    FAILS(ELOOP, ::unlink(t / "self/x"));
    FAILS(ELOOP, ::rename(t / "self/x", t / "y"));
  });
}

}  // namespace pairfs::posix
