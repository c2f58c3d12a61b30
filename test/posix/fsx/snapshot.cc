#include "test/posix/fsx/snapshot.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <vector>

namespace pairfs::fsx {
namespace {

constexpr time_t kSetByHand = 1100000000;
constexpr off_t kWholeRead = 4 << 20;

const char* type_name(mode_t mode) {
  if (S_ISREG(mode)) return "file";
  if (S_ISDIR(mode)) return "dir";
  if (S_ISLNK(mode)) return "symlink";
  if (S_ISFIFO(mode)) return "fifo";
  if (S_ISSOCK(mode)) return "socket";
  if (S_ISCHR(mode)) return "char";
  return "block";
}

bool same_time(const timespec& one, const timespec& two) {
  return one.tv_sec == two.tv_sec && one.tv_nsec == two.tv_nsec;
}

std::string time_text(char letter, const timespec& before, const timespec& after) {
  char text[64] = {};
  if (after.tv_sec < kSetByHand) {
    std::snprintf(text, sizeof text, " %c=%lld.%09ld", letter, static_cast<long long>(after.tv_sec),
                  after.tv_nsec);
  } else if (!same_time(before, after)) {
    std::snprintf(text, sizeof text, " %c-moved", letter);
  }
  return text;
}

std::string read_range(int fd, off_t from, off_t length) {
  std::string bytes(static_cast<size_t>(length), '\0');
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count =
        ::pread(fd, bytes.data() + done, bytes.size() - done, from + static_cast<off_t>(done));
    if (count < 0) return std::string("read failed: ") + std::strerror(errno);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  bytes.resize(done);
  return bytes;
}

// Contents as hashes: whole when small, else at fixed places spread over the file.
std::string contents_text(const std::string& path, off_t size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NOFOLLOW);
  if (fd < 0) return std::string(" open failed: ") + std::strerror(errno);
  std::string text;
  if (size <= kWholeRead) {
    text = " contents " + hash_text(read_range(fd, 0, size + 1));
  } else {
    text = " start " + hash_text(read_range(fd, 0, kWholeRead)) + " end " +
           hash_text(read_range(fd, size - 65536, 70000));
    std::string middle;
    for (off_t part = 1; part < 16; ++part) middle += read_range(fd, size / 16 * part, 4096);
    text += " middle " + hash_text(middle);
  }
  ::close(fd);
  return text;
}

std::string attributes_text(const std::string& path) {
  std::vector<char> list(70000);
  const ssize_t size = ::llistxattr(path.c_str(), list.data(), list.size());
  if (size < 0)
    return errno == EOPNOTSUPP ? "" : std::string(" listxattr: ") + strerrorname_np(errno);
  std::vector<std::string> names;
  for (ssize_t at = 0; at < size;) {
    names.emplace_back(list.data() + at);
    at += static_cast<ssize_t>(names.back().size()) + 1;
  }
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) {
    if (name == "security.selinux") continue;
    std::string value(70000, '\0');
    const ssize_t length = ::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size());
    value.resize(length < 0 ? 0 : static_cast<size_t>(length));
    text += " " + name + "=" + std::to_string(length) + ":" + hash_text(value);
  }
  return text;
}

}  // namespace

std::string hash_text(const std::string& bytes) {
  uint64_t hash = 1469598103934665603u;
  for (const char byte : bytes) hash = (hash ^ static_cast<unsigned char>(byte)) * 1099511628211u;
  char text[48];
  std::snprintf(text, sizeof text, "%zu:%016llx", bytes.size(),
                static_cast<unsigned long long>(hash));
  return text;
}

std::string stat_text(const struct stat& status, const SnapshotOptions& options) {
  char text[200];
  std::snprintf(text, sizeof text, "%s 0%o owner %u:%u", type_name(status.st_mode),
                status.st_mode & 07777, status.st_uid, status.st_gid);
  std::string whole = text;
  if (!S_ISDIR(status.st_mode)) whole += " size " + std::to_string(status.st_size);
  if (!S_ISDIR(status.st_mode) || options.directory_links) {
    whole += " links " + std::to_string(status.st_nlink);
  }
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) {
    whole += " device " + std::to_string(major(status.st_rdev)) + ":" +
             std::to_string(minor(status.st_rdev));
  }
  return whole;
}

std::string change_text(const std::optional<struct stat>& before,
                        const std::optional<struct stat>& after, const SnapshotOptions& options) {
  if (!after) return "gone";
  std::string text = stat_text(*after, options);
  if (!before || before->st_ino != after->st_ino) return text;
  if (options.change_times) {
    text += time_text('m', before->st_mtim, after->st_mtim);
    text += time_text('c', before->st_ctim, after->st_ctim);
  }
  if (options.access_times) text += time_text('a', before->st_atim, after->st_atim);
  return text;
}

std::map<std::string, std::string> tree_text(const std::string& top,
                                             const SnapshotOptions& options) {
  namespace fs = std::filesystem;
  std::vector<std::string> names;
  std::error_code error;
  for (fs::recursive_directory_iterator at(top, error), end; at != end; at.increment(error)) {
    names.push_back(at->path().string().substr(top.size() + 1));
    if (error) break;
  }
  std::sort(names.begin(), names.end());
  std::map<std::string, std::string> tree;
  if (error) tree["(walk)"] = error.message();
  std::map<ino_t, std::string> first_names;
  for (const std::string& name : names) {
    const std::string path = top + "/" + name;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) {
      tree[name] = std::string("lstat failed: ") + std::strerror(errno);
      continue;
    }
    std::string text = stat_text(status, options);
    if (S_ISREG(status.st_mode)) text += contents_text(path, status.st_size);
    if (S_ISLNK(status.st_mode)) {
      char target[4097];
      const ssize_t length = ::readlink(path.c_str(), target, sizeof target);
      text += " to " + std::string(target, length < 0 ? 0 : static_cast<size_t>(length));
    }
    if (!S_ISDIR(status.st_mode)) {
      text += " same as " + first_names.emplace(status.st_ino, name).first->second;
    }
    if (options.change_times) text += time_text('m', status.st_mtim, status.st_mtim);
    tree[name] = text + attributes_text(path);
  }
  return tree;
}

}  // namespace pairfs::fsx
