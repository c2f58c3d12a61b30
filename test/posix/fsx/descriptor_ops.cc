// Operations on an open descriptor.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "test/posix/fsx/world.h"

namespace pairfs::fsx {
namespace {

Outcome read_bytes(int fd, int64_t offset, int64_t length, bool at_offset) {
  std::string bytes(static_cast<size_t>(length), '\0');
  Outcome outcome = outcome_of(at_offset ? ::pread(fd, bytes.data(), bytes.size(), offset)
                                         : ::read(fd, bytes.data(), bytes.size()));
  if (outcome.result > 0) outcome.bytes = bytes.substr(0, static_cast<size_t>(outcome.result));
  return outcome;
}

Outcome write_bytes(const Op& op, int fd, bool at_offset) {
  const std::string bytes = data_of(op.seed, op.length);
  return outcome_of(at_offset ? ::pwrite(fd, bytes.data(), bytes.size(), op.offset)
                              : ::write(fd, bytes.data(), bytes.size()));
}

// Where SEEK_DATA and SEEK_HOLE lead may differ between filesystems; what must hold does not:
// what is skipped as a hole is zeros, a hole is not beyond the end, and ENXIO means the end.
Outcome seek_sanity(const Op& op, int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return outcome_of(-1);
  if (!S_ISREG(status.st_mode)) return {};
  const off_t old = ::lseek(fd, 0, SEEK_CUR);
  const off_t data = ::lseek(fd, op.offset, SEEK_DATA);
  const int data_error = data < 0 ? errno : 0;
  const off_t hole = ::lseek(fd, op.offset, SEEK_HOLE);
  const int hole_error = hole < 0 ? errno : 0;
  ::lseek(fd, old, SEEK_SET);
  Outcome outcome;
  if (op.offset >= status.st_size) {
    outcome.bytes = std::string(strerrorname_np(data_error)) + " " + strerrorname_np(hole_error);
    return outcome;
  }
  if (hole_error != 0 || hole < op.offset || hole > status.st_size) outcome.bytes = "bad hole";
  if (data_error != 0 && data_error != ENXIO) outcome.bytes = strerrorname_np(data_error);
  if (data_error == 0 && (data < op.offset || data >= status.st_size)) outcome.bytes = "bad data";
  const off_t skipped_to = data_error == ENXIO ? status.st_size : data;
  const off_t length = std::min<off_t>(skipped_to - op.offset, 1 << 20);
  if (length > 0 && (::fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) {
    const Outcome skipped = read_bytes(fd, op.offset, length, true);
    if (skipped.bytes.find_first_not_of('\0') != std::string::npos) outcome.bytes = "data skipped";
  }
  return outcome;
}

bool may_copy(int fd, int other_fd) {
  const int from = ::fcntl(fd, F_GETFL), to = ::fcntl(other_fd, F_GETFL);
  return (from & O_ACCMODE) != O_WRONLY && (to & O_ACCMODE) != O_RDONLY && (to & O_APPEND) == 0;
}

// Ranges of one file overlap, which the kernel does not see when its descriptors are of two mounts.
// A range ends at the file's end before that is looked at, and the descriptors' modes come first.
// Also the point at which the source's kernel hears of a size that another mount has changed.
bool is_hidden_overlap(off_t in, off_t out, int64_t length, int fd, int other_fd) {
  struct stat from {
  }, to{};
  if (::fstat(fd, &from) != 0 || ::fstat(other_fd, &to) != 0) return false;
  length = std::min<int64_t>(length, from.st_size - in);
  return from.st_dev != to.st_dev && from.st_ino == to.st_ino && length > 0 && in < out + length &&
         out < in + length && may_copy(fd, other_fd);
}

Outcome copy_range(const Op& op, int fd, int other_fd) {
  if (other_fd < 0) return {};
  off_t in = op.offset, out = op.offset2;
  Outcome outcome;
  int64_t left = op.length;
  while (left > 0) {
    ssize_t count = -1;
    if (is_hidden_overlap(in, out, left, fd, other_fd))
      errno = EINVAL;
    else
      count = ::copy_file_range(fd, &in, other_fd, &out, static_cast<size_t>(left), 0);
    if (count < 0 && outcome.result == 0) return outcome_of(-1);
    if (count <= 0) break;
    outcome.result += count;
    left -= count;
  }
  return outcome;
}

Outcome map_bytes(const Op& op, int fd) {
  struct stat status {};
  // Also the point at which another mount's change becomes visible to a mapping.
  if (::fstat(fd, &status) != 0) return outcome_of(-1);
  if (!S_ISREG(status.st_mode)) return {};
  const off_t offset = op.offset & ~off_t{4095};
  const off_t length = std::min<off_t>(op.length, status.st_size - offset);
  if (length <= 0) return {};
  const bool store = op.kind != Kind::map_read;
  const bool share = op.kind != Kind::map_write_private;
  void* address =
      ::mmap(nullptr, static_cast<size_t>(length), store ? PROT_READ | PROT_WRITE : PROT_READ,
             share ? MAP_SHARED : MAP_PRIVATE, fd, offset);
  if (address == MAP_FAILED) return outcome_of(-1);
  Outcome outcome;
  if (store) std::memcpy(address, data_of(op.seed, length).data(), static_cast<size_t>(length));
  outcome.bytes.assign(static_cast<const char*>(address), static_cast<size_t>(length));
  if (store && share) outcome.result = ::msync(address, static_cast<size_t>(length), MS_SYNC);
  ::munmap(address, static_cast<size_t>(length));
  return outcome;
}

Outcome lock_range(const Op& op, int fd) {
  struct flock lock {};
  lock.l_type = static_cast<short>(op.flags);
  lock.l_whence = SEEK_SET;
  lock.l_start = op.offset;
  lock.l_len = op.length;
  return outcome_of(::fcntl(fd, F_OFD_SETLK, &lock));
}

}  // namespace

// Times set by hand lie before 2005, so that they can be compared as they are.
void times_of(const Op& op, timespec (&times)[2]) {
  const timespec choices[3] = {
      {0, UTIME_NOW},
      {0, UTIME_OMIT},
      {static_cast<time_t>(op.seed % 1000000000), static_cast<long>(op.seed / 7 % 1000000000)}};
  times[0] = choices[op.flags % 3];
  times[1] = choices[op.flags / 3 % 3];
}

Outcome play_on_descriptor(const Op& op, int fd, int other_fd) {
  switch (op.kind) {
    case Kind::pread:
      return read_bytes(fd, op.offset, op.length, true);
    case Kind::read:
      return read_bytes(fd, 0, op.length, false);
    case Kind::pwrite:
      return write_bytes(op, fd, true);
    case Kind::write:
      return write_bytes(op, fd, false);
    case Kind::lseek: {
      struct stat status {};
      if (::fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) return {};
      return outcome_of(::lseek(fd, op.offset, op.flags));
    }
    case Kind::ftruncate:
      return outcome_of(::ftruncate(fd, op.length));
    case Kind::fallocate:
      return outcome_of(::fallocate(fd, op.flags, op.offset, op.length));
    case Kind::seek_sanity:
      return seek_sanity(op, fd);
    case Kind::copy_file_range:
      return copy_range(op, fd, other_fd);
    case Kind::map_read:
    case Kind::map_write_shared:
    case Kind::map_write_private:
      return map_bytes(op, fd);
    case Kind::fsync:
      return outcome_of(op.seed % 2 == 0 ? ::fsync(fd) : ::fdatasync(fd));
    case Kind::fchmod:
      return outcome_of(::fchmod(fd, op.mode));
    case Kind::fchown:
      return outcome_of(::fchown(fd, op.mode, op.group));
    case Kind::futimens: {
      timespec times[2];
      times_of(op, times);
      return outcome_of(::futimens(fd, times));
    }
    case Kind::flock:
      return outcome_of(::flock(fd, op.flags));
    case Kind::range_lock:
      return lock_range(op, fd);
    default:
      return {};
  }
}

}  // namespace pairfs::fsx
