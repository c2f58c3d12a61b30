// What a node knows of its own progress, and of its partner's end.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <mutex>

#include "node/process_identity.h"
#include "node/watchdog.h"

namespace pairfs {
namespace {

TEST_CASE("a watchdog bites when no turn begins, and not while turns do") {
  std::mutex mutex;
  std::condition_variable changed;
  bool bitten = false;
  Watchdog watchdog(std::chrono::milliseconds(100), [&] {
    const std::lock_guard lock(mutex);
    bitten = true;
    changed.notify_all();
  });
  std::unique_lock lock(mutex);
  CHECK(changed.wait_for(lock, std::chrono::seconds(30), [&] { return bitten; }));
}

TEST_CASE("a watchdog that is no longer needed goes at once") {
  bool bitten = false;
  {
    Watchdog watchdog(std::chrono::hours(1), [&] { bitten = true; });
  }
  CHECK(!bitten);
}

TEST_CASE("a process is surely dead when it has ended, and not before") {
  CHECK(!surely_dead(own_process()));
  CHECK(!surely_dead({}));
  int told[2], go[2];
  REQUIRE(::pipe(told) == 0);
  REQUIRE(::pipe(go) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const ProcessIdentity self = own_process();
    char byte;
    const bool fine =
        ::write(told[1], &self, sizeof self) == sizeof self && ::read(go[0], &byte, 1) == 1;
    ::_exit(fine ? 0 : 1);
  }
  ProcessIdentity process;
  REQUIRE(::read(told[0], &process, sizeof process) == sizeof process);
  CHECK(!surely_dead(process));
  ProcessIdentity elsewhere = process;
  ++elsewhere.kernel;
  REQUIRE(::write(go[1], "x", 1) == 1);
  siginfo_t info;
  REQUIRE(::waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT) == 0);
  CHECK(surely_dead(process));     // not waited for yet: a zombie
  CHECK(!surely_dead(elsewhere));  // another machine's process of the same pid: who knows
  REQUIRE(::waitpid(child, nullptr, 0) == child);
  CHECK(surely_dead(process));
  for (const int fd : {told[0], told[1], go[0], go[1]}) ::close(fd);
}

}  // namespace
}  // namespace pairfs
