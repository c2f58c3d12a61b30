// Ends the process when its loop makes no progress: its partner has taken over by then, and what
// the loop would still do helps nobody. Time in which the whole process was stopped does not count:
// a node that was frozen and thawed finds out by itself that it was deposed.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "common/types.h"

namespace pairfs {

class Watchdog {
 public:
  // `bound`: how long one turn of the loop may take. `bite` is called from the watchdog's thread,
  // once, and should not return.
  Watchdog(Duration bound, std::function<void()> bite);
  ~Watchdog();
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Loop thread: a turn begins, or it rests and waits for something to do.
  void turn() { turns_.fetch_add(1, std::memory_order_relaxed); }

 private:
  void watch();

  const Duration bound_;
  const std::function<void()> bite_;
  std::atomic<uint64_t> turns_ = 0;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace pairfs
