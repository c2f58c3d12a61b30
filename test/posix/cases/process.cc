// Programs on the filesystem, signals, statfs.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/time.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include <cstdlib>
#include <ctime>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

// Like cp: copies /bin/true so that it can run from here.
void copy_program(const Path& to) { write_file(to, read_file("/bin/true"), 0755); }

int run(const Path& program) {
  const pid_t pid = OK(::fork());
  if (pid == 0) {
    ::execl(program, program, nullptr);
    ::_exit(errno);
  }
  int status = 0;
  OK(::waitpid(pid, &status, 0));
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
}

}  // namespace

void add_process_cases(CaseList& list) {
  list.group("program");
  list.add("a binary and a script run from here", [](Context& t) {
    copy_program(t / "true");
    EQUAL(run(t / "true"), 0);
    write_file(t / "script", "#!/bin/sh\nexit 3\n", 0755);
    EQUAL(run(t / "script"), 3);
    OK(::chmod(t / "script", 0644));
    EQUAL(run(t / "script"), EACCES);
    EQUAL(run(t / "none"), ENOENT);
    write_file(t / "garbage", "\x01\x02", 0755);
    EQUAL(run(t / "garbage"), ENOEXEC);
  });
  list.add("a file open for writing is not run: ETXTBSY", [](Context& t) {
    copy_program(t / "true");
    Fd writing = open_file(t / "true", O_WRONLY);
    EQUAL(run(t / "true"), ETXTBSY);
    writing.close();
    EQUAL(run(t / "true"), 0);
  });
  list.add("a setuid program runs as its owner where the mount allows it", [](Context& t) {
    t.need_root();
    struct statvfs status {};
    OK(::statvfs(t.dir(), &status));
    if ((status.f_flag & ST_NOSUID) != 0) t.unsupported("setuid (mounted with nosuid)");
    write_file(t / "id", read_file("/usr/bin/id"), 0755);
    OK(::chown(t / "id", 61077, 0));
    OK(::chmod(t / "id", 04755));
    in_child_as(kStranger, [&] {
      std::FILE* pipe = ::popen(("'" + (t / "id").text() + "' -u").c_str(), "r");
      CHECK(pipe != nullptr);
      char line[64] = {};
      CHECK(std::fgets(line, sizeof line, pipe) != nullptr);
      ::pclose(pipe);
      EQUAL(std::atoi(line), 61077);
    });
  });
  list.add("its own directory can be removed under a running program", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    write_file(t / "d" / "sleep", read_file("/bin/sleep"), 0755);
    const pid_t pid = OK(::fork());
    if (pid == 0) {
      ::execl(t / "d" / "sleep", "sleep", "0.2", nullptr);
      ::_exit(99);
    }
    let_the_clock_tick();
    OK(::unlink(t / "d" / "sleep"));
    OK(::rmdir(t / "d"));
    int status = 0;
    OK(::waitpid(pid, &status, 0));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  });

  list.group("signal");
  list.add("no call ends with EINTR under a timer of 10 ms", [](Context& t) {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    OK(::sigaction(SIGALRM, &action, nullptr));
    const itimerval timer{{0, 10000}, {0, 10000}};
    OK(::setitimer(ITIMER_REAL, &timer, nullptr));
    timespec start{}, now{};
    ::clock_gettime(CLOCK_MONOTONIC, &start);
    const std::string data = pattern(1 << 20);
    for (int i = 0;; ++i) {
      const Path name = t / ("f" + std::to_string(i));
      Fd fd = open_file(name, O_RDWR | O_CREAT);
      write_at(fd, 0, data);
      OK(::fsync(fd));
      CHECK(read_at(fd, 0, data.size()) == data);
      OK(::fchmod(fd, 0600));
      OK(::ftruncate(fd, 10));
      fd.close();
      OK(::rename(name, name + "x"));
      OK(::mkdir(t / "d", 0755));
      EQUAL(names_in(t.dir()).size(), 2u);
      OK(::rmdir(t / "d"));
      stat_of(name + "x");
      OK(::unlink(name + "x"));
      ::clock_gettime(CLOCK_MONOTONIC, &now);
      if (nanoseconds(now) - nanoseconds(start) > 3'000'000'000LL) break;
    }
  });
  list.add("a killed writer ends at once", [](Context& t) {
    Child writer([&] {
      Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
      const std::string data = pattern(4 << 20);
      for (;;) write_at(fd, 0, data);
    });
    for (int i = 0; i < 10; ++i) let_the_clock_tick();
    OK(::kill(writer.pid(), SIGKILL));
    timespec start{}, end{};
    ::clock_gettime(CLOCK_MONOTONIC, &start);
    writer.join_killed_by(SIGKILL);
    ::clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK(nanoseconds(end) - nanoseconds(start) < 2'000'000'000LL);
  });

  list.group("statfs");
  list.add("the numbers make sense and names may have 255 bytes", [](Context& t) {
    struct statvfs status {};
    OK(::statvfs(t.dir(), &status));
    EQUAL(status.f_namemax, 255u);
    CHECK(status.f_bsize > 0);
    CHECK(status.f_frsize > 0);
    CHECK(status.f_blocks > 0);
    CHECK(status.f_bfree <= status.f_blocks);
    CHECK(status.f_bavail <= status.f_bfree);
    CHECK(status.f_ffree <= status.f_files);
    struct statvfs by_fd {};
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(::fstatvfs(fd, &by_fd));
    EQUAL(by_fd.f_blocks, status.f_blocks);
    FAILS(ENOENT, ::statvfs(t / "none", &status));
  });
  list.add("written data shows in st_blocks and goes with the file", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(4 << 20));
    OK(::fsync(fd));
    CHECK(fstat_of(fd).st_blocks * 512 >= 4 << 20);
    CHECK(fstat_of(fd).st_blocks * 512 < 8 << 20);
    CHECK(fstat_of(fd).st_blksize >= 512);
    OK(::ftruncate(fd, 0));
    EQUAL(fstat_of(fd).st_blocks, 0);
  });
}

}  // namespace pairfs::posix
