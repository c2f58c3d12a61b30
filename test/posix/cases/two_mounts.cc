// What one mount changes, another sees at once: after the call returned (after close for data).
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_two_mount_cases(CaseList& list) {
  list.group("two mounts");
  list.add("names appear and vanish at once on both", [](Context& t) {
    const Path there = t.there();
    for (int i = 0; i < 100; ++i) {
      const std::string name = "n" + std::to_string(i);
      CHECK(!exists(there / name));
      write_file(t / name, "x");
      CHECK(exists(there / name));
      EQUAL(names_in(there).count(name), 1u);
      OK(::unlink(there / name));
      CHECK(!exists(t / name));
      EQUAL(names_in(t.dir()).count(name), 0u);
      OK(::mkdir(there / name, 0755));
      FAILS(EEXIST, ::mkdir(t / name, 0755));
      OK(::rmdir(t / name));
      FAILS(ENOENT, ::rmdir(there / name));
    }
  });
  list.add("contents written here are read there after close, also by an old descriptor",
           [](Context& t) {
             const Path there = t.there();
             write_file(t / "f", "");
             Fd reader = open_file(there / "f", O_RDONLY);
             for (unsigned i = 0; i < 100; ++i) {
               const std::string data = pattern(100 + i * 97, i);
               write_file(t / "f", data);
               CHECK(read_file(there / "f") == data);
               CHECK(read_at(reader, 0, 100000) == data);
               EQUAL(size_of(there / "f"), static_cast<off_t>(data.size()));
             }
           });
  list.add("the same length written again is read anew", [](Context& t) {
    const Path there = t.there();
    for (unsigned i = 0; i < 200; ++i) {
      const std::string data = pattern(5000, i);
      write_file(t / "f", data);
      CHECK(read_file(there / "f") == data);
      const std::string back = pattern(5000, i + 1000);
      write_file(there / "f", back);
      CHECK(read_file(t / "f") == back);
    }
  });
  list.add("writes through open descriptors on both take turns", [](Context& t) {
    const Path there = t.there();
    Fd here_fd = open_file(t / "f", O_RDWR | O_CREAT);
    Fd there_fd = open_file(there / "f", O_RDWR);
    for (int i = 0; i < 100; ++i) {
      write_at(here_fd, i * 2, "h");
      EQUAL(read_at(there_fd, i * 2, 9), "h");
      write_at(there_fd, i * 2 + 1, "t");
      EQUAL(read_at(here_fd, i * 2, 9), "ht");
    }
  });
  list.add("truncation, modes, owners, times and attributes show at once", [](Context& t) {
    const Path there = t.there();
    write_file(t / "f", pattern(10000));
    CHECK(read_file(there / "f") == pattern(10000));
    OK(::truncate(t / "f", 5));
    EQUAL(size_of(there / "f"), 5);
    EQUAL(read_file(there / "f"), pattern(10000).substr(0, 5));
    OK(::chmod(there / "f", 0600));
    EQUAL(mode_of(t / "f"), mode_t{0600});
    const timespec times[2] = {{5, 5}, {6, 6}};
    OK(::utimensat(AT_FDCWD, t / "f", times, 0));
    EQUAL(nanoseconds(stat_of(there / "f").st_mtim), 6000000006LL);
    if (::setxattr(there / "f", "user.x", "v", 1, 0) == 0) {
      char value = 0;
      EQUAL(OK(::getxattr(t / "f", "user.x", &value, 1)), 1);
    }
    OK(::link(t / "f", t / "g"));
    EQUAL(links_of(there / "f"), 2u);
  });
  list.add("a rename shows at once, also of a directory in the middle of a path", [](Context& t) {
    const Path there = t.there();
    OK(::mkdir(t / "a", 0755));
    OK(::mkdir(t / "a" / "b", 0755));
    write_file(t / "a" / "b" / "f", "1");
    for (int i = 0; i < 30; ++i) {
      EQUAL(read_file(there / "a" / "b" / "f"), "1");
      OK(::rename(t / "a", t / "c"));
      EQUAL(read_file(there / "c" / "b" / "f"), "1");
      FAILS(ENOENT, ::open(there / "a" / "b" / "f", O_RDONLY));
      OK(::rename(there / "c", there / "a"));
      FAILS(ENOENT, ::open(t / "c" / "b" / "f", O_RDONLY));
    }
  });
  list.add("a name that changes its kind is what the last change made it", [](Context& t) {
    const Path there = t.there();
    for (int i = 0; i < 30; ++i) {
      write_file(t / "x", "file");
      EQUAL(read_file(there / "x"), "file");
      OK(::unlink(t / "x"));
      OK(::mkdir(t / "x", 0755));
      CHECK(S_ISDIR(lstat_of(there / "x").st_mode));
      OK(::rmdir(there / "x"));
      OK(::symlink("target", t / "x"));
      EQUAL(link_target(there / "x"), "target");
      OK(::unlink(there / "x"));
    }
  });
  list.add("a file replaced by rename there is opened anew here", [](Context& t) {
    const Path there = t.there();
    write_file(t / "f", "0");
    for (int i = 1; i < 100; ++i) {
      write_file(there / "new", std::to_string(i));
      OK(::rename(there / "new", there / "f"));
      EQUAL(read_file(t / "f"), std::to_string(i));
    }
  });
  list.add("inode numbers agree", [](Context& t) {
    const Path there = t.there();
    write_file(t / "f", "x");
    OK(::mkdir(t / "d", 0755));
    EQUAL(stat_of(there / "f").st_ino, stat_of(t / "f").st_ino);
    EQUAL(stat_of(there / "d").st_ino, stat_of(t / "d").st_ino);
  });
  list.add("what a mapping stored and synced there is read here", [](Context& t) {
    const Path there = t.there();
    Fd fd = open_file(there / "f", O_RDWR | O_CREAT);
    OK(::ftruncate(fd, 8192));
    EQUAL(read_file(t / "f"), std::string(8192, '\0'));
    char* bytes =
        static_cast<char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CHECK(bytes != MAP_FAILED);
    bytes[5000] = 'm';
    OK(::msync(bytes, 8192, MS_SYNC));
    EQUAL(read_file(t / "f")[5000], 'm');
    OK(::munmap(bytes, 8192));
  });
  list.add("exclusive creation from both has one winner every time", [](Context& t) {
    const Path there = t.there();
    const auto race = [](const Path& dir, const Path& report) {
      std::string won;
      for (int i = 0; i < 200; ++i) {
        const std::string name = "race" + std::to_string(i);
        const int fd = ::open(dir / name, O_CREAT | O_EXCL | O_WRONLY, 0644);
        if (fd < 0) CHECK(errno == EEXIST);
        won += fd >= 0 ? '1' : '0';
        if (fd >= 0) ::close(fd);
      }
      write_file(report, won);
    };
    Child one([&] { race(t.dir(), t / "one"); });
    Child two([&] { race(there, t / "two"); });
    one.join();
    two.join();
    const std::string first = read_file(t / "one"), second = read_file(t / "two");
    EQUAL(first.size(), 200u);
    for (size_t i = 0; i < 200; ++i) CHECK(first[i] != second[i]);
  });
  list.add("a directory removed there takes no new names here", [](Context& t) {
    const Path there = t.there();
    OK(::mkdir(t / "d", 0755));
    Fd dir(OK(::open(t / "d", O_RDONLY | O_DIRECTORY)));
    OK(::rmdir(there / "d"));
    FAILS(ENOENT, ::openat(dir, "x", O_CREAT | O_RDWR, 0644));
    FAILS(ENOENT, ::mkdir(t / "d" / "x", 0755));
  });
  list.add("a working directory removed there is empty and takes no new names here",
           [](Context& t) {
             const Path there = t.there();
             write_file(t / "f", "");
             OK(::mkdir(t / "d", 0755));
             OK(::chdir(t / "d"));
             OK(::rmdir(there / "d"));
             CHECK(names_in(".").empty());
             FAILS(ENOENT, ::open("x", O_CREAT | O_RDWR, 0644));
             FAILS(ENOENT, ::mkdir("x", 0755));
             FAILS(ENOENT, ::mkfifo("x", 0644));
             FAILS(ENOENT, ::symlink("y", "x"));
             FAILS(ENOENT, ::link(t / "f", "x"));
             FAILS(ENOENT, ::rename(t / "f", "x"));
             FAILS(ENOENT, ::unlink("x"));
             FAILS(ENOENT, ::rmdir("x"));
             struct stat status {};
             FAILS(ENOENT, ::stat("x", &status));
             // The name may come back: who walks to it finds the new one.
             OK(::mkdir(there / "d", 0755));
             OK(::mkdir(t / "d" / "x", 0755));
             FAILS(ENOENT, ::mkdir("y", 0755));
           });
}

}  // namespace pairfs::posix
