// pairfs-bench-raid: what the RAID levels cost, in one run: the volume store alone, without client,
// router and log, on directories below one directory. MiB/s of sequential writes and reads, and of
// 4 KiB random writes and reads; healthy, with an element missing, and while it is rebuilt. "plain"
// is one file in a plain directory, written and synced in the same steps.
#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <random>

#include "node/store/block.h"
#include "node/store/volume_store.h"

namespace pairfs {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kStepBytes = 16 << 20;
constexpr uint64_t kIoBytes = 1 << 20;

struct Numbers {
  double write = 0, read = 0, random_write = 0, random_read = 0;  // MiB/s
};

double rate(uint64_t bytes, Clock::time_point since) {
  const double seconds = std::chrono::duration<double>(Clock::now() - since).count();
  return static_cast<double>(bytes) / (1 << 20) / std::max(seconds, 1e-9);
}

SharedBytes noise(uint64_t bytes, uint64_t seed) {
  std::mt19937_64 random(seed);
  Bytes out(bytes, '\0');
  for (size_t i = 0; i + 8 <= out.size(); i += 8) {
    const uint64_t word = random();
    std::memcpy(out.data() + i, &word, 8);
  }
  return SharedBytes::from(std::move(out));
}

[[noreturn]] void stop(const std::string& why) {
  fmt::print(stderr, "pairfs-bench-raid: {}\n", why);
  std::exit(1);
}

// A store with consistency points taken as a node takes them.
class Volume {
 public:
  Volume(const std::string& directory, uint8_t level, size_t elements) {
    config_.volume = {1, 0};
    config_.cluster_id = 1;
    config_.raid_level = level;
    for (size_t i = 0; i < elements; ++i)
      config_.elements.push_back(
          {fmt::format("e{}", i), fmt::format("{}/e{}", directory, i), std::string("dir")});
    fs::create_directories(directory);
    open();
  }
  void open() {
    store_.reset();
    std::string why;
    store_ = open_durable_store(config_, ++epoch_, token_, &why);
    if (!store_) stop(why);
  }
  void write(uint64_t offset, const SharedBytes& bytes) {
    Changes changes;
    changes.data.push_back({Changes::Data::What::kWrite, 7, offset, bytes.size(), bytes});
    store_->apply(std::move(changes), ++sequence_);
    if (store_->dirty_bytes() >= kStepBytes) checkpoint();
  }
  void checkpoint() {
    const auto point = store_->freeze();
    auto token = point->run();
    store_->finish(point, token.ok());
    if (!token.ok()) stop(fmt::format("a consistency point failed with errno {}", token.error()));
    token_ = *token;
    store_->confirm(token_);
  }
  void read(uint64_t offset, uint64_t bytes) {
    if (const auto got = store_->plan_read(7, offset, bytes)->run(); !got.ok())
      stop(fmt::format("a read failed with errno {}", got.error()));
  }
  const StoreConfig& config() const { return config_; }
  VolumeStore& store() { return *store_; }

 private:
  StoreConfig config_;
  Epoch epoch_ = 0;
  Sequence sequence_ = 0;
  Bytes token_;
  std::unique_ptr<VolumeStore> store_;
};

class PlainFile {
 public:
  explicit PlainFile(const std::string& directory) {
    fs::create_directories(directory);
    fd_ = ::open((directory + "/file").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd_ < 0) stop("the plain file cannot be made");
  }
  ~PlainFile() { ::close(fd_); }
  void write(uint64_t offset, const SharedBytes& bytes) {
    if (::pwrite(fd_, bytes.view().data(), bytes.size(), static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(bytes.size()))
      stop("the plain file cannot be written");
    if ((dirty_ += bytes.size()) >= kStepBytes) checkpoint();
  }
  void checkpoint() {
    ::fdatasync(fd_);
    dirty_ = 0;
  }
  void read(uint64_t offset, uint64_t bytes) {
    buffer_.resize(bytes);
    if (::pread(fd_, buffer_.data(), bytes, static_cast<off_t>(offset)) !=
        static_cast<ssize_t>(bytes))
      stop("the plain file cannot be read");
  }

 private:
  int fd_;
  uint64_t dirty_ = 0;
  std::vector<char> buffer_;
};

template <class Target>
Numbers measure(Target& target, uint64_t bytes, bool with_writes) {
  Numbers out;
  std::mt19937_64 random(1);
  const SharedBytes large = noise(kIoBytes, 2), small = noise(kBlockBytes, 3);
  const uint64_t blocks = bytes / kBlockBytes, few = std::min<uint64_t>(blocks, 8192);
  if (with_writes) {
    const auto begin = Clock::now();
    for (uint64_t at = 0; at < bytes; at += kIoBytes) target.write(at, large);
    target.checkpoint();
    out.write = rate(bytes, begin);
  }
  auto begin = Clock::now();
  for (uint64_t at = 0; at < bytes; at += kIoBytes) target.read(at, kIoBytes);
  out.read = rate(bytes, begin);
  begin = Clock::now();
  for (uint64_t i = 0; i < few; ++i) target.read(random() % blocks * kBlockBytes, kBlockBytes);
  out.random_read = rate(few * kBlockBytes, begin);
  if (with_writes) {
    begin = Clock::now();
    for (uint64_t i = 0; i < few; ++i) target.write(random() % blocks * kBlockBytes, small);
    target.checkpoint();
    out.random_write = rate(few * kBlockBytes, begin);
  }
  return out;
}

void print(const std::string& name, const Numbers& n) {
  fmt::print("{:<28} {:>8.0f} {:>8.0f} {:>8.1f} {:>8.1f}\n", name, n.write, n.read, n.random_write,
             n.random_read);
  std::fflush(stdout);
}

int run(const std::string& top, uint64_t bytes) {
  fmt::print("{:<28} {:>8} {:>8} {:>8} {:>8}   MiB/s\n", "", "seq w", "seq r", "4K w", "4K r");
  {
    PlainFile plain(top + "/plain");
    print("plain", measure(plain, bytes, true));
  }
  fs::remove_all(top + "/plain");
  for (const uint8_t level : {0, 1, 10, 5, 6}) {
    const size_t elements = level == 1 ? 2 : 4;
    const std::string directory = fmt::format("{}/raid{}", top, level);
    const std::string name = fmt::format("RAID {} over {}", level, elements);
    {
      Volume volume(directory, level, elements);
      print(name, measure(volume, bytes, true));
      if (level != 0) {
        const std::string gone = volume.config().elements[1].path;
        fs::rename(gone, gone + ".away");
        volume.open();
        print(name + ", degraded", measure(volume, bytes, true));
        (void)volume.store().maintenance()->change(
            {ElementWish::What::kReplace, std::string("e1"), {}});
        const auto begin = Clock::now();
        while (volume.store().maintenance()->run(std::chrono::milliseconds(20))) {
        }
        const StoreProgress done = volume.store().status().rebuild;
        fmt::print("{:<28} {:>8.0f}\n", name + ", rebuild",
                   rate(done.total_bytes / elements, begin));
        if (volume.store().status().raid_state != "optimal") stop("the rebuild did not succeed");
      }
    }
    fs::remove_all(directory);
  }
  return 0;
}

}  // namespace
}  // namespace pairfs

int main(int argc, char** argv) {
  if (argc < 2 || argc > 3) {
    fmt::print(stderr,
               "usage: pairfs-bench-raid DIRECTORY [MIB]   (an empty directory; default 256)\n");
    return 2;
  }
  return pairfs::run(argv[1], (argc == 3 ? std::strtoull(argv[2], nullptr, 10) : 256) << 20);
}
