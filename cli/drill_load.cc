#include "cli/drill_load.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <mutex>

namespace pairfs::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kSmallBytes = 4 << 10;
constexpr size_t kLargeBytes = 1 << 20;
constexpr uint64_t kProbeBlocks = 256;  // then the loop begins again at the file's start
constexpr uint64_t kLargeBlocks = 64;

double to_ms(Clock::duration d) { return std::chrono::duration<double, std::milli>(d).count(); }

// What operation `number` of a worker writes: its number, over and over.
std::string content_of(uint64_t number, size_t bytes) {
  std::string content(bytes, '\0');
  for (size_t at = 0; at + sizeof number <= bytes; at += sizeof number)
    std::memcpy(content.data() + at, &number, sizeof number);
  return content;
}

// Reads until `bytes` are there or the file ends.
std::string read_at(int fd, uint64_t offset, size_t bytes) {
  std::string content(bytes, '\0');
  size_t done = 0;
  while (done < bytes) {
    const ssize_t n =
        ::pread(fd, content.data() + done, bytes - done, static_cast<off_t>(offset + done));
    if (n <= 0) break;
    done += static_cast<size_t>(n);
  }
  content.resize(done);
  return content;
}

}  // namespace

struct DrillLoad::Worker {
  std::string name;
  std::thread thread;
  std::atomic<bool> ended = false;

  // Written by its thread, read after stop().
  uint64_t done = 0;           // operations that returned
  std::vector<uint64_t> last;  // block → the last operation that wrote it, from 1; 0: none
  uint64_t errors = 0;
  std::string first_error;

  // The loop's measurements.
  mutable std::mutex mutex;
  Clock::time_point marked, round_began;
  bool in_round = false, progressed = false;
  std::vector<double> rounds_ms;

  void fail(const char* what) {
    if (errors++ == 0) first_error = fmt::format("{} of {}: {}", what, name, std::strerror(errno));
  }
};

DrillLoad::DrillLoad(const fs::path& directory, LoadKind kind, unsigned threads)
    : directory_(directory), kind_(kind) {
  const auto start = [&](std::string name, void (DrillLoad::*run)(Worker&)) {
    workers_.push_back(std::make_unique<Worker>());
    Worker& worker = *workers_.back();
    worker.name = std::move(name);
    worker.marked = Clock::now();
    worker.thread = std::thread([this, run, &worker] {
      (this->*run)(worker);
      worker.ended = true;
    });
  };
  start("probe", &DrillLoad::run_probe);
  for (unsigned i = 0; kind != LoadKind::kNone && i < threads; ++i)
    start(fmt::format("load{}", i),
          kind == LoadKind::kCreates ? &DrillLoad::run_creates : &DrillLoad::run_writes);
}

DrillLoad::~DrillLoad() {
  stopping_ = true;
  for (auto& worker : workers_)
    if (worker->thread.joinable()) worker->thread.join();
}

void DrillLoad::run_probe(Worker& worker) {
  worker.last.resize(kProbeBlocks);
  const int fd =
      ::open((directory_ / worker.name).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return worker.fail("create");
  while (!stopping_ && worker.errors == 0) {
    const auto began = Clock::now();
    {
      const std::lock_guard lock(worker.mutex);
      worker.round_began = began;
      worker.in_round = true;
    }
    const uint64_t number = worker.done + 1, block = worker.done % kProbeBlocks;
    const std::string content = content_of(number, kSmallBytes);
    if (::pwrite(fd, content.data(), content.size(), static_cast<off_t>(block * kSmallBytes)) !=
        static_cast<ssize_t>(content.size()))
      worker.fail("write");
    else if (::fsync(fd) != 0)
      worker.fail("fsync");
    const auto ended = Clock::now();
    if (worker.errors == 0) {
      worker.done = number;
      worker.last[block] = number;
    }
    const std::lock_guard lock(worker.mutex);
    worker.in_round = false;
    worker.rounds_ms.push_back(to_ms(ended - began));
    worker.progressed |= worker.errors == 0 && began >= worker.marked;
  }
  ::close(fd);
}

void DrillLoad::run_creates(Worker& worker) {
  const fs::path place = directory_ / worker.name;
  boost::system::error_code error;
  if (!fs::create_directory(place, error)) return worker.fail("mkdir");
  while (!stopping_ && worker.errors == 0) {
    const std::string content = content_of(worker.done + 1, kSmallBytes);
    const fs::path path = place / fmt::format("f{}", worker.done);
    const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) return worker.fail("create");
    if (::write(fd, content.data(), content.size()) != static_cast<ssize_t>(content.size()))
      worker.fail("write");
    if (::close(fd) != 0) worker.fail("close");
    if (worker.errors == 0) ++worker.done;
  }
}

void DrillLoad::run_writes(Worker& worker) {
  worker.last.resize(kLargeBlocks);
  const int fd =
      ::open((directory_ / worker.name).c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) return worker.fail("create");
  while (!stopping_ && worker.errors == 0) {
    const uint64_t number = worker.done + 1, block = worker.done % kLargeBlocks;
    const std::string content = content_of(number, kLargeBytes);
    if (::pwrite(fd, content.data(), content.size(), static_cast<off_t>(block * kLargeBytes)) !=
        static_cast<ssize_t>(content.size())) {
      worker.fail("write");
      break;
    }
    worker.done = number;
    worker.last[block] = number;
  }
  ::close(fd);
}

void DrillLoad::mark() {
  Worker& probe = *workers_.front();
  const std::lock_guard lock(probe.mutex);
  probe.marked = Clock::now();
  probe.rounds_ms.clear();
  probe.progressed = false;
}

DrillLoad::Pauses DrillLoad::since_mark() const {
  const Worker& probe = *workers_.front();
  std::vector<double> rounds;
  Pauses pauses;
  {
    const std::lock_guard lock(probe.mutex);
    rounds = probe.rounds_ms;
    if (probe.in_round) pauses.longest_ms = to_ms(Clock::now() - probe.round_began);
  }
  pauses.rounds = rounds.size();
  if (rounds.empty()) return pauses;
  std::sort(rounds.begin(), rounds.end());
  pauses.longest_ms = std::max(pauses.longest_ms, rounds.back());
  pauses.median_ms = rounds[rounds.size() / 2];
  return pauses;
}

bool DrillLoad::progressed() const {
  const Worker& probe = *workers_.front();
  const std::lock_guard lock(probe.mutex);
  return probe.progressed;
}

bool DrillLoad::stop(std::chrono::milliseconds timeout) {
  stopping_ = true;
  const auto limit = Clock::now() + timeout;
  for (auto& worker : workers_) {
    while (!worker->ended && Clock::now() < limit)
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    if (!worker->ended) return false;
    if (worker->thread.joinable()) worker->thread.join();
  }
  return true;
}

void DrillLoad::verify_blocks(const Worker& worker, size_t block_bytes, Findings& findings) const {
  const int fd = ::open((directory_ / worker.name).c_str(), O_RDONLY | O_CLOEXEC);
  for (uint64_t block = 0; block < worker.last.size(); ++block) {
    if (worker.last[block] == 0) continue;
    if (fd >= 0 && read_at(fd, block * block_bytes, block_bytes) ==
                       content_of(worker.last[block], block_bytes))
      continue;
    ++findings.lost;
    if (findings.first_error.empty())
      findings.first_error =
          fmt::format("write {} of {} is not there", worker.last[block], worker.name);
  }
  if (fd >= 0) ::close(fd);
}

void DrillLoad::verify_creates(const Worker& worker, Findings& findings) const {
  const fs::path place = directory_ / worker.name;
  for (uint64_t i = 0; i < worker.done; ++i) {
    const int fd = ::open((place / fmt::format("f{}", i)).c_str(), O_RDONLY | O_CLOEXEC);
    const bool whole = fd >= 0 && read_at(fd, 0, kSmallBytes + 1) == content_of(i + 1, kSmallBytes);
    if (fd >= 0) ::close(fd);
    if (whole) continue;
    ++findings.lost;
    if (findings.first_error.empty())
      findings.first_error =
          fmt::format("file f{} of {} is not there or not whole", i, worker.name);
  }
}

DrillLoad::Findings DrillLoad::verify() const {
  Findings findings;
  for (const auto& worker : workers_) {
    findings.acknowledged += worker->done;
    findings.errors += worker->errors;
    if (findings.first_error.empty()) findings.first_error = worker->first_error;
    if (worker->name == "probe")
      verify_blocks(*worker, kSmallBytes, findings);
    else if (kind_ == LoadKind::kWrites)
      verify_blocks(*worker, kLargeBytes, findings);
    else
      verify_creates(*worker, findings);
  }
  return findings;
}

}  // namespace pairfs::cli
