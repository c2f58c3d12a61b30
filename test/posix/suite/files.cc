#include "test/posix/suite/files.h"

#include <dirent.h>
#include <fcntl.h>

#include <ctime>

#include "test/posix/suite/check.h"

namespace pairfs::posix {

Fd& Fd::operator=(Fd&& other) noexcept {
  if (this != &other) {
    close();
    number_ = other.number_;
    other.number_ = -1;
  }
  return *this;
}

void Fd::close() {
  if (number_ >= 0) ::close(number_);
  number_ = -1;
}

Fd open_file(const Path& path, int flags, mode_t mode) {
  const int fd = ::open(path, flags | O_CLOEXEC, mode);
  if (fd < 0) throw CaseFailed("open of " + path.text() + " failed with " + errno_name(errno));
  return Fd(fd);
}

void write_file(const Path& path, std::string_view contents, mode_t mode) {
  Fd fd = open_file(path, O_WRONLY | O_CREAT | O_TRUNC, mode | 0200);
  write_at(fd, 0, contents);
  OK(::fchmod(fd, mode));
}

std::string read_file(const Path& path) {
  Fd fd = open_file(path, O_RDONLY);
  std::string contents;
  char block[65536];
  for (;;) {
    const ssize_t count = OK(::read(fd, block, sizeof block));
    if (count == 0) return contents;
    contents.append(block, static_cast<size_t>(count));
  }
}

std::string read_at(int fd, off_t offset_bytes, size_t length) {
  std::string data(length, '\0');
  size_t done = 0;
  while (done < length) {
    const ssize_t count =
        OK(::pread(fd, data.data() + done, length - done, offset_bytes + static_cast<off_t>(done)));
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  data.resize(done);
  return data;
}

void write_at(int fd, off_t offset_bytes, std::string_view data) {
  size_t done = 0;
  while (done < data.size()) {
    const ssize_t count = OK(::pwrite(fd, data.data() + done, data.size() - done,
                                      offset_bytes + static_cast<off_t>(done)));
    done += static_cast<size_t>(count);
  }
}

void make_directory(const Path& path, mode_t mode) {
  OK(::mkdir(path, 0700));
  OK(::chmod(path, mode));
}

bool exists(const Path& path) {
  struct stat status {};
  if (::lstat(path, &status) == 0) return true;
  CHECK(errno == ENOENT);
  return false;
}

struct stat stat_of(const Path& path) {
  struct stat status {};
  OK(::stat(path, &status));
  return status;
}

struct stat lstat_of(const Path& path) {
  struct stat status {};
  OK(::lstat(path, &status));
  return status;
}

struct stat fstat_of(int fd) {
  struct stat status {};
  OK(::fstat(fd, &status));
  return status;
}

mode_t mode_of(const Path& path) { return lstat_of(path).st_mode & 07777; }
nlink_t links_of(const Path& path) { return lstat_of(path).st_nlink; }
off_t size_of(const Path& path) { return lstat_of(path).st_size; }

std::string link_target(const Path& path) {
  char target[8192];
  const ssize_t length = OK(::readlink(path, target, sizeof target));
  return std::string(target, static_cast<size_t>(length));
}

std::set<std::string> names_in(const Path& path) {
  std::set<std::string> names;
  DIR* directory = ::opendir(path);
  CHECK(directory != nullptr);
  while (const dirent* entry = ::readdir(directory)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.insert(name);
  }
  ::closedir(directory);
  return names;
}

std::string pattern(size_t length, unsigned seed) {
  std::string data(length, '\0');
  unsigned value = seed * 2654435761u + 1;
  for (char& byte : data) {
    value = value * 1664525u + 1013904223u;
    byte = static_cast<char>(value >> 24);
  }
  return data;
}

long long nanoseconds(const timespec& time) { return time.tv_sec * 1'000'000'000LL + time.tv_nsec; }

void let_the_clock_tick() {
  const timespec pause{0, 15'000'000};
  ::nanosleep(&pause, nullptr);
}

}  // namespace pairfs::posix
