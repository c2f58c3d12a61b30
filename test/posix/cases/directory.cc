// mkdir(2), rmdir(2) and what a directory's own inode shows.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_directory_cases(CaseList& list) {
  list.group("directory");
  list.add("mkdir applies the umask, and its link count is two", [](Context& t) {
    ::umask(027);
    OK(::mkdir(t / "d", 0777));
    const struct stat status = lstat_of(t / "d");
    EQUAL(status.st_mode, mode_t{S_IFDIR | 0750});
    EQUAL(status.st_nlink, 2u);
  });
  list.add("mkdir keeps the sticky bit of its mode and drops setuid and setgid", [](Context& t) {
    OK(::mkdir(t / "d", 07755));
    EQUAL(mode_of(t / "d"), mode_t{01755});
  });
  list.add("a subdirectory counts in its parent's links until it is removed or moved",
           [](Context& t) {
             OK(::mkdir(t / "a", 0755));
             OK(::mkdir(t / "b", 0755));
             OK(::mkdir(t / "a" / "x", 0755));
             OK(::mkdir(t / "a" / "y", 0755));
             write_file(t / "a" / "file", "");
             EQUAL(links_of(t / "a"), 4u);
             OK(::rename(t / "a" / "x", t / "b" / "x"));
             EQUAL(links_of(t / "a"), 3u);
             EQUAL(links_of(t / "b"), 3u);
             OK(::rmdir(t / "a" / "y"));
             EQUAL(links_of(t / "a"), 2u);
           });
  list.add("mkdir fails with EEXIST whatever has the name", [](Context& t) {
    write_file(t / "file", "");
    OK(::mkdir(t / "dir", 0755));
    OK(::mkfifo(t / "fifo", 0644));
    OK(::symlink("nowhere", t / "dangling"));
    for (const char* name : {"file", "dir", "fifo", "dangling", ".", ".."}) {
      FAILS(EEXIST, ::mkdir(t / name, 0755));
    }
  });
  list.add("mkdir takes a trailing slash", [](Context& t) {
    OK(::mkdir(t / "d/", 0755));
    OK(::mkdir(t / "d//e//", 0755));
    CHECK(exists(t / "d" / "e"));
  });
  list.add("the usual errors of a path", [](Context& t) {
    write_file(t / "f", "");
    FAILS(ENOENT, ::mkdir(t / "none" / "d", 0755));
    FAILS(ENOTDIR, ::mkdir(t / "f" / "d", 0755));
    FAILS(ENAMETOOLONG, ::mkdir(t / std::string(256, 'd'), 0755));
    FAILS(ENOENT, ::rmdir(t / "none"));
    FAILS(ENOTDIR, ::rmdir(t / "f" / "d"));
    FAILS(ENAMETOOLONG, ::rmdir(t / std::string(256, 'd')));
  });
  list.add("rmdir refuses files, links to directories, dot and dot-dot", [](Context& t) {
    write_file(t / "f", "");
    OK(::mkdir(t / "d", 0755));
    OK(::symlink("d", t / "link"));
    FAILS(ENOTDIR, ::rmdir(t / "f"));
    FAILS(ENOTDIR, ::rmdir(t / "link"));
    FAILS(EINVAL, ::rmdir(t / "d" / "."));
    FAILS(ENOTEMPTY, ::rmdir(t / "d" / ".."));
  });
  list.add("rmdir refuses a directory with a file, directory, link or fifo in it", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    const Path inside = t / "d" / "x";
    write_file(inside, "");
    FAILS(ENOTEMPTY, ::rmdir(t / "d"));
    OK(::unlink(inside));
    OK(::mkdir(inside, 0755));
    FAILS(ENOTEMPTY, ::rmdir(t / "d"));
    OK(::rmdir(inside));
    OK(::symlink("nowhere", inside));
    FAILS(ENOTEMPTY, ::rmdir(t / "d"));
    OK(::unlink(inside));
    OK(::mkfifo(inside, 0644));
    FAILS(ENOTEMPTY, ::rmdir(t / "d"));
    OK(::unlink(inside));
    OK(::rmdir(t / "d"));
    CHECK(!exists(t / "d"));
  });
  list.add("a removed directory that is still open is empty and takes no new names",
           [](Context& t) {
             OK(::mkdir(t / "d", 0755));
             Fd dir(OK(::open(t / "d", O_RDONLY | O_DIRECTORY)));
             OK(::rmdir(t / "d"));
             EQUAL(fstat_of(dir).st_nlink, 0u);
             FAILS(ENOENT, ::mkdirat(dir, "x", 0755));
             FAILS(ENOENT, ::openat(dir, "x", O_CREAT | O_RDWR, 0644));
             FAILS(ENOENT, ::symlinkat("x", dir, "x"));
             FAILS(ENOENT, ::openat(dir, "x", O_RDONLY));
           });
  list.add("a removed working directory gives ENOENT", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    OK(::chdir(t / "d"));
    OK(::rmdir(t / "d"));
    FAILS(ENOENT, ::open("x", O_CREAT | O_RDWR, 0644));
    FAILS(ENOENT, ::mkdir("x", 0755));
    EQUAL(stat_of(".").st_nlink, nlink_t{0});
  });
  list.add("a removed working directory opens, lists nothing and can be synced", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    OK(::chdir(t / "d"));
    OK(::rmdir(t / "d"));
    CHECK(names_in(".").empty());
    Fd dir(OK(::open(".", O_RDONLY | O_DIRECTORY)));
    EQUAL(fstat_of(dir).st_nlink, nlink_t{0});
    OK(::fsync(dir));
    EQUAL(stat_of("..").st_ino, stat_of(t.dir()).st_ino);
  });
  list.add("a removed working directory has permissions, no attributes, and changes no more",
           [](Context& t) {
             OK(::mkdir(t / "d", 0755));
             OK(::chdir(t / "d"));
             OK(::rmdir(t / "d"));
             OK(::access(".", R_OK | W_OK | X_OK));
             // A local filesystem still changes the inode, which nobody else can see.
             const auto ends_well = [](long result) { return result == 0 || errno == ENOENT; };
             CHECK(ends_well(::chmod(".", 0700)));
             CHECK(ends_well(::chown(".", 1, 1)));
             CHECK(ends_well(::utimensat(AT_FDCWD, ".", nullptr, 0)));
             char value[16];
             FAILS(ENODATA, ::getxattr(".", "user.none", value, sizeof value));
             EQUAL(OK(::listxattr(".", nullptr, 0)), 0);
           });
  list.add("the name can be used again after rmdir, for another kind", [](Context& t) {
    for (int i = 0; i < 5; ++i) {
      OK(::mkdir(t / "x", 0755));
      OK(::rmdir(t / "x"));
      write_file(t / "x", "data");
      OK(::unlink(t / "x"));
    }
  });
  list.add("mkdir and rmdir move the parent's mtime and ctime", [](Context& t) {
    OK(::mkdir(t / "p", 0755));
    struct stat before = stat_of(t / "p");
    let_the_clock_tick();
    OK(::mkdir(t / "p" / "d", 0755));
    struct stat after = stat_of(t / "p");
    CHECK(nanoseconds(after.st_mtim) > nanoseconds(before.st_mtim));
    CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
    before = after;
    let_the_clock_tick();
    OK(::rmdir(t / "p" / "d"));
    after = stat_of(t / "p");
    CHECK(nanoseconds(after.st_mtim) > nanoseconds(before.st_mtim));
    CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
  });
  list.add("a file in place of a parent does not move the parent's times", [](Context& t) {
    OK(::mkdir(t / "p", 0755));
    write_file(t / "p" / "f", "");
    const struct stat before = stat_of(t / "p");
    let_the_clock_tick();
    write_file(t / "p" / "f", "contents");
    FAILS(EEXIST, ::mkdir(t / "p" / "f", 0755));
    const struct stat after = stat_of(t / "p");
    EQUAL(nanoseconds(after.st_mtim), nanoseconds(before.st_mtim));
    EQUAL(nanoseconds(after.st_ctim), nanoseconds(before.st_ctim));
  });
  list.add("directories nest a hundred levels deep, and dot-dot leads back", [](Context& t) {
    OK(::chdir(t.dir()));
    for (int level = 0; level < 100; ++level) {
      OK(::mkdir("d", 0755));
      OK(::chdir("d"));
    }
    write_file("bottom", "x");
    for (int level = 0; level < 100; ++level) OK(::chdir(".."));
    EQUAL(stat_of(".").st_ino, stat_of(t.dir()).st_ino);
    for (int level = 0; level < 100; ++level) OK(::chdir("d"));
    EQUAL(read_file("bottom"), "x");
  });
  list.add("dot-dot of a moved directory is its new parent", [](Context& t) {
    OK(::mkdir(t / "a", 0755));
    OK(::mkdir(t / "b", 0755));
    OK(::mkdir(t / "a" / "d", 0755));
    OK(::rename(t / "a" / "d", t / "b" / "d"));
    EQUAL(stat_of(t / "b" / "d" / "..").st_ino, stat_of(t / "b").st_ino);
  });
  list.add("reading and writing a directory as a file fails with EISDIR", [](Context& t) {
    Fd dir(OK(::open(t.dir(), O_RDONLY)));
    char byte = 0;
    FAILS(EISDIR, ::read(dir, &byte, 1));
    FAILS(EISDIR, ::pread(dir, &byte, 1, 0));
    FAILS(EBADF, ::write(dir, &byte, 1));
    FAILS(EISDIR, ::truncate(t.dir(), 0));
  });
}

}  // namespace pairfs::posix
