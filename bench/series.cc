#include "bench/series.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace pairfs::bench {
namespace {

constexpr unsigned kManyStreams = 4, kManyProcesses = 8;
constexpr const char* kDropCaches = "/proc/sys/vm/drop_caches";

void drop_caches() {
  ::sync();
  const int fd = ::open(kDropCaches, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return;
  [[maybe_unused]] const ssize_t written = ::write(fd, "3", 1);
  ::close(fd);
}

class Series {
 public:
  Series(const SeriesOptions& options, const OnStep& on_step)
      : options_(options), on_step_(on_step) {}

  void metadata(unsigned processes) {
    const std::string dir = fresh("metadata", processes);
    uint64_t files = step("create", "create", dir, processes, files_for(processes));
    if (files == 0) return;
    step("stat cold", "stat", dir, processes, files);
    step("stat warm", "stat", dir, processes, files);
    step("list with attributes, cold", "list", dir, processes, files);
    files = step("rename", "rename", dir, processes, files);
    if (files > 0) step("unlink", "unlink", dir, processes, files);
    step("mkdir", "mkdir", fresh("directories", processes), processes, files_for(processes));
  }

  void small_files(unsigned processes) {
    const std::string dir = fresh("small", processes);
    const uint64_t files =
        step("create + write 4 KiB + close", "small_write", dir, processes, files_for(processes));
    step("the same with fsync", "small_write_sync", dir, processes, files_for(processes));
    if (files > 0) step("read 4 KiB files cold", "small_read", dir, processes, files);
  }

  void sequential(unsigned processes) {
    const std::string dir = fresh("sequential", processes);
    const uint64_t mib = (options_.quick ? 128 : 512) / processes;
    step("sequential write", "write", dir, processes, 1, mib);
    const uint64_t written = step("sequential write + fsync", "write_sync", dir, processes, 1, mib);
    if (written > 0) step("sequential read cold", "read", dir, processes, 1, written);
    for (unsigned i = 0; i < processes; ++i)  // its space is needed
      ::unlink((dir + "/p" + std::to_string(i) + "/data").c_str());
  }

  void random(unsigned processes) {
    const std::string dir = fresh("random", processes);
    const uint64_t wanted_mib = (options_.quick ? 64 : 256) / processes;
    const auto made = measure({"write", dir, processes, 1, wanted_mib, seconds()});
    if (!made) return failed();
    ::sync();
    step("random 4 KiB read cold", "random_read", dir, processes, 1, made->least);
    step("random 4 KiB write", "random_write", dir, processes, 1, made->least);
    step("random 4 KiB write + fsync", "random_write_sync", dir, processes, 1, made->least);
  }

  bool ok() const { return ok_; }

 private:
  double seconds() const { return options_.quick ? 0.4 : 2.0; }
  uint64_t files_for(unsigned processes) const {
    return (options_.quick ? 4000 : 20000) / (processes > 1 ? 4 : 1);
  }
  void failed() { ok_ = false; }

  std::string fresh(const char* name, unsigned processes) const {
    std::string dir = options_.dir + "/" + name + "-" + std::to_string(processes);
    ::mkdir(dir.c_str(), 0755);
    return dir;
  }

  // Gives how many operations each process has done at least.
  uint64_t step(const char* name, const char* work, const std::string& dir, unsigned processes,
                uint64_t files, uint64_t mib = 1) {
    const auto row = std::find_if(rows().begin(), rows().end(),
                                  [&](const Row& r) { return std::strcmp(r.name, name) == 0; });
    if (options_.cold && std::strstr(name, "cold") != nullptr) drop_caches();
    const auto result = measure({work, dir, processes, files, mib, seconds()});
    on_step_(*row, processes, result);
    if (!result) failed();
    return result ? result->least : 0;
  }

  const SeriesOptions& options_;
  const OnStep& on_step_;
  bool ok_ = true;
};

}  // namespace

const std::vector<Row>& rows() {
  static const std::vector<Row> all = {
      {"create", "files/s", 1, kManyProcesses},
      {"stat cold", "/s", 1, kManyProcesses},
      {"stat warm", "/s", 1, kManyProcesses},
      {"list with attributes, cold", "entries/s", 1, kManyProcesses},
      {"rename", "/s", 1, kManyProcesses},
      {"unlink", "/s", 1, kManyProcesses},
      {"mkdir", "/s", 1, kManyProcesses},
      {"create + write 4 KiB + close", "files/s", 1, kManyProcesses},
      {"the same with fsync", "files/s", 1, kManyProcesses},
      {"read 4 KiB files cold", "files/s", 1, kManyProcesses},
      {"sequential write", "MiB/s", 1, kManyStreams},
      {"sequential write + fsync", "MiB/s", 1, kManyStreams},
      {"sequential read cold", "MiB/s", 1, kManyStreams},
      {"random 4 KiB read cold", "IOPS", 1, kManyProcesses},
      {"random 4 KiB write", "IOPS", 1, kManyProcesses},
      {"random 4 KiB write + fsync", "IOPS", 1, kManyProcesses},
  };
  return all;
}

bool can_drop_caches() { return ::access(kDropCaches, W_OK) == 0; }

bool run_series(const SeriesOptions& options, const OnStep& on_step) {
  Series series(options, on_step);
  for (const unsigned processes : {1u, kManyProcesses}) series.metadata(processes);
  for (const unsigned processes : {1u, kManyProcesses}) series.small_files(processes);
  for (const unsigned processes : {1u, kManyStreams}) series.sequential(processes);
  for (const unsigned processes : {1u, kManyProcesses}) series.random(processes);
  return series.ok();
}

}  // namespace pairfs::bench
