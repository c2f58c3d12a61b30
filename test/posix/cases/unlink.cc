// unlink(2), and files that outlive their name.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_unlink_cases(CaseList& list) {
  list.group("unlink");
  list.add("removes the name, and the parent's mtime and ctime move", [](Context& t) {
    write_file(t / "f", "x");
    const struct stat before = stat_of(t.dir());
    let_the_clock_tick();
    OK(::unlink(t / "f"));
    CHECK(!exists(t / "f"));
    const struct stat after = stat_of(t.dir());
    CHECK(nanoseconds(after.st_mtim) > nanoseconds(before.st_mtim));
    CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
  });
  list.add("the usual errors of a path", [](Context& t) {
    write_file(t / "f", "");
    FAILS(ENOENT, ::unlink(t / "none"));
    FAILS(ENOENT, ::unlink(t / "none" / "f"));
    FAILS(ENOTDIR, ::unlink(t / "f" / "x"));
    FAILS(ENOTDIR, ::unlink(t / "f/"));
    FAILS(ENAMETOOLONG, ::unlink(t / std::string(256, 'n')));
  });
  list.add("refuses a directory with EISDIR", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    FAILS(EISDIR, ::unlink(t / "d"));
    CHECK(exists(t / "d"));
  });
  list.add("removes a symbolic link, not its target", [](Context& t) {
    write_file(t / "f", "x");
    OK(::symlink("f", t / "link"));
    OK(::unlink(t / "link"));
    CHECK(exists(t / "f"));
  });
  list.add("lowers the link count and moves the ctime of the names left", [](Context& t) {
    write_file(t / "a", "x");
    OK(::link(t / "a", t / "b"));
    const struct stat before = stat_of(t / "a");
    let_the_clock_tick();
    OK(::unlink(t / "b"));
    const struct stat after = stat_of(t / "a");
    EQUAL(after.st_nlink, 1u);
    CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
    EQUAL(nanoseconds(after.st_mtim), nanoseconds(before.st_mtim));
  });
  list.add("an open file stays readable and writable without its name", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    const std::string data = pattern(300000);
    write_at(fd, 0, data);
    OK(::unlink(t / "f"));
    EQUAL(fstat_of(fd).st_nlink, 0u);
    CHECK(read_at(fd, 0, data.size()) == data);
    write_at(fd, 400000, "beyond");
    EQUAL(fstat_of(fd).st_size, 400006);
    EQUAL(read_at(fd, 400000, 10), "beyond");
    OK(::ftruncate(fd, 5));
    EQUAL(read_at(fd, 0, 10), data.substr(0, 5));
    OK(::fchmod(fd, 0600));
    OK(::fsync(fd));
    EQUAL(fstat_of(fd).st_mode & 07777, mode_t{0600});
  });
  list.add("a new file of the same name is another file", [](Context& t) {
    Fd old = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(old, 0, "old");
    const ino_t old_ino = fstat_of(old).st_ino;
    OK(::unlink(t / "f"));
    write_file(t / "f", "new");
    EQUAL(read_at(old, 0, 9), "old");
    EQUAL(read_file(t / "f"), "new");
    CHECK(lstat_of(t / "f").st_ino != old_ino);
  });
  list.add("a mapped file stays mapped without name and descriptor", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(8192));
    char* bytes =
        static_cast<char*>(::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0));
    CHECK(bytes != MAP_FAILED);
    OK(::unlink(t / "f"));
    fd.close();
    EQUAL(std::string(bytes, 8192), pattern(8192));
    bytes[5] = 'x';
    OK(::msync(bytes, 8192, MS_SYNC));
    EQUAL(bytes[5], 'x');
    OK(::munmap(bytes, 8192));
  });
  list.add("a hundred unlinked open files keep their contents apart", [](Context& t) {
    std::vector<Fd> files;
    for (unsigned i = 0; i < 100; ++i) {
      const Path name = t / ("f" + std::to_string(i));
      files.push_back(open_file(name, O_RDWR | O_CREAT));
      write_at(files.back(), 0, pattern(5000, i));
      OK(::unlink(name));
    }
    CHECK(names_in(t.dir()).empty());
    for (unsigned i = 0; i < 100; ++i) CHECK(read_at(files[i], 0, 6000) == pattern(5000, i));
  });
  list.add("an unlinked file opened in a child lives until the child closes it", [](Context& t) {
    write_file(t / "f", "data");
    Baton opened, unlinked;
    Child child([&] {
      Fd fd = open_file(t / "f", O_RDWR);
      opened.pass();
      unlinked.await();
      EQUAL(read_at(fd, 0, 10), "data");
      write_at(fd, 4, "more");
      EQUAL(read_at(fd, 0, 10), "datamore");
    });
    opened.await();
    OK(::unlink(t / "f"));
    unlinked.pass();
    child.join();
  });
  list.add("another mount may remove the name of a file open here", [](Context& t) {
    const Path there = t.there();
    Fd here_fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(here_fd, 0, pattern(100000));
    Fd there_fd = open_file(there / "f", O_RDWR);
    OK(::unlink(there / "f"));
    CHECK(!exists(t / "f"));
    EQUAL(fstat_of(here_fd).st_nlink, 0u);
    CHECK(read_at(here_fd, 0, 100000) == pattern(100000));
    write_at(here_fd, 100000, "more");
    EQUAL(read_at(there_fd, 99999, 10).substr(1), "more");
    there_fd.close();
    EQUAL(fstat_of(here_fd).st_size, 100004);
    write_at(here_fd, 0, "again");
    EQUAL(read_at(here_fd, 0, 5), "again");
  });
  list.add("a rename on another mount may remove the name of a file open here", [](Context& t) {
    const Path there = t.there();
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, "precious");
    write_file(there / "g", "other");
    OK(::rename(there / "g", there / "f"));
    EQUAL(read_at(fd, 0, 20), "precious");
    EQUAL(fstat_of(fd).st_nlink, 0u);
    EQUAL(read_file(t / "f"), "other");
  });
}

}  // namespace pairfs::posix
