// Small values around files that almost every case needs: a path, a descriptor, whole contents.
//
// Owns: nothing beyond the descriptor inside an Fd. Every function throws CaseFailed when a call
// that should work does not.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace pairfs::posix {

// A file name that system calls take as it is. Bytes, not characters.
class Path {
 public:
  Path(std::string text) : text_(std::move(text)) {}
  Path(const char* text) : text_(text) {}
  operator const char*() const { return text_.c_str(); }
  const std::string& text() const { return text_; }
  Path operator/(std::string_view name) const { return text_ + "/" + std::string(name); }
  Path operator+(std::string_view more) const { return text_ + std::string(more); }

 private:
  std::string text_;
};

// An open descriptor, closed at the end of its scope.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int number) : number_(number) {}
  Fd(Fd&& other) noexcept : number_(other.number_) { other.number_ = -1; }
  Fd& operator=(Fd&& other) noexcept;
  ~Fd() { close(); }
  operator int() const { return number_; }
  void close();

 private:
  int number_ = -1;
};

// open(2); fails the case when it fails.
Fd open_file(const Path& path, int flags, mode_t mode = 0644);
// A new or truncated file with these contents and exactly this mode.
void write_file(const Path& path, std::string_view contents, mode_t mode = 0644);
std::string read_file(const Path& path);
// Up to `length` bytes at `offset_bytes`; shorter at the end of the file.
std::string read_at(int fd, off_t offset_bytes, size_t length);
// All of `data` at `offset_bytes`.
void write_at(int fd, off_t offset_bytes, std::string_view data);
// A new directory with exactly this mode.
void make_directory(const Path& path, mode_t mode = 0755);
bool exists(const Path& path);

struct stat stat_of(const Path& path);
struct stat lstat_of(const Path& path);
struct stat fstat_of(int fd);
// Permission bits with setuid, setgid and sticky.
mode_t mode_of(const Path& path);
nlink_t links_of(const Path& path);
off_t size_of(const Path& path);
std::string link_target(const Path& path);
// Names in a directory, without "." and "..".
std::set<std::string> names_in(const Path& path);

// `length` bytes that differ from position to position and from seed to seed.
std::string pattern(size_t length, unsigned seed = 1);

// Nanoseconds since 1970.
long long nanoseconds(const timespec& time);
// Sleeps until the clock that filesystems stamp with has certainly moved (its tick is up to 10 ms).
void let_the_clock_tick();

}  // namespace pairfs::posix
