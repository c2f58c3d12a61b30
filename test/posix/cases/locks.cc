// flock(2), fcntl(2) record locks and open file description locks, also across two mounts.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <optional>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

int record_lock(int fd, int command, short type, off_t start = 0, off_t length = 0) {
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  return ::fcntl(fd, command, &lock);
}

// Who stands in the way of a write lock on the range; nothing if it is free.
std::optional<struct flock> holder(int fd, off_t start, off_t length, int command = F_GETLK) {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = start;
  lock.l_len = length;
  OK(::fcntl(fd, command, &lock));
  if (lock.l_type == F_UNLCK) return std::nullopt;
  return lock;
}

// Runs `expect` in another process with an own descriptor of `path`.
void elsewhere(const Path& path, const std::function<void(int)>& expect) {
  Child child([&] {
    Fd fd = open_file(path, O_RDWR);
    expect(fd);
  });
  child.join();
}

// True once `pid` sleeps in a system call; waits up to five seconds for it.
bool sleeps(pid_t pid) {
  for (int attempt = 0; attempt < 500; ++attempt) {
    const std::string status = read_file("/proc/" + std::to_string(pid) + "/stat");
    const size_t after_name = status.rfind(") ");
    if (after_name != std::string::npos && status[after_name + 2] == 'S') {
      let_the_clock_tick();
      return true;
    }
    let_the_clock_tick();
  }
  return false;
}

void flock_excludes(const Path& one, const Path& two) {
  Fd fd = open_file(one, O_RDWR | O_CREAT);
  OK(::flock(fd, LOCK_EX));
  elsewhere(two, [](int other) {
    FAILS(EWOULDBLOCK, ::flock(other, LOCK_EX | LOCK_NB));
    FAILS(EWOULDBLOCK, ::flock(other, LOCK_SH | LOCK_NB));
  });
  OK(::flock(fd, LOCK_SH));
  elsewhere(two, [](int other) {
    OK(::flock(other, LOCK_SH | LOCK_NB));
    FAILS(EWOULDBLOCK, ::flock(other, LOCK_EX | LOCK_NB));
  });
  fd.close();
  elsewhere(two, [](int other) { OK(::flock(other, LOCK_EX | LOCK_NB)); });
}

void records_exclude(const Path& one, const Path& two) {
  Fd fd = open_file(one, O_RDWR | O_CREAT);
  OK(record_lock(fd, F_SETLK, F_WRLCK, 100, 100));
  OK(record_lock(fd, F_SETLK, F_RDLCK, 300, 0));
  elsewhere(two, [](int other) {
    FAILS(EAGAIN, record_lock(other, F_SETLK, F_WRLCK, 199, 1));
    FAILS(EAGAIN, record_lock(other, F_SETLK, F_RDLCK, 0, 101));
    OK(record_lock(other, F_SETLK, F_WRLCK, 0, 100));
    OK(record_lock(other, F_SETLK, F_WRLCK, 200, 100));
    OK(record_lock(other, F_SETLK, F_RDLCK, 5000, 10));
    FAILS(EAGAIN, record_lock(other, F_SETLK, F_WRLCK, 5000, 10));
  });
  OK(record_lock(fd, F_SETLK, F_UNLCK, 150, 10));
  elsewhere(two, [](int other) {
    OK(record_lock(other, F_SETLK, F_WRLCK, 150, 10));
    FAILS(EAGAIN, record_lock(other, F_SETLK, F_WRLCK, 149, 1));
    FAILS(EAGAIN, record_lock(other, F_SETLK, F_WRLCK, 160, 1));
  });
}

void waits_until_free(const Path& one, const Path& two, const std::function<void(int)>& lock,
                      const std::function<void(int)>& unlock) {
  Fd fd = open_file(one, O_RDWR | O_CREAT);
  lock(fd);
  Child waiter([&] {
    Fd own = open_file(two, O_RDWR);
    lock(own);
    write_at(own, 0, "locked");
  });
  CHECK(sleeps(waiter.pid()));
  EQUAL(read_at(fd, 0, 6), "");
  unlock(fd);
  waiter.join();
  EQUAL(read_at(fd, 0, 6), "locked");
}

}  // namespace

void add_lock_cases(CaseList& list) {
  list.group("lock");
  list.add("flock: exclusive and shared, between processes",
           [](Context& t) { flock_excludes(t / "f", t / "f"); });
  list.add("flock: exclusive and shared, between mounts",
           [](Context& t) { flock_excludes(t / "f", t.there() / "f"); });
  list.add("flock belongs to the open file: dup and fork share it", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    Fd other = open_file(t / "f", O_RDWR);
    OK(::flock(fd, LOCK_EX));
    FAILS(EWOULDBLOCK, ::flock(other, LOCK_EX | LOCK_NB));
    Fd same(OK(::dup(fd)));
    OK(::flock(same, LOCK_EX | LOCK_NB));
    fd.close();
    FAILS(EWOULDBLOCK, ::flock(other, LOCK_EX | LOCK_NB));
    Child child([&] { OK(::flock(same, LOCK_UN)); });
    child.join();
    OK(::flock(other, LOCK_EX | LOCK_NB));
  });
  list.add("flock and record locks do not know each other", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(::flock(fd, LOCK_EX));
    elsewhere(t / "f", [](int other) { OK(record_lock(other, F_SETLK, F_WRLCK)); });
  });
  list.add("flock works on a directory and on a descriptor for reading", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    Fd one(OK(::open(t / "d", O_RDONLY)));
    Fd two(OK(::open(t / "d", O_RDONLY)));
    OK(::flock(one, LOCK_EX));
    FAILS(EWOULDBLOCK, ::flock(two, LOCK_EX | LOCK_NB));
    OK(::flock(one, LOCK_UN));
    OK(::flock(two, LOCK_EX | LOCK_NB));
  });
  list.add("records: ranges, kinds and partial unlock, between processes",
           [](Context& t) { records_exclude(t / "f", t / "f"); });
  list.add("records: ranges, kinds and partial unlock, between mounts",
           [](Context& t) { records_exclude(t / "f", t.there() / "f"); });
  list.add("F_GETLK says who holds what", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(record_lock(fd, F_SETLK, F_RDLCK, 10, 20));
    const pid_t owner = ::getpid();
    elsewhere(t / "f", [owner](int other) {
      CHECK(!holder(other, 0, 10));
      const auto lock = holder(other, 0, 0);
      CHECK(lock.has_value());
      EQUAL(lock->l_type, F_RDLCK);
      EQUAL(lock->l_start, 10);
      EQUAL(lock->l_len, 20);
      EQUAL(lock->l_pid, owner);
    });
    CHECK(!holder(fd, 0, 0));
  });
  list.add("record locks of a process go with its close of any descriptor of the file",
           [](Context& t) {
             Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
             Fd second = open_file(t / "f", O_RDWR);
             OK(record_lock(fd, F_SETLK, F_WRLCK));
             second.close();
             elsewhere(t / "f", [](int other) { OK(record_lock(other, F_SETLK, F_WRLCK)); });
           });
  list.add("locks go with the end of their process, killed or not", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    for (const int kind : {F_SETLK, F_OFD_SETLK, 0}) {
      Baton locked;
      Child child([&] {
        Fd own = open_file(t / "f", O_RDWR);
        if (kind == 0) {
          OK(::flock(own, LOCK_EX));
        } else {
          OK(record_lock(own, kind, F_WRLCK));
        }
        locked.pass();
        for (;;) ::pause();
      });
      locked.await();
      if (kind == 0) {
        FAILS(EWOULDBLOCK, ::flock(fd, LOCK_EX | LOCK_NB));
      } else {
        FAILS(EAGAIN, record_lock(fd, kind, F_WRLCK));
      }
      OK(::kill(child.pid(), SIGKILL));
      child.join_killed_by(SIGKILL);
      // Release is asynchronous in FUSE; the wait is bounded by the case's time limit.
      if (kind == 0) {
        OK(::flock(fd, LOCK_EX));
        OK(::flock(fd, LOCK_UN));
      } else {
        OK(record_lock(fd, kind == F_SETLK ? F_SETLKW : F_OFD_SETLKW, F_WRLCK));
        OK(record_lock(fd, kind, F_UNLCK));
      }
    }
  });
  list.add("record locks are not inherited by fork", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(record_lock(fd, F_SETLK, F_WRLCK, 0, 10));
    Child child([&] { FAILS(EAGAIN, record_lock(fd, F_SETLK, F_WRLCK, 0, 10)); });
    child.join();
  });
  list.add("a lock needs a descriptor of its kind: EBADF", [](Context& t) {
    write_file(t / "f", "");
    Fd reading = open_file(t / "f", O_RDONLY);
    Fd writing = open_file(t / "f", O_WRONLY);
    FAILS(EBADF, record_lock(reading, F_SETLK, F_WRLCK));
    FAILS(EBADF, record_lock(writing, F_SETLK, F_RDLCK));
    FAILS(EINVAL, record_lock(writing, F_SETLK, F_WRLCK, -5, 2));
  });
  list.add("open file description locks belong to the open file", [](Context& t) {
    Fd one = open_file(t / "f", O_RDWR | O_CREAT);
    Fd two = open_file(t / "f", O_RDWR);
    OK(record_lock(one, F_OFD_SETLK, F_WRLCK, 0, 10));
    FAILS(EAGAIN, record_lock(two, F_OFD_SETLK, F_WRLCK, 5, 10));
    FAILS(EAGAIN, record_lock(two, F_SETLK, F_WRLCK, 5, 10));
    OK(record_lock(two, F_OFD_SETLK, F_WRLCK, 10, 10));
    const auto lock = holder(two, 0, 10, F_OFD_GETLK);
    CHECK(lock.has_value());
    EQUAL(lock->l_pid, -1);
    Fd third = open_file(t / "f", O_RDWR);
    third.close();
    FAILS(EAGAIN, record_lock(two, F_OFD_SETLK, F_WRLCK, 0, 10));
    one.close();
    OK(record_lock(two, F_OFD_SETLKW, F_WRLCK, 0, 10));
  });
  list.add("open file description locks exclude each other between mounts", [](Context& t) {
    Fd one = open_file(t / "f", O_RDWR | O_CREAT);
    Fd two = open_file(t.there() / "f", O_RDWR);
    OK(record_lock(one, F_OFD_SETLK, F_WRLCK, 0, 10));
    FAILS(EAGAIN, record_lock(two, F_OFD_SETLK, F_WRLCK, 5, 10));
    one.close();
    OK(record_lock(two, F_OFD_SETLKW, F_WRLCK, 0, 10));
  });
  const auto whole = [](int fd) { OK(::flock(fd, LOCK_EX)); };
  const auto whole_off = [](int fd) { OK(::flock(fd, LOCK_UN)); };
  const auto record = [](int fd) { OK(record_lock(fd, F_SETLKW, F_WRLCK, 5, 5)); };
  const auto record_off = [](int fd) { OK(record_lock(fd, F_SETLK, F_UNLCK, 5, 5)); };
  list.add("flock waits until the holder lets go",
           [=](Context& t) { waits_until_free(t / "f", t / "f", whole, whole_off); });
  list.add("flock waits until a holder on another mount lets go",
           [=](Context& t) { waits_until_free(t / "f", t.there() / "f", whole, whole_off); });
  list.add("F_SETLKW waits until the holder lets go",
           [=](Context& t) { waits_until_free(t / "f", t / "f", record, record_off); });
  list.add("F_SETLKW waits until a holder on another mount lets go",
           [=](Context& t) { waits_until_free(t / "f", t.there() / "f", record, record_off); });
  list.add("a signal ends a waiting lock with EINTR and leaves no lock behind", [](Context& t) {
    for (const bool whole_file : {true, false}) {
      Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
      OK(whole_file ? ::flock(fd, LOCK_EX) : record_lock(fd, F_SETLK, F_WRLCK));
      Child waiter([&] {
        struct sigaction action {};
        action.sa_handler = [](int) {};
        OK(::sigaction(SIGUSR1, &action, nullptr));
        Fd own = open_file(t / "f", O_RDWR);
        FAILS(EINTR, whole_file ? ::flock(own, LOCK_EX) : record_lock(own, F_SETLKW, F_WRLCK));
      });
      CHECK(sleeps(waiter.pid()));
      OK(::kill(waiter.pid(), SIGUSR1));
      waiter.join();
      OK(whole_file ? ::flock(fd, LOCK_UN) : record_lock(fd, F_SETLK, F_UNLCK));
      elsewhere(t / "f", [&](int other) {
        OK(whole_file ? ::flock(other, LOCK_EX | LOCK_NB) : record_lock(other, F_SETLK, F_WRLCK));
      });
    }
  });
  list.add("two processes that wait for each other: one gets EDEADLK", [](Context& t) {
    write_file(t / "f", "");
    Baton one_has, two_has;
    const auto play = [&](off_t mine, off_t other, Baton& told, Baton& heard) -> int {
      Fd fd = open_file(t / "f", O_RDWR);
      OK(record_lock(fd, F_SETLK, F_WRLCK, mine, 1));
      told.pass();
      heard.await();
      struct sigaction action {};
      action.sa_handler = [](int) {};
      OK(::sigaction(SIGALRM, &action, nullptr));
      ::alarm(5);
      if (record_lock(fd, F_SETLKW, F_WRLCK, other, 1) == 0) return 0;
      return errno;
    };
    int report[2];
    OK(::pipe(report));
    const auto run = [&](off_t mine, off_t other, Baton& told, Baton& heard) {
      const int result = play(mine, other, told, heard);
      OK(::write(report[1], &result, sizeof result));
    };
    Child one([&] { run(0, 1, one_has, two_has); });
    Child two([&] { run(1, 0, two_has, one_has); });
    one.join();
    two.join();
    int first = -1, second = -1;
    OK(::read(report[0], &first, sizeof first));
    OK(::read(report[0], &second, sizeof second));
    if (first == EINTR && second == EINTR) t.unsupported("deadlock detection");
    CHECK((first == EDEADLK) != (second == EDEADLK));
    CHECK(first == 0 || second == 0);
  });
  list.add("a thousand record locks side by side", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    for (off_t i = 0; i < 1000; ++i) OK(record_lock(fd, F_SETLK, F_WRLCK, i * 10, 5));
    elsewhere(t / "f", [](int other) {
      for (off_t i = 0; i < 1000; i += 50) {
        FAILS(EAGAIN, record_lock(other, F_SETLK, F_WRLCK, i * 10 + 4, 1));
        OK(record_lock(other, F_SETLK, F_WRLCK, i * 10 + 5, 5));
      }
    });
    OK(record_lock(fd, F_SETLK, F_UNLCK));
    elsewhere(t / "f", [](int other) { OK(record_lock(other, F_SETLK, F_WRLCK)); });
  });
}

}  // namespace pairfs::posix
