// Log files in a directory of this machine.
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "common/ensure.h"
#include "node/log/log_files.h"

namespace pairfs {
namespace {
namespace fs = std::filesystem;

[[noreturn]] void fail(const char* what, const std::string& path) {
  throw LogFailure(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

class DirectoryLogFile final : public LogFile {
 public:
  DirectoryLogFile(std::string path, int fd) : path_(std::move(path)), fd_(fd) {
    struct stat st {};
    if (::fstat(fd_, &st) != 0) fail("stat", path_);
    size_bytes_ = static_cast<uint64_t>(st.st_size);
  }
  ~DirectoryLogFile() override { ::close(fd_); }
  DirectoryLogFile(const DirectoryLogFile&) = delete;
  DirectoryLogFile& operator=(const DirectoryLogFile&) = delete;

  uint64_t size_bytes() const override { return size_bytes_; }

  Bytes read(uint64_t offset, size_t length) const override {
    Bytes out(length, '\0');
    size_t done = 0;
    while (done < length) {
      const ssize_t n =
          ::pread(fd_, out.data() + done, length - done, static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail("read", path_);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    out.resize(done);
    return out;
  }

  void write(uint64_t offset, const BytesView* pieces, size_t count) override {
    std::array<iovec, 8> vectors;
    ENSURE(count <= vectors.size(), "{} pieces", count);
    size_t left = 0;
    for (size_t i = 0; i < count; ++i) {
      vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
      left += pieces[i].size();
    }
    iovec* at = vectors.data();
    while (left > 0) {
      ssize_t n = ::pwritev(fd_, at, static_cast<int>(count), static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) fail("write", path_);
      offset += static_cast<uint64_t>(n);
      left -= static_cast<size_t>(n);
      while (count > 0 && static_cast<size_t>(n) >= at->iov_len) {
        n -= static_cast<ssize_t>(at->iov_len);
        ++at;
        --count;
      }
      if (count > 0 && n > 0) {
        at->iov_base = static_cast<char*>(at->iov_base) + n;
        at->iov_len -= static_cast<size_t>(n);
      }
    }
    size_bytes_ = std::max(size_bytes_, offset);
  }

  void zero_from(uint64_t offset) override {
    if (::ftruncate(fd_, static_cast<off_t>(offset)) != 0) fail("cut", path_);
    if (size_bytes_ > offset) {
      errno = ::posix_fallocate(fd_, 0, static_cast<off_t>(size_bytes_));
      if (errno != 0) fail("preallocate", path_);
    }
    if (::fdatasync(fd_) != 0) fail("sync", path_);
  }

  int sync() override { return ::fdatasync(fd_) == 0 ? 0 : errno; }

 private:
  const std::string path_;
  const int fd_;
  uint64_t size_bytes_ = 0;
};

class LogDirectory final : public LogFiles {
 public:
  explicit LogDirectory(std::string path) : path_(std::move(path)) {
    std::error_code error;
    fs::create_directories(path_, error);
    if (error)
      throw LogFailure(
          fmt::format("cannot create the log directory {}: {}", path_, error.message()));
  }

  const std::string& place() const override { return path_; }

  std::vector<std::string> list() const override {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(path_))
      names.push_back(entry.path().filename().string());
    return names;
  }

  void preallocate(const std::string& name, uint64_t size_bytes) override {
    const std::string path = path_ + "/" + name;
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) fail("create", path);
    const int full = ::posix_fallocate(fd, 0, static_cast<off_t>(size_bytes));
    const bool synced = full == 0 && ::fsync(fd) == 0;
    ::close(fd);
    if (full != 0) errno = full;
    if (!synced) fail("preallocate", path);
  }

  std::shared_ptr<LogFile> open(const std::string& name) override {
    const std::string path = path_ + "/" + name;
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd >= 0) return std::make_shared<DirectoryLogFile>(path, fd);
    if (errno != ENOENT) fail("open", path);
    return nullptr;
  }

  void rename(const std::string& from, const std::string& to) override {
    if (::rename((path_ + "/" + from).c_str(), (path_ + "/" + to).c_str()) != 0)
      fail("rename", path_ + "/" + from);
  }

  void remove(const std::string& name) override {
    const std::string path = path_ + "/" + name;
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("remove", path);
  }

  uint64_t available_bytes() const override {
    struct statvfs vfs;
    if (::statvfs(path_.c_str(), &vfs) != 0) return 0;
    return vfs.f_frsize * vfs.f_bavail;
  }

  int sync_names() override {
    const int fd = ::open(path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return errno;
    const int error = ::fsync(fd) == 0 ? 0 : errno;
    ::close(fd);
    return error;
  }

 private:
  const std::string path_;
};

}  // namespace

std::shared_ptr<LogFiles> open_log_directory(const std::string& path) {
  return std::make_shared<LogDirectory>(path);
}

}  // namespace pairfs
