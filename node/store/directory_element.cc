#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <list>
#include <mutex>
#include <unordered_map>

#include "node/store/element.h"

namespace pairfs {
namespace {

class Fd {
 public:
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() {
    if (fd_ >= 0) ::close(fd_);
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};
using SharedFd = std::shared_ptr<const Fd>;

Status outcome(int returned) { return returned == 0 ? success() : Status(Errno{errno}); }

// Open files by name, the least recently used closed first.
class OpenFiles {
 public:
  explicit OpenFiles(size_t limit) : limit_(limit) {}

  SharedFd find(const std::string& name) {
    std::lock_guard lock(mutex_);
    auto it = by_name_.find(name);
    if (it == by_name_.end()) return nullptr;
    recent_.splice(recent_.begin(), recent_, it->second);
    return it->second->second;
  }
  void add(const std::string& name, SharedFd fd) {
    std::lock_guard lock(mutex_);
    if (auto it = by_name_.find(name); it != by_name_.end()) {
      it->second->second = std::move(fd);
      return;
    }
    recent_.emplace_front(name, std::move(fd));
    by_name_[name] = recent_.begin();
    if (recent_.size() > limit_) {
      by_name_.erase(recent_.back().first);
      recent_.pop_back();
    }
  }
  // Forgets a name and, when it is a directory, the files in it.
  void forget(const std::string& name) {
    std::lock_guard lock(mutex_);
    for (auto it = recent_.begin(); it != recent_.end();) {
      if (it->first == name || it->first.starts_with(name + "/")) {
        by_name_.erase(it->first);
        it = recent_.erase(it);
      } else {
        ++it;
      }
    }
  }

 private:
  using Entry = std::pair<std::string, SharedFd>;
  std::mutex mutex_;
  const size_t limit_;
  std::list<Entry> recent_;
  std::unordered_map<std::string, std::list<Entry>::iterator> by_name_;
};

uint64_t boot_hash() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return std::hash<std::string>()(id);
}

class DirectoryElement final : public Element {
 public:
  DirectoryElement(std::string path, int root, size_t open_files_max)
      : path_(std::move(path)), root_(root), machine_(boot_hash()), files_(open_files_max) {}

  Result<size_t> read(const std::string& name, uint64_t offset, std::span<char> into) override {
    PAIRFS_ASSIGN(SharedFd fd, open(name, false));
    size_t done = 0;
    while (done < into.size()) {
      const ssize_t n = ::pread(fd->get(), into.data() + done, into.size() - done,
                                static_cast<off_t>(offset + done));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return Errno{errno};
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    return done;
  }

  Status write(const std::string& name, uint64_t offset,
               std::span<const BytesView> parts) override {
    PAIRFS_ASSIGN(SharedFd fd, open(name, true));
    for (BytesView part : parts) {
      while (!part.empty()) {
        const ssize_t n = ::pwrite(fd->get(), part.data(), part.size(), static_cast<off_t>(offset));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return Errno{errno};
        part.remove_prefix(static_cast<size_t>(n));
        offset += static_cast<uint64_t>(n);
      }
    }
    return success();
  }

  Status sync(const std::string& name) override {
    PAIRFS_ASSIGN(SharedFd fd, open(name, false));
    if (::fdatasync(fd->get()) != 0) return Errno{errno};
    // A file that somebody removed can still be written through its descriptor, in vain.
    struct stat st;
    if (::fstat(fd->get(), &st) != 0) return Errno{errno};
    return st.st_nlink > 0 ? success() : Status(Errno{ENOENT});
  }

  Status sync_directory(const std::string& directory) override {
    const Fd fd(::openat(root_.get(), directory.empty() ? "." : directory.c_str(),
                         O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return Errno{errno};
    return outcome(::fsync(fd.get()));
  }

  Result<uint64_t> size(const std::string& name) override {
    struct stat st;
    if (::fstatat(root_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0) return Errno{errno};
    return static_cast<uint64_t>(st.st_size);
  }

  Result<std::vector<Entry>> list(const std::string& directory) override {
    const int fd = ::openat(root_.get(), directory.empty() ? "." : directory.c_str(),
                            O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return Errno{errno};
    DIR* stream = ::fdopendir(fd);
    if (stream == nullptr) {
      const Errno error{errno};
      ::close(fd);
      return error;
    }
    std::vector<Entry> entries;
    while (const dirent* entry = ::readdir(stream)) {
      const std::string name = entry->d_name;
      struct stat st;
      if (name == "." || name == ".." || ::fstatat(fd, name.c_str(), &st, AT_SYMLINK_NOFOLLOW) != 0)
        continue;
      entries.push_back({name, static_cast<uint64_t>(st.st_size), S_ISDIR(st.st_mode)});
    }
    ::closedir(stream);
    std::sort(entries.begin(), entries.end(),
              [](const Entry& a, const Entry& b) { return a.name < b.name; });
    return entries;
  }

  Status make_directory(const std::string& name) override {
    return outcome(::mkdirat(root_.get(), name.c_str(), 0700));
  }
  Status rename(const std::string& from, const std::string& to) override {
    files_.forget(from);
    files_.forget(to);
    return outcome(::renameat(root_.get(), from.c_str(), root_.get(), to.c_str()));
  }
  Status link(const std::string& from, const std::string& to) override {
    return outcome(::linkat(root_.get(), from.c_str(), root_.get(), to.c_str(), 0));
  }
  Status unlink(const std::string& name) override {
    files_.forget(name);
    if (::unlinkat(root_.get(), name.c_str(), 0) == 0) return success();
    if (errno != EISDIR) return Errno{errno};
    return outcome(::unlinkat(root_.get(), name.c_str(), AT_REMOVEDIR));
  }
  Status punch(const std::string& name, uint64_t offset, uint64_t length) override {
    PAIRFS_ASSIGN(SharedFd fd, open(name, false));
    return outcome(::fallocate(fd->get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                               static_cast<off_t>(offset), static_cast<off_t>(length)));
  }

  Result<Space> space() override {
    struct statvfs vfs;
    struct stat st;
    // By path: a directory that was removed, moved or unmounted is missing, even if still open
    // here.
    if (::statvfs(path_.c_str(), &vfs) != 0 || ::stat(path_.c_str(), &st) != 0) return Errno{errno};
    struct stat opened;
    if (::fstat(root_.get(), &opened) != 0) return Errno{errno};
    if (opened.st_dev != st.st_dev || opened.st_ino != st.st_ino) return Errno{ESTALE};
    return Space{machine_ ^ st.st_dev * 0x9e3779b97f4a7c15ULL, vfs.f_frsize * vfs.f_blocks,
                 vfs.f_frsize * vfs.f_bavail};
  }

  Result<uint64_t> used_bytes() override { return used_in("."); }

 private:
  Result<uint64_t> used_in(const std::string& directory) {
    PAIRFS_ASSIGN(auto entries, list(directory));
    uint64_t total = 0;
    for (const Entry& entry : entries) {
      const std::string name = directory + "/" + entry.name;
      struct stat st;
      if (entry.is_directory) {
        if (auto inner = used_in(name); inner.ok()) total += *inner;
      } else if (::fstatat(root_.get(), name.c_str(), &st, AT_SYMLINK_NOFOLLOW) == 0) {
        // A file with several names (of several epochs) takes its space once.
        total += static_cast<uint64_t>(st.st_blocks) * 512 / std::max<uint64_t>(st.st_nlink, 1);
      }
    }
    return total;
  }

  Result<SharedFd> open(const std::string& name, bool create) {
    if (SharedFd known = files_.find(name)) return known;
    const int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (create ? O_CREAT : 0);
    const int fd = ::openat(root_.get(), name.c_str(), flags, 0600);
    if (fd < 0) return Errno{errno};
    auto shared = std::make_shared<const Fd>(fd);
    files_.add(name, shared);
    return shared;
  }

  const std::string path_;
  const Fd root_;
  const uint64_t machine_;  // device numbers mean something on one machine only
  OpenFiles files_;
};

// What the store needs of a filesystem; "" when all is there.
std::string missing_ability(Element& element) {
  const std::string probe = "probe.tmp", second = "probe-link.tmp";
  (void)element.unlink(probe);
  (void)element.unlink(second);
  const Bytes bytes(3 * 4096, 'p');
  const BytesView part = bytes;
  std::string missing;
  if (auto written = element.write(probe, 0, {&part, 1}); !written.ok()) {
    missing = fmt::format("cannot be written ({})", std::strerror(written.error()));
  } else if (!element.sync(probe).ok() || !element.sync_directory("").ok()) {
    missing = "has no fdatasync";
  } else if (!element.link(probe, second).ok()) {
    missing = "has no hard links";
  } else if (!element.punch(probe, 4096, 4096).ok()) {
    missing = "cannot punch holes";
  }
  (void)element.unlink(probe);
  (void)element.unlink(second);
  return missing;
}

}  // namespace

std::unique_ptr<Element> open_directory_element(const std::string& path, bool create,
                                                std::string* why, size_t open_files_max) {
  if (create && ::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) {
    *why = fmt::format("The element directory {} cannot be made: {}.", path, std::strerror(errno));
    return nullptr;
  }
  const int root = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) {
    *why =
        fmt::format("The element directory {} cannot be opened: {}.", path, std::strerror(errno));
    return nullptr;
  }
  auto element = std::make_unique<DirectoryElement>(path, root, open_files_max);
  // Later it is known to be one: a takeover does not wait for the disk to find out again.
  if (const std::string missing = create ? missing_ability(*element) : ""; !missing.empty()) {
    *why = fmt::format("The filesystem of {} {}, which an element needs: choose another place.",
                       path, missing);
    return nullptr;
  }
  return element;
}

Status remove_tree(Element& element, const std::string& directory) {
  auto entries = element.list(directory);
  if (entries.error() == ENOENT) return success();
  if (!entries.ok()) return entries.failure();
  for (const Element::Entry& entry : *entries) {
    PAIRFS_TRY(element.unlink(directory + "/" + entry.name));
  }
  return element.unlink(directory);
}

}  // namespace pairfs
