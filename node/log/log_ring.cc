#include "node/log/log_ring.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>

#include "common/ensure.h"
#include "common/logging.h"

namespace pairfs {
namespace {

constexpr uint64_t kMagic = 0x474e49524f4c4650;  // "PFLORING"
constexpr uint32_t kFormatVersion = 1;
constexpr size_t kHeadBytes = 4096;
constexpr size_t kRingBytes = 8 << 20;
// The gate: bit 63 is set while the ring is open; the rest counts the octets ever published.
constexpr uint64_t kOpen = uint64_t{1} << 63;

// The head's first bytes. Gate and taken have a cache line each, as two processes write them.
struct Head {
  uint64_t magic;
  uint32_t format_version;
  uint32_t volume;
  uint64_t cluster_id;
  uint64_t epoch;
  uint64_t executor;
  uint64_t logger;
  uint64_t boot;
  uint64_t reserved;
  alignas(64) uint64_t gate;
  alignas(64) uint64_t taken;  // octets that are in the logger's log
};
static_assert(sizeof(Head) == 192);

Head& head_of(RingMemory& memory) { return *reinterpret_cast<Head*>(memory.data()); }
std::atomic_ref<uint64_t> gate_of(RingMemory& memory) {
  return std::atomic_ref(head_of(memory).gate);
}
std::atomic_ref<uint64_t> taken_of(RingMemory& memory) {
  return std::atomic_ref(head_of(memory).taken);
}
uint64_t capacity_of(const RingMemory& memory) { return memory.size_bytes() - kHeadBytes; }

class FileMemory final : public RingMemory {
 public:
  FileMemory(char* data, size_t size) : data_(data), size_(size) {}
  ~FileMemory() override { ::munmap(data_, size_); }
  char* data() override { return data_; }
  size_t size_bytes() const override { return size_; }

 private:
  char* const data_;
  const size_t size_;
};

std::shared_ptr<RingMemory> map_file(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0 || status.st_size <= static_cast<off_t>(kHeadBytes)) return nullptr;
  const auto size = static_cast<size_t>(status.st_size);
  void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) return nullptr;
  return std::make_shared<FileMemory>(static_cast<char*>(memory), size);
}

class RingDirectory final : public RingPlace {
 public:
  RingDirectory(std::string directory, std::string node, std::string partner)
      : directory_(std::move(directory)), node_(std::move(node)), partner_(std::move(partner)) {}

  // A new file each time: who still has the old one mapped writes into nobody's memory.
  std::shared_ptr<RingMemory> make(VolumeId volume) override {
    const std::string path = path_of(node_, volume), fresh = path + ".new";
    const int fd = ::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    std::shared_ptr<RingMemory> memory;
    int error = fd < 0 ? errno : ::posix_fallocate(fd, 0, kHeadBytes + kRingBytes);
    if (error == 0 && (memory = map_file(fd)) == nullptr) error = errno;
    if (fd >= 0) ::close(fd);
    if (error == 0 && ::rename(fresh.c_str(), path.c_str()) != 0) error = errno;
    if (error == 0) return memory;
    log_warn("ring.unusable", "path={} error=\"{}\"", path, std::strerror(error));
    ::unlink(fresh.c_str());
    return nullptr;
  }
  std::shared_ptr<RingMemory> own(VolumeId volume) override { return find(path_of(node_, volume)); }
  std::shared_ptr<RingMemory> partner(VolumeId volume) override {
    return find(path_of(partner_, volume));
  }

 private:
  std::string path_of(const std::string& node, VolumeId volume) const {
    return directory_ + "/" + node + "." + to_string(volume) + ".ring";
  }
  static std::shared_ptr<RingMemory> find(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) return nullptr;
    auto memory = map_file(fd);
    ::close(fd);
    return memory;
  }
  const std::string directory_, node_, partner_;
};

}  // namespace

std::shared_ptr<RingPlace> open_ring_directory(std::string directory, std::string node,
                                               std::string partner) {
  return std::make_shared<RingDirectory>(std::move(directory), std::move(node), std::move(partner));
}

// ---- the logger's end -------------------------------------------------------------------------

LogRingReader::LogRingReader(std::shared_ptr<RingMemory> memory, RingTerms terms)
    : memory_(std::move(memory)), terms_(terms) {}

LogRingReader::LogRingReader(std::shared_ptr<RingMemory> memory, const RingTerms& terms,
                             uint64_t boot)
    : LogRingReader(std::move(memory), terms) {
  Head& head = head_of(*memory_);
  head.format_version = kFormatVersion;
  head.volume = terms.volume.packed();
  head.cluster_id = terms.cluster_id;
  head.epoch = terms.epoch;
  head.executor = terms.executor;
  head.logger = terms.logger;
  head.boot = boot;
  head.taken = 0;
  head.magic = kMagic;
  gate_of(*memory_).store(kOpen, std::memory_order_release);
}

std::unique_ptr<LogRingReader> LogRingReader::recover(std::shared_ptr<RingMemory> memory,
                                                      uint64_t cluster_id, VolumeId volume,
                                                      uint64_t boot) {
  if (memory == nullptr) return nullptr;
  const Head& head = head_of(*memory);
  if (head.magic != kMagic || head.format_version != kFormatVersion ||
      head.volume != volume.packed() || head.cluster_id != cluster_id || head.boot != boot)
    return nullptr;
  const RingTerms terms{cluster_id, volume, head.epoch, head.executor, head.logger};
  std::unique_ptr<LogRingReader> ring(new LogRingReader(std::move(memory), terms));
  ring->close();
  return ring;
}

void LogRingReader::close() { gate_of(*memory_).fetch_and(~kOpen, std::memory_order_acq_rel); }

bool LogRingReader::drain(const std::function<bool(SharedBytes records)>& take) {
  const uint64_t published = gate_of(*memory_).load(std::memory_order_acquire) & ~kOpen;
  const uint64_t taken = taken_of(*memory_).load(std::memory_order_relaxed);
  if (taken == published) return true;
  const uint64_t capacity = capacity_of(*memory_), count = published - taken;
  if (count > capacity) return false;
  const size_t at = taken % capacity;
  const char* ring = memory_->data() + kHeadBytes;
  SharedBytes records;
  if (at + count <= capacity) {
    records = {memory_, {ring + at, count}};
  } else {
    Bytes whole(ring + at, capacity - at);
    whole.append(ring, count - whole.size());
    records = SharedBytes::from(std::move(whole));
  }
  if (!take(std::move(records))) return false;
  taken_of(*memory_).store(published, std::memory_order_release);
  return true;
}

// ---- the executor's end -----------------------------------------------------------------------

LogRingWriter::LogRingWriter(std::shared_ptr<RingMemory> memory, const RingTerms& terms,
                             uint64_t gate)
    : memory_(std::move(memory)), terms_(terms), gate_(gate) {}

std::unique_ptr<LogRingWriter> LogRingWriter::attach(std::shared_ptr<RingMemory> memory,
                                                     const RingTerms& terms) {
  if (memory == nullptr) return nullptr;
  const uint64_t gate = gate_of(*memory).load(std::memory_order_acquire);
  const Head& head = head_of(*memory);
  if ((gate & kOpen) == 0 || head.magic != kMagic || head.format_version != kFormatVersion)
    return nullptr;
  const RingTerms there{head.cluster_id, VolumeId::unpack(head.volume), head.epoch, head.executor,
                        head.logger};
  if (there != terms) return nullptr;
  return std::unique_ptr<LogRingWriter>(new LogRingWriter(std::move(memory), terms, gate));
}

bool LogRingWriter::publish(const std::vector<BytesView>& pieces) {
  uint64_t total = 0;
  for (const BytesView piece : pieces) total += piece.size();
  const uint64_t capacity = capacity_bytes();
  if (waiting_bytes() + total > capacity) return false;
  char* ring = memory_->data() + kHeadBytes;
  uint64_t position = gate_ & ~kOpen;
  for (BytesView piece : pieces) {
    while (!piece.empty()) {
      const size_t at = position % capacity;
      const size_t part = std::min<uint64_t>(piece.size(), capacity - at);
      std::memcpy(ring + at, piece.data(), part);
      piece.remove_prefix(part);
      position += part;
    }
  }
  uint64_t expected = gate_;
  if (!gate_of(*memory_).compare_exchange_strong(expected, position | kOpen,
                                                 std::memory_order_acq_rel))
    return false;
  gate_ = position | kOpen;
  return true;
}

uint64_t LogRingWriter::waiting_bytes() const {
  return (gate_ & ~kOpen) - taken_of(*memory_).load(std::memory_order_acquire);
}
uint64_t LogRingWriter::capacity_bytes() const { return capacity_of(*memory_); }
bool LogRingWriter::open() const {
  return gate_of(*memory_).load(std::memory_order_acquire) == gate_;
}

}  // namespace pairfs
