// flock(2), fcntl(2) record locks and open file description locks, also across two mounts.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <optional>

#include "test/posix/cases/cases.h"
#include "test/posix/cases/lock_calls.h"

namespace pairfs::posix {
namespace {

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
  list.add("one process holds flock on one mount against itself on another", [](Context& t) {
    Fd one = open_file(t / "f", O_RDWR | O_CREAT);
    Fd two = open_file(t.there() / "f", O_RDWR);
    OK(::flock(one, LOCK_SH));
    OK(::flock(two, LOCK_SH | LOCK_NB));
    FAILS(EWOULDBLOCK, ::flock(one, LOCK_EX | LOCK_NB));
    OK(::flock(two, LOCK_UN));
    OK(::flock(one, LOCK_EX | LOCK_NB));
    FAILS(EWOULDBLOCK, ::flock(two, LOCK_SH | LOCK_NB));
  });
  list.add("locks stay with a file that is renamed or unlinked", [](Context& t) {
    Fd one = open_file(t / "f", O_RDWR | O_CREAT);
    Fd two = open_file(t / "f", O_RDWR);
    OK(::flock(one, LOCK_EX));
    OK(::rename(t / "f", t / "g"));
    FAILS(EWOULDBLOCK, ::flock(two, LOCK_EX | LOCK_NB));
    OK(::unlink(t / "g"));
    FAILS(EWOULDBLOCK, ::flock(two, LOCK_EX | LOCK_NB));
    write_file(t / "f", "");
    Fd other = open_file(t / "f", O_RDWR);
    OK(::flock(other, LOCK_EX | LOCK_NB));
    one.close();
    OK(::flock(two, LOCK_EX));
  });
  list.add("a read lock becomes a write lock and back, and pieces join", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(record_lock(fd, F_SETLK, F_RDLCK, 0, 100));
    OK(record_lock(fd, F_SETLK, F_WRLCK, 40, 20));
    elsewhere(t / "f", [](int other) {
      OK(record_lock(other, F_SETLK, F_RDLCK, 0, 40));
      FAILS(EAGAIN, record_lock(other, F_SETLK, F_RDLCK, 40, 1));
      OK(record_lock(other, F_SETLK, F_RDLCK, 60, 40));
    });
    OK(record_lock(fd, F_SETLK, F_WRLCK, 0, 40));
    OK(record_lock(fd, F_SETLK, F_WRLCK, 60, 40));
    elsewhere(t / "f", [](int other) {
      const auto lock = holder(other, 0, 0);
      CHECK(lock.has_value());
      EQUAL(lock->l_type, F_WRLCK);
      EQUAL(lock->l_start, 0);
      EQUAL(lock->l_len, 100);
    });
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
