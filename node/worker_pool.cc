#include "node/worker_pool.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include "common/ensure.h"

namespace pairfs {

WorkerPool::WorkerPool(int threads) : event_fd_(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {
  ENSURE(event_fd_ >= 0, "eventfd");
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { serve(); });
}

WorkerPool::~WorkerPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    waiting_.clear();
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  ::close(event_fd_);
}

void WorkerPool::run(std::function<void()> work, std::function<void()> done) {
  {
    const std::lock_guard lock(mutex_);
    waiting_.push_back({std::move(work), std::move(done)});
  }
  wake_.notify_one();
}

void WorkerPool::serve() {
  for (;;) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] { return stopping_ || !waiting_.empty(); });
      if (stopping_) return;
      task = std::move(waiting_.front());
      waiting_.pop_front();
    }
    task.work();
    bool first;
    {
      const std::lock_guard lock(mutex_);
      first = completed_.empty();
      completed_.push_back(std::move(task.done));
    }
    if (first) {
      const uint64_t one = 1;
      [[maybe_unused]] const ssize_t n = ::write(event_fd_, &one, sizeof one);
    }
  }
}

void WorkerPool::run_completions() {
  uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(event_fd_, &count, sizeof count);
  std::vector<std::function<void()>> ready;
  {
    const std::lock_guard lock(mutex_);
    ready.swap(completed_);
  }
  for (const auto& done : ready) done();
}

}  // namespace pairfs
