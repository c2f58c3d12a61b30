#include "bench/works.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <string_view>
#include <vector>

namespace pairfs::bench {
namespace {

constexpr uint64_t kBlock = 4096, kMiB = 1 << 20;

long must(long result, const std::string& what) {
  if (result >= 0) return result;
  std::fprintf(stderr, "%s: %s\n", what.c_str(), std::strerror(errno));
  std::_Exit(1);
}

std::string file_name(const WorkOptions& options, const char* prefix, uint64_t number) {
  return options.dir + "/" + prefix + std::to_string(number);
}

std::string data_file(const WorkOptions& options) { return options.dir + "/data"; }

// Bytes that do not compress; the same for every operation.
const std::vector<char>& noise() {
  static const std::vector<char> bytes = [] {
    std::vector<char> made(kMiB);
    uint64_t state = 88172645463325252u;
    for (char& byte : made) {
      state ^= state << 13;
      state ^= state >> 7;
      state ^= state << 17;
      byte = static_cast<char>(state);
    }
    return made;
  }();
  return bytes;
}

class File {
 public:
  File(const std::string& path, int flags)
      : path_(path), fd_(static_cast<int>(must(::open(path.c_str(), flags, 0644), path))) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }
  operator int() const { return fd_; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
  int fd_;
};

void write_small(const std::string& path, bool sync) {
  File file(path, O_WRONLY | O_CREAT | O_EXCL);
  must(::write(file, noise().data(), kBlock), path);
  if (sync) must(::fsync(file), path);
}

void read_small(const std::string& path) {
  char block[kBlock];
  File file(path, O_RDONLY);
  must(::read(file, block, sizeof block), path);
}

// One whole listing with a stat of every entry; each entry counts as an operation.
class Listing {
 public:
  explicit Listing(const WorkOptions& options) : dir_(options.dir) {}
  Listing(const Listing&) = delete;
  Listing& operator=(const Listing&) = delete;
  ~Listing() {
    if (stream_ != nullptr) ::closedir(stream_);
  }
  bool next() {
    if (stream_ == nullptr) stream_ = ::opendir(dir_.c_str());
    if (stream_ == nullptr) must(-1, dir_);
    const dirent* entry = ::readdir(stream_);
    if (entry == nullptr) return false;
    struct stat status {};
    must(::fstatat(::dirfd(stream_), entry->d_name, &status, AT_SYMLINK_NOFOLLOW), entry->d_name);
    return true;
  }

 private:
  std::string dir_;
  DIR* stream_ = nullptr;
};

std::function<bool(uint64_t)> on_names(const WorkOptions& options,
                                       const std::function<long(uint64_t)>& call) {
  return [options, call](uint64_t i) {
    must(call(i), options.dir + " operation " + std::to_string(i));
    return i + 1 < options.files;
  };
}

std::function<bool(uint64_t)> sequential(const WorkOptions& options, bool write) {
  auto file =
      std::make_shared<File>(data_file(options), write ? O_RDWR | O_CREAT | O_TRUNC : O_RDONLY);
  auto block = std::make_shared<std::vector<char>>(noise());
  return [=](uint64_t i) {
    const auto offset = static_cast<off_t>(i * kMiB);
    const long count = write ? ::pwrite(*file, block->data(), kMiB, offset)
                             : ::pread(*file, block->data(), kMiB, offset);
    must(count, file->path());
    return (i + 2) * kMiB <= options.file_bytes;
  };
}

std::function<bool(uint64_t)> random_access(const WorkOptions& options, bool write, bool sync) {
  auto file = std::make_shared<File>(data_file(options), O_RDWR);
  ::posix_fadvise(*file, 0, 0, POSIX_FADV_RANDOM);
  return [=](uint64_t i) {
    char block[kBlock];
    const uint64_t place = (i + 1 + options.process * 7919) * 0x9e3779b97f4a7c15u;
    const auto offset = static_cast<off_t>((place >> 20) % (options.file_bytes / kBlock) * kBlock);
    must(write ? ::pwrite(*file, noise().data() + (i % 200) * kBlock, kBlock, offset)
               : ::pread(*file, block, kBlock, offset),
         file->path());
    if (sync) must(::fsync(*file), file->path());
    return true;
  };
}

using Maker = std::function<std::function<bool(uint64_t)>(const WorkOptions&)>;

struct Kind {
  uint64_t bytes;
  Maker make;
};

// A work on numbered names.
template <typename Call>
Kind names(uint64_t bytes, Call call) {
  return {bytes, [call](const WorkOptions& options) {
            return on_names(options, [options, call](uint64_t i) { return call(options, i); });
          }};
}

std::map<std::string, Kind, std::less<>> make_kinds() {
  std::map<std::string, Kind, std::less<>> kinds;
  kinds["create"] = names(0, [](const WorkOptions& o, uint64_t i) -> long {
    File file(file_name(o, "f", i), O_WRONLY | O_CREAT | O_EXCL);
    return 0;
  });
  kinds["stat"] = names(0, [](const WorkOptions& o, uint64_t i) -> long {
    struct stat status {};
    return ::stat(file_name(o, "f", i).c_str(), &status);
  });
  kinds["rename"] = names(0, [](const WorkOptions& o, uint64_t i) -> long {
    return ::rename(file_name(o, "f", i).c_str(), file_name(o, "g", i).c_str());
  });
  kinds["unlink"] = names(0, [](const WorkOptions& o, uint64_t i) -> long {
    return ::unlink(file_name(o, "g", i).c_str());
  });
  kinds["mkdir"] = names(0, [](const WorkOptions& o, uint64_t i) -> long {
    return ::mkdir(file_name(o, "d", i).c_str(), 0755);
  });
  kinds["small_write"] = names(kBlock, [](const WorkOptions& o, uint64_t i) -> long {
    write_small(file_name(o, "s", i), false);
    return 0;
  });
  kinds["small_write_sync"] = names(kBlock, [](const WorkOptions& o, uint64_t i) -> long {
    write_small(file_name(o, "y", i), true);
    return 0;
  });
  kinds["small_read"] = names(kBlock, [](const WorkOptions& o, uint64_t i) -> long {
    read_small(file_name(o, "s", i));
    return 0;
  });
  kinds["list"] = {0, [](const WorkOptions& o) -> std::function<bool(uint64_t)> {
                     auto listing = std::make_shared<Listing>(o);
                     return [listing](uint64_t) { return listing->next(); };
                   }};
  kinds["write"] = {kMiB, [](const WorkOptions& o) { return sequential(o, true); }};
  kinds["write_sync"] = kinds["write"];
  kinds["read"] = {kMiB, [](const WorkOptions& o) { return sequential(o, false); }};
  kinds["random_read"] = {kBlock,
                          [](const WorkOptions& o) { return random_access(o, false, false); }};
  kinds["random_write"] = {kBlock,
                           [](const WorkOptions& o) { return random_access(o, true, false); }};
  kinds["random_write_sync"] = {kBlock,
                                [](const WorkOptions& o) { return random_access(o, true, true); }};
  return kinds;
}

const Kind* find_kind(const std::string& work) {
  static const auto kinds = make_kinds();
  const auto at = kinds.find(work);
  return at == kinds.end() ? nullptr : &at->second;
}

}  // namespace

bool is_work(const std::string& work) { return find_kind(work) != nullptr; }

uint64_t bytes_per_operation(const std::string& work) { return find_kind(work)->bytes; }

std::function<bool(uint64_t)> make_work(const std::string& work, const WorkOptions& options) {
  return find_kind(work)->make(options);
}

void finish_work(const std::string& work, const WorkOptions& options) {
  if (work != "write_sync") return;
  File file(data_file(options), O_RDWR);
  must(::fsync(file), file.path());
}

}  // namespace pairfs::bench
