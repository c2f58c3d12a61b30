#include "node/log/segment_file.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <filesystem>

#include "common/crc32c.h"
#include "common/ensure.h"
#include "node/log/command_log.h"

namespace pairfs {
namespace {

constexpr uint64_t kMagic = 0x474553474f4c4650;  // "PFLOGSEG"
constexpr uint32_t kFormatVersion = 1;

struct HeadBytes {  // the head's first bytes on disk, little-endian
  uint64_t magic;
  uint32_t crc;  // crc32c of what follows, through boot_id
  uint32_t format_version;
  uint64_t cluster_id;
  uint64_t incarnation;
  uint64_t first_sequence;
  uint32_t volume;
  uint32_t previous_chain;
  char boot_id[64];
};
static_assert(sizeof(HeadBytes) == 112);

uint32_t head_crc(const HeadBytes& head) {
  const auto* from = reinterpret_cast<const char*>(&head.format_version);
  const auto* end = reinterpret_cast<const char*>(&head + 1);
  return crc32c({from, static_cast<size_t>(end - from)});
}

[[noreturn]] void fail(const char* what, const std::string& path) {
  throw LogFailure(fmt::format("cannot {} {}: {}", what, path, std::strerror(errno)));
}

void sync_parent(const std::string& path) {
  const std::string parent = std::filesystem::path(path).parent_path().string();
  const int fd = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || ::fsync(fd) != 0) fail("sync the directory", parent);
  ::close(fd);
}

}  // namespace

void SegmentFile::preallocate(const std::string& path, uint64_t size_bytes) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) fail("create", path);
  const int full = ::posix_fallocate(fd, 0, static_cast<off_t>(size_bytes));
  const bool synced = full == 0 && ::fsync(fd) == 0;
  ::close(fd);
  if (full != 0) errno = full;
  if (!synced) fail("preallocate", path);
}

std::shared_ptr<SegmentFile> SegmentFile::open_spare(const std::string& path) {
  auto file = std::make_shared<SegmentFile>();
  file->path = path;
  file->fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file->fd < 0) return nullptr;
  struct stat st{};
  if (::fstat(file->fd, &st) != 0) fail("stat", path);
  file->size_bytes = static_cast<uint64_t>(st.st_size);
  return file;
}

void SegmentFile::adopt(const std::string& new_path, const SegmentHead& new_head) {
  head = new_head;
  write_head();
  if (::rename(path.c_str(), new_path.c_str()) != 0) fail("rename", path);
  path = new_path;
}

void SegmentFile::write_head() {
  HeadBytes bytes{};
  bytes.magic = kMagic;
  bytes.format_version = kFormatVersion;
  bytes.cluster_id = head.cluster_id;
  bytes.incarnation = head.incarnation;
  bytes.first_sequence = head.first_sequence;
  bytes.volume = head.volume.packed();
  bytes.previous_chain = head.previous_chain;
  std::strncpy(bytes.boot_id, head.boot_id.c_str(), sizeof bytes.boot_id - 1);
  bytes.crc = head_crc(bytes);
  Bytes block(kSegmentHeadBytes, '\0');
  std::memcpy(block.data(), &bytes, sizeof bytes);
  const BytesView piece = block;
  write(0, &piece, 1);
}

std::shared_ptr<SegmentFile> SegmentFile::create(const std::string& path, const SegmentHead& head,
                                                 uint64_t size_bytes) {
  preallocate(path, size_bytes);
  auto file = open_spare(path);
  if (file == nullptr) fail("open", path);
  file->head = head;
  file->write_head();
  if (::fdatasync(file->fd) != 0) fail("sync", path);
  sync_parent(path);
  return file;
}

std::shared_ptr<SegmentFile> SegmentFile::open(const std::string& path, uint64_t cluster_id,
                                               VolumeId volume) {
  auto file = std::make_shared<SegmentFile>();
  file->path = path;
  file->fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (file->fd < 0) fail("open", path);
  struct stat st{};
  if (::fstat(file->fd, &st) != 0) fail("stat", path);
  file->size_bytes = static_cast<uint64_t>(st.st_size);
  const Bytes block = file->read(0, kSegmentHeadBytes);
  HeadBytes bytes{};
  if (block.size() < kSegmentHeadBytes) return nullptr;
  std::memcpy(&bytes, block.data(), sizeof bytes);
  if (bytes.magic != kMagic || bytes.crc != head_crc(bytes)) return nullptr;
  if (bytes.format_version != kFormatVersion)
    throw LogFailure(fmt::format("{} has log format {}, this program reads {}", path,
                                 bytes.format_version, kFormatVersion));
  if (bytes.cluster_id != cluster_id || bytes.volume != volume.packed())
    throw LogFailure(fmt::format("{} belongs to volume {} of cluster {:016x}, expected volume {} "
                                 "of cluster {:016x}",
                                 path, to_string(VolumeId::unpack(bytes.volume)),
                                 bytes.cluster_id, to_string(volume), cluster_id));
  bytes.boot_id[sizeof bytes.boot_id - 1] = '\0';
  file->head = {bytes.cluster_id,     volume, bytes.incarnation, bytes.first_sequence,
                bytes.previous_chain, bytes.boot_id};
  return file;
}

SegmentFile::~SegmentFile() {
  if (fd >= 0) ::close(fd);
}

Bytes SegmentFile::read(uint64_t offset, size_t length) const {
  Bytes out(length, '\0');
  size_t done = 0;
  while (done < length) {
    const ssize_t n =
        ::pread(fd, out.data() + done, length - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("read", path);
    if (n == 0) break;
    done += static_cast<size_t>(n);
  }
  out.resize(done);
  return out;
}

void SegmentFile::write(uint64_t offset, const BytesView* pieces, size_t count) {
  std::array<iovec, 8> vectors;
  ENSURE(count <= vectors.size(), "{} pieces", count);
  size_t left = 0;
  for (size_t i = 0; i < count; ++i) {
    vectors[i] = {const_cast<char*>(pieces[i].data()), pieces[i].size()};
    left += pieces[i].size();
  }
  iovec* at = vectors.data();
  while (left > 0) {
    ssize_t n = ::pwritev(fd, at, static_cast<int>(count), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("write", path);
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
  size_bytes = std::max(size_bytes, offset);
}

void SegmentFile::zero_from(uint64_t offset) {
  const uint64_t size = size_bytes;
  if (::ftruncate(fd, static_cast<off_t>(offset)) != 0) fail("cut", path);
  if (size > offset && ::posix_fallocate(fd, 0, static_cast<off_t>(size)) != 0)
    fail("preallocate", path);
  if (::fdatasync(fd) != 0) fail("sync", path);
}

}  // namespace pairfs
