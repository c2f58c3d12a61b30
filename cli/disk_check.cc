#include "cli/disk_check.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace pairfs::cli {
namespace {

constexpr off_t kProbeBytes = 64 << 10;

// What the filesystem lacks, as words for the sentence; nullptr when nothing. errno tells why.
const char* missing_ability(const fs::path& file, const fs::path& link, int fd) {
  const std::string block(kProbeBytes, 'p');
  if (::write(fd, block.data(), block.size()) != kProbeBytes) return "writing a file";
  if (::fdatasync(fd) != 0) return "fdatasync";
  if (::link(file.c_str(), link.c_str()) != 0) return "hard links";
  if (::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 2 * kProbeBytes) != 0)
    return "preallocation (fallocate)";
  if (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kProbeBytes / 2) != 0)
    return "hole punching";
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) return "file locks";
  return nullptr;
}

}  // namespace

Trouble check_disk(const fs::path& directory) {
  const fs::path file = directory / ".pairfs-probe";
  const fs::path link = directory / ".pairfs-probe-link";
  ::unlink(file.c_str());
  ::unlink(link.c_str());
  const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0)
    return refused(
        "{} cannot hold a cluster: making a file in it fails ({}); use another directory",
        directory.string(), std::strerror(errno));
  const char* missing = missing_ability(file, link, fd);
  const int reason = errno;
  ::close(fd);
  ::unlink(file.c_str());
  ::unlink(link.c_str());
  if (missing == nullptr) return std::nullopt;
  return refused(
      "{} cannot hold a cluster: its filesystem does not carry {} ({}); use a directory on"
      " ext4, XFS, btrfs or tmpfs",
      directory.string(), missing, std::strerror(reason));
}

}  // namespace pairfs::cli
