// Threads for what may block: log syncs, consistency points, cold reads, opening a volume. Work is
// handed over with what to do when it is done; the loop thread runs that, from run_completions().
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace pairfs {

class WorkerPool {
 public:
  explicit WorkerPool(int threads);
  ~WorkerPool();  // lets running work end, drops what waits
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  // Loop thread. `work` runs on a worker; `done` on the loop thread later.
  void run(std::function<void()> work, std::function<void()> done);
  // Readable when completions wait; for the loop's Poller.
  int completion_fd() const { return event_fd_; }
  // Loop thread.
  void run_completions();

 private:
  void serve();
  struct Task {
    std::function<void()> work, done;
  };
  int event_fd_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Task> waiting_;
  std::vector<std::function<void()>> completed_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace pairfs
