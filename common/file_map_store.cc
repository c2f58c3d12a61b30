// The file `map` in the store's directory holds all records. It is never changed in place: a new
// one is written beside it, synced, renamed over it, and the directory is synced. Its bytes are in
// docs/router.md:
//   0   8  "PFSMAP\r\n"
//   8   4  format version, 1
//   12  4  crc32c of the length and the payload
//   16  8  length of the payload
//   24     payload: an encoded MapReadReply
// The file `lock` is locked as long as the store is open.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "common/codec.h"
#include "common/crc32c.h"
#include "common/ensure.h"
#include "common/logging.h"
#include "common/map_store.h"

namespace pairfs {
namespace {

constexpr BytesView kMagic = "PFSMAP\r\n";
constexpr uint32_t kFormatVersion = 1;
constexpr size_t kPrefixBytes = 24;

class FileDescriptor {
 public:
  explicit FileDescriptor(int fd) : fd_(fd) {}
  ~FileDescriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  int get() const { return fd_; }
  int release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

std::string problem(const std::string& what, const std::string& path) {
  return fmt::format("cannot {} {}: {}", what, path, std::strerror(errno));
}

bool sync_directory(const std::string& path) {
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return fd.get() >= 0 && ::fsync(fd.get()) == 0;
}

bool write_all(int fd, BytesView bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

bool read_all(int fd, Bytes* out) {
  char buffer[65536];
  for (;;) {
    const ssize_t count = ::read(fd, buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return count == 0;
    out->append(buffer, static_cast<size_t>(count));
  }
}

Bytes encode_file(const MapReadReply& map) {
  const Bytes payload = encode(map);
  const uint64_t length = payload.size();
  const BytesView length_bytes(reinterpret_cast<const char*>(&length), sizeof length);
  const uint32_t crc = crc32c(payload, crc32c(length_bytes));
  Bytes out(kMagic);
  out.append(reinterpret_cast<const char*>(&kFormatVersion), 4);
  out.append(reinterpret_cast<const char*>(&crc), 4);
  out.append(length_bytes);
  out.append(payload);
  return out;
}

// nullptr: fine.
const char* decode_file(BytesView bytes, MapReadReply* out) {
  if (bytes.size() < kPrefixBytes || bytes.substr(0, 8) != kMagic) return "is no map of pairfs";
  uint32_t version = 0, crc = 0;
  uint64_t length = 0;
  std::memcpy(&version, bytes.data() + 8, 4);
  std::memcpy(&crc, bytes.data() + 12, 4);
  std::memcpy(&length, bytes.data() + 16, 8);
  if (version != kFormatVersion) return "was written by another version of pairfs";
  const BytesView payload = bytes.substr(kPrefixBytes);
  if (length != payload.size() || crc != crc32c(payload, crc32c(bytes.substr(16, 8))))
    return "is damaged (wrong length or crc)";
  auto map = decode<MapReadReply>(payload);
  if (!map) return "is damaged (no map inside)";
  *out = std::move(*map);
  return nullptr;
}

class FileMapStoreImpl final : public FileMapStore {
 public:
  FileMapStoreImpl(std::string directory, int lock_fd, MapReadReply map)
      : directory_(std::move(directory)), lock_(lock_fd), map_(std::move(map)) {}

  uint64_t map_version() const override { return map_.map_version; }
  const std::vector<MapEntry>& entries() const override { return map_.entries; }

  MapSwapReply swap(const MapSwap& request) override {
    const auto at = std::lower_bound(
        map_.entries.begin(), map_.entries.end(), request.key,
        [](const MapEntry& entry, const ShortText& key) { return entry.key < key; });
    const bool present = at != map_.entries.end() && at->key == request.key;
    const uint64_t version = present ? at->version : 0;
    MapEntry old;
    if (present) {
      old = *at;
    } else {
      old.key = request.key;
    }
    const bool full = !present && map_.entries.size() >= decltype(map_.entries)::kMaxItems;
    if (version != request.expected_version || request.key.empty() || full)
      return {false, map_.map_version, std::move(old)};

    MapReadReply next = map_;
    ++next.map_version;
    MapEntry fresh;
    fresh.key = request.key;
    fresh.version = version + 1;
    fresh.value = request.value;
    const auto place = next.entries.begin() + (at - map_.entries.begin());
    if (present) {
      *place = fresh;
    } else {
      next.entries.insert(place, fresh);
    }
    if (!write_file(encode_file(next))) return {false, map_.map_version, std::move(old)};
    map_ = std::move(next);
    return {true, map_.map_version, std::move(fresh)};
  }

  bool adopt(const MapReadReply& map) override {
    if (map.map_version < map_.map_version || !write_file(encode_file(map))) return false;
    map_ = map;
    return true;
  }

 private:
  // False: nothing has changed. A failure whose effect cannot be told ends the process: the next
  // start reads what is there.
  bool write_file(const Bytes& bytes) {
    const std::string path = directory_ + "/map", temporary = path + ".new";
    {
      const FileDescriptor fd(
          ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      if (fd.get() < 0 || !write_all(fd.get(), bytes) || ::fsync(fd.get()) != 0) {
        log_error("map.write_failed", "path={} error=\"{}\"", temporary, std::strerror(errno));
        ::unlink(temporary.c_str());
        return false;
      }
    }
    if (::rename(temporary.c_str(), path.c_str()) != 0) {
      log_error("map.write_failed", "path={} error=\"{}\"", path, std::strerror(errno));
      return false;
    }
    ENSURE(sync_directory(directory_), "cannot sync {}: {}", directory_, std::strerror(errno));
    return true;
  }

  const std::string directory_;
  const FileDescriptor lock_;
  MapReadReply map_;
};

}  // namespace

// A predecessor that was killed keeps it until the last of its threads is gone, which a slow disk
// delays.
static bool take_lock(int fd) {
  const Instant end = boot_now() + std::chrono::seconds(2);
  while (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK || boot_now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return true;
}

std::unique_ptr<FileMapStore> FileMapStore::open(const std::string& directory, std::string* why) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) {
    *why = problem("make the directory", directory);
    return nullptr;
  }
  const std::string lock_path = directory + "/lock", path = directory + "/map";
  FileDescriptor lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (lock.get() < 0) {
    *why = problem("open", lock_path);
    return nullptr;
  }
  if (!take_lock(lock.get())) {
    *why = errno == EWOULDBLOCK
               ? fmt::format("the map in {} is in use by another process; stop it first", directory)
               : problem("lock", lock_path);
    return nullptr;
  }
  MapReadReply map;
  const FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0 && errno != ENOENT) {
    *why = problem("open", path);
    return nullptr;
  }
  if (fd.get() >= 0) {
    Bytes bytes;
    if (!read_all(fd.get(), &bytes)) {
      *why = problem("read", path);
      return nullptr;
    }
    if (const char* damage = decode_file(bytes, &map)) {
      *why = fmt::format("{} {}; it was left as it is", path, damage);
      return nullptr;
    }
  }
  // The directory's own name must survive a power loss as well as what is in it.
  const size_t slash = directory.find_last_not_of('/');
  const size_t cut = directory.rfind('/', slash);
  const std::string parent = cut == std::string::npos ? "." : directory.substr(0, cut + 1);
  if (!sync_directory(directory) || !sync_directory(parent)) {
    *why = problem("sync", directory);
    return nullptr;
  }
  return std::make_unique<FileMapStoreImpl>(directory, lock.release(), std::move(map));
}

}  // namespace pairfs
