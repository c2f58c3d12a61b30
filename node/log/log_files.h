// The files of one command log: named, preallocated, in one directory. The real directory
// (open_log_directory), or the simulator's disk. Every failure throws LogFailure with a sentence,
// except LogFile::sync.
#pragma once

#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/types.h"

namespace pairfs {

struct LogFailure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

class LogFile {
 public:
  virtual ~LogFile() = default;
  virtual uint64_t size_bytes() const = 0;
  // Short at the end of the file.
  virtual Bytes read(uint64_t offset_bytes, size_t length) const = 0;
  // The pieces behind each other; here once it returns, on stable storage after a sync().
  virtual void write(uint64_t offset_bytes, const BytesView* pieces, size_t count) = 0;
  // Makes everything from the offset on read as zeros, durably; the size stays.
  virtual void zero_from(uint64_t offset_bytes) = 0;
  // Makes what was written durable; the errno, or 0. Any thread.
  virtual int sync() = 0;
};

class LogFiles {
 public:
  virtual ~LogFiles() = default;
  // For messages.
  virtual const std::string& place() const = 0;
  virtual std::vector<std::string> list() const = 0;
  // A file of that size that reads as zeros, with blocks of its own, synced; its name is not. An
  // existing one is replaced. Any thread.
  virtual void preallocate(const std::string& name, uint64_t size_bytes) = 0;
  // nullptr when it is not there.
  virtual std::shared_ptr<LogFile> open(const std::string& name) = 0;
  virtual void rename(const std::string& from, const std::string& to) = 0;
  // A missing one is no error. Any thread.
  virtual void remove(const std::string& name) = 0;
  // Room for more files. Any thread.
  virtual uint64_t available_bytes() const { return ~0ULL >> 1; }
  // Makes the names durable; the errno, or 0. Any thread.
  virtual int sync_names() = 0;
};

// Creates the directory, with its parents, when it is missing.
std::shared_ptr<LogFiles> open_log_directory(const std::string& path);

}  // namespace pairfs
