// open(2): flags, modes and errors.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_open_cases(CaseList& list) {
  list.group("open");
  list.add("O_CREAT makes an empty file with the mode less the umask", [](Context& t) {
    ::umask(027);
    Fd fd(OK(::open(t / "f", O_CREAT | O_RDWR, 0666)));
    const struct stat status = fstat_of(fd);
    EQUAL(status.st_mode, mode_t{S_IFREG | 0640});
    EQUAL(status.st_size, 0);
    EQUAL(status.st_nlink, 1u);
    EQUAL(status.st_blocks, 0);
  });
  list.add("O_CREAT keeps setuid, setgid and sticky of the mode", [](Context& t) {
    Fd fd(OK(::open(t / "f", O_CREAT | O_RDWR, 07755)));
    EQUAL(mode_of(t / "f"), mode_t{07755});
  });
  list.add("O_CREAT on a file that exists opens it and leaves its mode", [](Context& t) {
    write_file(t / "f", "abc", 0600);
    Fd fd(OK(::open(t / "f", O_CREAT | O_RDWR, 0777)));
    EQUAL(mode_of(t / "f"), mode_t{0600});
    EQUAL(read_at(fd, 0, 10), "abc");
  });
  list.add("O_EXCL fails with EEXIST on a file, directory, fifo or symbolic link", [](Context& t) {
    write_file(t / "file", "");
    OK(::mkdir(t / "dir", 0755));
    OK(::mkfifo(t / "fifo", 0644));
    OK(::symlink("nowhere", t / "dangling"));
    for (const char* name : {"file", "dir", "fifo", "dangling"}) {
      FAILS(EEXIST, ::open(t / name, O_CREAT | O_EXCL | O_RDWR | O_NONBLOCK, 0644));
    }
    CHECK(!exists(t / "nowhere"));
  });
  list.add("O_EXCL lets exactly one of eight racing processes create the name", [](Context& t) {
    for (int round = 0; round < 20; ++round) {
      const Path name = t / ("f" + std::to_string(round));
      std::vector<pid_t> racers;
      for (int i = 0; i < 8; ++i) {
        const pid_t pid = OK(::fork());
        if (pid == 0) ::_exit(::open(name, O_CREAT | O_EXCL | O_WRONLY, 0644) >= 0 ? 1 : 0);
        racers.push_back(pid);
      }
      int winners = 0;
      for (const pid_t pid : racers) {
        int status = 0;
        OK(::waitpid(pid, &status, 0));
        winners += WEXITSTATUS(status);
      }
      EQUAL(winners, 1);
    }
  });
  list.add("O_CREAT through a dangling symbolic link makes the target", [](Context& t) {
    OK(::symlink("target", t / "link"));
    Fd fd(OK(::open(t / "link", O_CREAT | O_WRONLY, 0644)));
    EQUAL(lstat_of(t / "target").st_mode & S_IFMT, mode_t{S_IFREG});
  });
  list.add("O_NOFOLLOW fails with ELOOP on a symbolic link and only as last component",
           [](Context& t) {
             write_file(t / "f", "x");
             OK(::mkdir(t / "d", 0755));
             write_file(t / "d" / "f", "x");
             OK(::symlink("f", t / "link"));
             OK(::symlink("d", t / "dirlink"));
             FAILS(ELOOP, ::open(t / "link", O_RDONLY | O_NOFOLLOW));
             Fd fd(OK(::open(t / "dirlink" / "f", O_RDONLY | O_NOFOLLOW)));
           });
  list.add("O_DIRECTORY fails with ENOTDIR on anything else", [](Context& t) {
    write_file(t / "f", "x");
    OK(::mkdir(t / "d", 0755));
    OK(::symlink("d", t / "link"));
    FAILS(ENOTDIR, ::open(t / "f", O_RDONLY | O_DIRECTORY));
    FAILS(ENOTDIR, ::open(t / "link", O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    Fd fd(OK(::open(t / "link", O_RDONLY | O_DIRECTORY)));
  });
  list.add("a directory cannot be opened for writing or created by open", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    FAILS(EISDIR, ::open(t / "d", O_WRONLY));
    FAILS(EISDIR, ::open(t / "d", O_RDWR));
    FAILS(EISDIR, ::open(t / "d", O_RDONLY | O_CREAT, 0644));
    FAILS(EISDIR, ::open(t / "d", O_RDONLY | O_TRUNC));
    FAILS(EISDIR, ::open(t / "new/", O_RDWR | O_CREAT, 0644));
  });
  list.add("O_TRUNC empties the file and moves mtime and ctime", [](Context& t) {
    write_file(t / "f", pattern(10000));
    const struct stat before = stat_of(t / "f");
    let_the_clock_tick();
    Fd fd(OK(::open(t / "f", O_WRONLY | O_TRUNC)));
    const struct stat after = fstat_of(fd);
    EQUAL(after.st_size, 0);
    EQUAL(after.st_blocks, 0);
    CHECK(nanoseconds(after.st_mtim) > nanoseconds(before.st_mtim));
    CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
  });
  list.add("the usual errors of a path: ENOENT, ENOTDIR, ENAMETOOLONG", [](Context& t) {
    write_file(t / "f", "x");
    FAILS(ENOENT, ::open(t / "none", O_RDONLY));
    FAILS(ENOENT, ::open(t / "none" / "f", O_CREAT | O_RDWR, 0644));
    FAILS(ENOENT, ::open("", O_RDONLY));
    FAILS(ENOTDIR, ::open(t / "f" / "x", O_RDONLY));
    FAILS(ENOTDIR, ::open(t / "f" / "x", O_RDWR | O_CREAT, 0644));
    FAILS(ENOTDIR, ::open(t / "f/", O_RDONLY));
    FAILS(ENAMETOOLONG, ::open(t / std::string(256, 'n'), O_RDONLY));
    FAILS(ENAMETOOLONG, ::open(t / std::string(256, 'n'), O_RDWR | O_CREAT, 0644));
    std::string deep = t.dir().text();
    while (deep.size() <= 4096) deep += "/.";
    FAILS(ENAMETOOLONG, ::open(deep.c_str(), O_RDONLY));
  });
  list.add("a fifo without a reader gives ENXIO to a writer that does not wait", [](Context& t) {
    OK(::mkfifo(t / "fifo", 0644));
    FAILS(ENXIO, ::open(t / "fifo", O_WRONLY | O_NONBLOCK));
    Fd reader(OK(::open(t / "fifo", O_RDONLY | O_NONBLOCK)));
    Fd writer(OK(::open(t / "fifo", O_WRONLY | O_NONBLOCK)));
  });
  list.add("a socket cannot be opened: ENXIO", [](Context& t) {
    OK(::mknod(t / "s", S_IFSOCK | 0644, 0));
    FAILS(ENXIO, ::open(t / "s", O_RDONLY));
  });
  list.add("a file made without write permission is writable through its first descriptor",
           [](Context& t) {
             t.need_root();
             OK(::chmod(t.dir(), 0777));
             as(kOwner, [&] {
               Fd fd(OK(::open(t / "f", O_CREAT | O_EXCL | O_RDWR, 0)));
               EQUAL(OK(::write(fd, "abc", 3)), 3);
               EQUAL(read_at(fd, 0, 3), "abc");
               FAILS(EACCES, ::open(t / "f", O_RDONLY));
             });
           });
  list.add("reading needs a descriptor for reading, writing one for writing: EBADF",
           [](Context& t) {
             write_file(t / "f", "x");
             char byte = 0;
             Fd only_write(OK(::open(t / "f", O_WRONLY)));
             FAILS(EBADF, ::read(only_write, &byte, 1));
             Fd only_read(OK(::open(t / "f", O_RDONLY)));
             FAILS(EBADF, ::write(only_read, &byte, 1));
             FAILS(EINVAL, ::ftruncate(only_read, 0));
           });
  list.add("O_PATH names a file without opening it", [](Context& t) {
    write_file(t / "f", "x");
    OK(::symlink("f", t / "link"));
    char byte = 0;
    Fd fd(OK(::open(t / "f", O_PATH)));
    FAILS(EBADF, ::read(fd, &byte, 1));
    EQUAL(fstat_of(fd).st_size, 1);
    Fd link(OK(::open(t / "link", O_PATH | O_NOFOLLOW)));
    CHECK(S_ISLNK(fstat_of(link).st_mode));
  });
  list.add("O_TMPFILE works or is refused with EOPNOTSUPP", [](Context& t) {
    const int fd = ::open(t.dir(), O_TMPFILE | O_RDWR, 0644);
    if (fd < 0) {
      EQUAL(errno_name(errno), errno_name(EOPNOTSUPP));
      return;
    }
    Fd closing(fd);
    EQUAL(fstat_of(fd).st_nlink, 0u);
    CHECK(names_in(t.dir()).empty());
  });
  list.add("a relative path works from a working directory and from openat", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    write_file(t / "d" / "f", "here");
    Fd dir(OK(::open(t / "d", O_RDONLY | O_DIRECTORY)));
    Fd fd(OK(::openat(dir, "f", O_RDONLY)));
    EQUAL(read_at(fd, 0, 9), "here");
    OK(::rename(t / "d", t / "moved"));
    Fd again(OK(::openat(dir, "f", O_RDONLY)));
    OK(::chdir(t / "moved"));
    EQUAL(read_file("f"), "here");
    EQUAL(read_file("../moved/./f"), "here");
  });
  list.add("two descriptors of one file see each other's writes at once", [](Context& t) {
    write_file(t / "f", "");
    Fd writer = open_file(t / "f", O_WRONLY);
    Fd reader = open_file(t / "f", O_RDONLY);
    for (int i = 0; i < 50; ++i) {
      const std::string data = pattern(777, static_cast<unsigned>(i));
      write_at(writer, i * 777, data);
      CHECK(read_at(reader, i * 777, 777) == data);
    }
  });
}

}  // namespace pairfs::posix
