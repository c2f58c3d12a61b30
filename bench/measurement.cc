#include "bench/measurement.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <new>

#include "bench/histogram.h"
#include "bench/works.h"

namespace pairfs::bench {
namespace {

using Clock = std::chrono::steady_clock;

// What one process reports; in memory that all processes share.
struct Worker {
  uint64_t operations = 0;
  double seconds = 0;
  Histogram latencies;
};

struct Start {
  std::atomic<unsigned> ready{0};
  std::atomic<bool> go{false};
};

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void wait_until(const std::atomic<bool>& flag) {
  while (!flag.load()) ::usleep(200);
}

[[noreturn]] void run_worker(const MeasurementOptions& wanted, unsigned number, Start& start,
                             Worker& worker) {
  WorkOptions options;
  options.dir = wanted.dir + "/p" + std::to_string(number);
  options.files = wanted.files;
  options.file_bytes = wanted.mib << 20;
  options.process = number;
  ::mkdir(options.dir.c_str(), 0755);
  ++start.ready;
  wait_until(start.go);
  const Clock::time_point begin = Clock::now();
  {
    const auto work = make_work(wanted.work, options);
    for (bool more = true; more && since(begin) < wanted.seconds;) {
      const Clock::time_point before = Clock::now();
      more = work(worker.operations);
      const auto spent =
          std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - before);
      worker.latencies.add(static_cast<uint64_t>(spent.count()));
      ++worker.operations;
    }
  }
  finish_work(wanted.work, options);
  worker.seconds = since(begin);
  std::_Exit(0);
}

// Values of a trivially destroyed type in memory that forked processes share.
template <typename T>
class SharedArray {
 public:
  explicit SharedArray(size_t count) : bytes_(sizeof(T) * count) {
    void* memory =
        ::mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    values_ = static_cast<T*>(memory);
    for (size_t i = 0; i < count; ++i) new (&values_[i]) T();
  }
  SharedArray(const SharedArray&) = delete;
  SharedArray& operator=(const SharedArray&) = delete;
  ~SharedArray() { ::munmap(values_, bytes_); }
  T& operator[](size_t i) { return values_[i]; }

 private:
  size_t bytes_;
  T* values_;
};

Measurement sum_up(const MeasurementOptions& options, SharedArray<Worker>& workers) {
  Measurement sum;
  sum.least = UINT64_MAX;
  Histogram latencies;
  for (unsigned i = 0; i < options.processes; ++i) {
    sum.operations += workers[i].operations;
    sum.least = std::min(sum.least, workers[i].operations);
    sum.seconds = std::max(sum.seconds, workers[i].seconds);
    latencies.merge(workers[i].latencies);
  }
  sum.per_second = static_cast<double>(sum.operations) / sum.seconds;
  sum.mib_per_second =
      sum.per_second * static_cast<double>(bytes_per_operation(options.work)) / (1 << 20);
  sum.p50_us = static_cast<double>(latencies.quantile(0.5)) / 1000;
  sum.p99_us = static_cast<double>(latencies.quantile(0.99)) / 1000;
  sum.max_us = static_cast<double>(latencies.most()) / 1000;
  return sum;
}

}  // namespace

std::optional<Measurement> measure(const MeasurementOptions& options) {
  SharedArray<Start> start(1);
  SharedArray<Worker> workers(options.processes);
  for (unsigned i = 0; i < options.processes; ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) std::abort();
    if (pid == 0) run_worker(options, i, start[0], workers[i]);
  }
  while (start[0].ready.load() < options.processes) ::usleep(200);
  start[0].go = true;
  bool failed = false;
  for (unsigned i = 0; i < options.processes; ++i) {
    int status = 0;
    ::wait(&status);
    failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }
  if (failed) return std::nullopt;
  return sum_up(options, workers);
}

}  // namespace pairfs::bench
