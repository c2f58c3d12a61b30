// Locks that wait: until the holder lets go, until a signal, and for each other.
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "test/posix/cases/cases.h"
#include "test/posix/cases/lock_calls.h"

namespace pairfs::posix {
namespace {

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

void add_lock_wait_cases(CaseList& list) {
  list.group("waiting lock");
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
      Baton ready;
      Child waiter([&] {
        struct sigaction action {};
        action.sa_handler = [](int) {};
        OK(::sigaction(SIGUSR1, &action, nullptr));
        ready.pass();
        Fd own = open_file(t / "f", O_RDWR);
        FAILS(EINTR, whole_file ? ::flock(own, LOCK_EX) : record_lock(own, F_SETLKW, F_WRLCK));
      });
      ready.await();
      // A signal may come while the waiter still opens the file, where it does not count.
      for (siginfo_t ended{}; ended.si_pid == 0; let_the_clock_tick()) {
        OK(::kill(waiter.pid(), SIGUSR1));
        OK(::waitid(P_PID, static_cast<id_t>(waiter.pid()), &ended, WEXITED | WNOHANG | WNOWAIT));
      }
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
}

}  // namespace pairfs::posix
