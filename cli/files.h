// Paths and small files, as the commands need them. Paths are Boost.Filesystem's; its calls are
// used in the form that gives an error code, so nothing here throws. Any thread.
#pragma once

#include <boost/filesystem.hpp>
#include <optional>
#include <string>
#include <vector>

#include "cli/problem.h"

namespace pairfs::cli {

namespace fs = boost::filesystem;

// Absolute, without symbolic links, "." or "..". Works for a path whose last parts do not exist
// yet, and for a dead mount point, which nothing may look at: only the parent is resolved then.
fs::path canonical_path(const fs::path& path);

// True when `inner` is `outer` or below it; both canonical.
bool is_within(const fs::path& inner, const fs::path& outer);

// The whole file; nullopt when it cannot be read.
std::optional<std::string> read_file(const fs::path& path);
// The last `count` lines that are not empty; "" when there are none.
std::string last_lines(const fs::path& path, size_t count);

// Replaces the file in one step (written beside, synced, renamed); mode 0600.
Trouble write_file(const fs::path& path, const std::string& text);
// A directory that only its owner enters (0700); an existing one is left as it is.
Trouble make_private_directory(const fs::path& path);

// `text` as a TOML string, quoted; `items` as a list of them.
std::string toml_quoted(const std::string& text);
std::string toml_quoted(const std::vector<std::string>& items);

// Holds an exclusive flock(2) on a file from its making to its end.
class FileLock {
 public:
  // nullopt when another process holds it; creates the file.
  static Outcome<std::optional<FileLock>> try_take(const fs::path& path);
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace pairfs::cli
