// pairfs-load: processes that do one kind of work, each in a directory of its own, and how fast.
// Prints one JSON object. bench/run calls it; it may be called by hand on any directory.
// Usage: pairfs-load WORK DIR [processes N] [files N] [mib N] [seconds S]
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include "bench/histogram.h"
#include "bench/works.h"

namespace {

using namespace pairfs::bench;
using Clock = std::chrono::steady_clock;

struct Arguments {
  std::string work, dir;
  unsigned processes = 1;
  uint64_t files = 1000;
  uint64_t mib = 64;
  double seconds = 2;
};

// What one process reports; in memory that all processes share.
struct Worker {
  uint64_t operations = 0;
  double seconds = 0;
  Histogram latencies;
};

struct Shared {
  std::atomic<unsigned> ready{0};
  std::atomic<bool> go{false};
};

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void wait_until(const std::atomic<bool>& flag) {
  while (!flag.load()) ::usleep(200);
}

[[noreturn]] void run_worker(const Arguments& arguments, unsigned number, Shared& shared,
                             Worker& worker) {
  WorkOptions options;
  options.dir = arguments.dir + "/p" + std::to_string(number);
  options.files = arguments.files;
  options.file_bytes = arguments.mib << 20;
  options.process = number;
  ::mkdir(options.dir.c_str(), 0755);
  ++shared.ready;
  wait_until(shared.go);
  const Clock::time_point start = Clock::now();
  {
    const auto work = make_work(arguments.work, options);
    for (bool more = true; more && since(start) < arguments.seconds;) {
      const Clock::time_point before = Clock::now();
      more = work(worker.operations);
      const auto spent =
          std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - before);
      worker.latencies.add(static_cast<uint64_t>(spent.count()));
      ++worker.operations;
    }
  }
  finish_work(arguments.work, options);
  worker.seconds = since(start);
  std::_Exit(0);
}

template <typename T>
T* shared_array(size_t count) {
  void* memory =
      ::mmap(nullptr, sizeof(T) * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) std::abort();
  T* values = static_cast<T*>(memory);
  for (size_t i = 0; i < count; ++i) new (&values[i]) T();
  return values;
}

void print(const Arguments& arguments, const Worker* workers) {
  uint64_t operations = 0, least = UINT64_MAX;
  double seconds = 0;
  Histogram latencies;
  for (unsigned i = 0; i < arguments.processes; ++i) {
    operations += workers[i].operations;
    least = workers[i].operations < least ? workers[i].operations : least;
    seconds = workers[i].seconds > seconds ? workers[i].seconds : seconds;
    latencies.merge(workers[i].latencies);
  }
  const double rate = static_cast<double>(operations) / seconds;
  const auto bytes = static_cast<double>(bytes_per_operation(arguments.work));
  std::printf(
      "{\"work\": \"%s\", \"processes\": %u, \"operations\": %llu, \"least\": %llu, "
      "\"seconds\": %.4f, \"per_second\": %.1f, \"mib_per_second\": %.2f, "
      "\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f}\n",
      arguments.work.c_str(), arguments.processes, static_cast<unsigned long long>(operations),
      static_cast<unsigned long long>(least), seconds, rate, rate * bytes / (1 << 20),
      static_cast<double>(latencies.quantile(0.5)) / 1000,
      static_cast<double>(latencies.quantile(0.99)) / 1000,
      static_cast<double>(latencies.most()) / 1000);
}

bool parse(int argc, char** argv, Arguments& arguments) {
  if (argc < 3 || argc % 2 == 0) return false;
  arguments.work = argv[1];
  arguments.dir = argv[2];
  for (int i = 3; i + 1 < argc; i += 2) {
    const std::string key = argv[i];
    const double value = std::atof(argv[i + 1]);
    if (value <= 0) return false;
    if (key == "processes") {
      arguments.processes = static_cast<unsigned>(value);
    } else if (key == "files") {
      arguments.files = static_cast<uint64_t>(value);
    } else if (key == "mib") {
      arguments.mib = static_cast<uint64_t>(value);
    } else if (key == "seconds") {
      arguments.seconds = value;
    } else {
      return false;
    }
  }
  return is_work(arguments.work);
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  if (!parse(argc, argv, arguments)) {
    std::fprintf(stderr,
                 "usage: pairfs-load WORK DIR [processes N] [files N] [mib N] [seconds S]\n"
                 "WORK: create stat rename unlink mkdir list small_write small_write_sync\n"
                 "      small_read write write_sync read random_read random_write\n"
                 "      random_write_sync\n");
    return 2;
  }
  Shared* shared = shared_array<Shared>(1);
  Worker* workers = shared_array<Worker>(arguments.processes);
  for (unsigned i = 0; i < arguments.processes; ++i) {
    const pid_t pid = ::fork();
    if (pid < 0) std::abort();
    if (pid == 0) run_worker(arguments, i, *shared, workers[i]);
  }
  while (shared->ready.load() < arguments.processes) ::usleep(200);
  shared->go = true;
  bool failed = false;
  for (unsigned i = 0; i < arguments.processes; ++i) {
    int status = 0;
    ::wait(&status);
    failed |= !WIFEXITED(status) || WEXITSTATUS(status) != 0;
  }
  if (failed) return 1;
  print(arguments, workers);
  return 0;
}
