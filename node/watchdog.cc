#include "node/watchdog.h"

namespace pairfs {
namespace {
constexpr int kLooks = 20;  // in one bound
}

Watchdog::Watchdog(Duration bound, std::function<void()> bite)
    : bound_(bound), bite_(std::move(bite)), thread_([this] { watch(); }) {}

Watchdog::~Watchdog() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

// Counts its own looks rather than time, so that time in which it did not run is not counted.
void Watchdog::watch() {
  uint64_t seen = turns_.load(std::memory_order_relaxed);
  int unchanged = 0;
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, bound_ / kLooks, [this] { return stopping_; })) {
    const uint64_t turns = turns_.load(std::memory_order_relaxed);
    unchanged = turns == seen ? unchanged + 1 : 0;
    seen = turns;
    if (unchanged < kLooks) continue;
    bite_();
    return;
  }
}

}  // namespace pairfs
