// What a drill does to a mounted cluster while something is made to fail, and what it finds
// afterwards: a loop of 4 KiB writes with fsync, whose longest pause is measured, and a load beside
// it. Every operation that returned is remembered and looked for at the end. The threads are its
// own; all calls from one thread.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "cli/files.h"

namespace pairfs::cli {

enum class LoadKind { kNone, kCreates, kWrites };  // kCreates: of 4 KiB files; kWrites: of 1 MiB

class DrillLoad {
 public:
  // Works in `directory`, an empty one that exists. `threads` is of the load beside the loop.
  DrillLoad(const fs::path& directory, LoadKind kind, unsigned threads);
  ~DrillLoad();  // stops
  DrillLoad(const DrillLoad&) = delete;
  DrillLoad& operator=(const DrillLoad&) = delete;

  // A new period of measurement begins now.
  void mark();
  struct Pauses {
    double longest_ms = 0;  // of the loop's rounds that ended in the period, or run still
    double median_ms = 0;
    uint64_t rounds = 0;
  };
  Pauses since_mark() const;
  // Whether the loop completed a round that began in the period; false too when it failed.
  bool progressed() const;

  // Lets every thread end its operation; false when one does not within `timeout`. They are left
  // alone then, and the process must not wait for them.
  bool stop(std::chrono::milliseconds timeout);

  struct Findings {
    uint64_t acknowledged = 0;  // operations that returned
    uint64_t lost = 0;          // of them, not found
    uint64_t errors = 0;        // operations that failed
    std::string first_error;    // or the first loss
  };
  // After stop(): reads everything back.
  Findings verify() const;

 private:
  struct Worker;
  void run_probe(Worker& worker);
  void run_creates(Worker& worker);
  void run_writes(Worker& worker);
  void verify_blocks(const Worker& worker, size_t block_bytes, Findings& findings) const;
  void verify_creates(const Worker& worker, Findings& findings) const;

  const fs::path directory_;
  const LoadKind kind_;
  std::atomic<bool> stopping_ = false;
  std::vector<std::unique_ptr<Worker>> workers_;  // the first is the loop
};

}  // namespace pairfs::cli
