#include "test/support/simulated_disk.h"

#include <algorithm>
#include <cstring>

namespace pairfs::test {
namespace {
constexpr uint64_t kSector = 512, kBlock = 4096;
}  // namespace

class SimulatedElement final : public Element {
 public:
  SimulatedElement(SimulatedDisks& disks, size_t index) : disks_(disks), index_(index) {}

  Result<size_t> read(const std::string& name, uint64_t offset, std::span<char> into) override {
    std::lock_guard lock(disks_.mutex_);
    auto file = disks_.find(disk(), name);
    if (gone()) return Errno{EIO};
    if (!file) return Errno{ENOENT};
    if (offset >= file->now.size()) return size_t{0};
    const size_t count = std::min<size_t>(into.size(), file->now.size() - offset);
    std::memcpy(into.data(), file->now.data() + offset, count);
    return count;
  }

  Status write(const std::string& name, uint64_t offset,
               std::span<const BytesView> parts) override {
    std::lock_guard lock(disks_.mutex_);
    if (int error = disks_.before_change(disk(), true)) return Errno{error};
    std::string base;
    auto* directory = disks_.directory_of(disk(), name, &base);
    if (directory == nullptr) return Errno{ENOENT};
    auto& file = directory->now[base];
    if (!file) file = std::make_shared<SimulatedDisks::File>();
    for (BytesView part : parts) {
      if (part.empty()) continue;
      if (file->now.size() < offset + part.size()) file->now.resize(offset + part.size());
      std::memcpy(file->now.data() + offset, part.data(), part.size());
      for (uint64_t b = offset / kBlock; b * kBlock < offset + part.size(); ++b) {
        file->allocated.insert(b);
      }
      offset += part.size();
    }
    return success();
  }

  Status sync(const std::string& name) override {
    std::lock_guard lock(disks_.mutex_);
    if (int error = disks_.before_change(disk(), false)) return Errno{error};
    auto file = disks_.find(disk(), name);
    if (!file) return Errno{ENOENT};
    file->durable = file->now;
    return success();
  }

  Status sync_directory(const std::string& name) override {
    std::lock_guard lock(disks_.mutex_);
    if (int error = disks_.before_change(disk(), false)) return Errno{error};
    if (name.empty()) {
      disk().root.durable = disk().root.now;
      disk().durable_directories = disk().directories;
      return success();
    }
    auto it = disk().directories.find(name);
    if (it == disk().directories.end()) return Errno{ENOENT};
    it->second->durable = it->second->now;
    return success();
  }

  Result<uint64_t> size(const std::string& name) override {
    std::lock_guard lock(disks_.mutex_);
    if (gone()) return Errno{EIO};
    auto file = disks_.find(disk(), name);
    if (!file) return Errno{ENOENT};
    return uint64_t{file->now.size()};
  }

  Result<std::vector<Entry>> list(const std::string& name) override {
    std::lock_guard lock(disks_.mutex_);
    if (gone()) return Errno{EIO};
    std::vector<Entry> entries;
    const SimulatedDisks::Names* names = &disk().root.now;
    if (name.empty()) {
      for (const auto& [directory, content] : disk().directories) {
        entries.push_back({directory, 0, true});
      }
    } else {
      auto it = disk().directories.find(name);
      if (it == disk().directories.end()) return Errno{ENOENT};
      names = &it->second->now;
    }
    for (const auto& [file_name, file] : *names) {
      entries.push_back({file_name, file->now.size(), false});
    }
    return entries;
  }

  Status make_directory(const std::string& name) override {
    std::lock_guard lock(disks_.mutex_);
    if (int error = disks_.before_change(disk(), true)) return Errno{error};
    auto [it, made] = disk().directories.try_emplace(name);
    if (!made) return Errno{EEXIST};
    it->second = std::make_shared<SimulatedDisks::Directory>();
    return success();
  }

  Status rename(const std::string& from, const std::string& to) override {
    std::lock_guard lock(disks_.mutex_);
    if (int error = disks_.before_change(disk(), false)) return Errno{error};
    if (auto node = disk().directories.extract(from); !node.empty()) {
      node.key() = to;
      return disk().directories.insert(std::move(node)).inserted ? success()
                                                                 : Status(Errno{ENOTEMPTY});
    }
    std::string from_base, to_base;
    auto* source = disks_.directory_of(disk(), from, &from_base);
    auto* target = disks_.directory_of(disk(), to, &to_base);
    auto file = disks_.find(disk(), from);
    if (!file || target == nullptr) return Errno{ENOENT};
    source->now.erase(from_base);
    target->now[to_base] = std::move(file);
    return success();
  }

  Status link(const std::string& from, const std::string& to) override {
    std::lock_guard lock(disks_.mutex_);
    if (int error = disks_.before_change(disk(), true)) return Errno{error};
    std::string base;
    auto* target = disks_.directory_of(disk(), to, &base);
    auto file = disks_.find(disk(), from);
    if (!file || target == nullptr) return Errno{ENOENT};
    return target->now.emplace(base, std::move(file)).second ? success() : Status(Errno{EEXIST});
  }

  Status unlink(const std::string& name) override {
    std::lock_guard lock(disks_.mutex_);
    if (int error = disks_.before_change(disk(), false)) return Errno{error};
    if (auto it = disk().directories.find(name); it != disk().directories.end()) {
      if (!it->second->now.empty()) return Errno{ENOTEMPTY};
      disk().directories.erase(it);
      return success();
    }
    std::string base;
    auto* directory = disks_.directory_of(disk(), name, &base);
    if (directory == nullptr || directory->now.erase(base) == 0) return Errno{ENOENT};
    return success();
  }

  Status punch(const std::string& name, uint64_t offset, uint64_t length) override {
    std::lock_guard lock(disks_.mutex_);
    if (int error = disks_.before_change(disk(), false)) return Errno{error};
    auto file = disks_.find(disk(), name);
    if (!file) return Errno{ENOENT};
    if (offset >= file->now.size()) return success();
    const uint64_t end = std::min<uint64_t>(file->now.size(), offset + length);
    std::memset(file->now.data() + offset, 0, end - offset);
    for (uint64_t b = (offset + kBlock - 1) / kBlock; (b + 1) * kBlock <= offset + length; ++b) {
      file->allocated.erase(b);
    }
    return success();
  }

  Result<Space> space() override {
    std::lock_guard lock(disks_.mutex_);
    if (gone()) return Errno{EIO};
    return Space{index_ + 1, 1ULL << 40, 1ULL << 39};
  }
  Result<uint64_t> used_bytes() override { return disks_.allocated_bytes(index_); }

 private:
  SimulatedDisks::Disk& disk() { return disks_.disks_[index_]; }
  bool gone() { return disk().broken; }  // of a stopped machine nobody sees what it reads

  SimulatedDisks& disks_;
  const size_t index_;
};

SimulatedDisks::SimulatedDisks(size_t count, uint64_t seed) : disks_(count), random_(seed) {}

std::unique_ptr<Element> SimulatedDisks::element(size_t index) {
  return std::make_unique<SimulatedElement>(*this, index);
}

int SimulatedDisks::before_change(Disk& disk, bool needs_space) {
  if (disk.broken || changes_ >= stop_at_) return EIO;
  ++changes_;
  return needs_space && changes_ > fill_at_ ? ENOSPC : 0;
}

SimulatedDisks::Directory* SimulatedDisks::directory_of(Disk& disk, const std::string& name,
                                                        std::string* base) {
  const size_t slash = name.find('/');
  *base = slash == std::string::npos ? name : name.substr(slash + 1);
  if (slash == std::string::npos) return &disk.root;
  auto it = disk.directories.find(name.substr(0, slash));
  return it == disk.directories.end() ? nullptr : it->second.get();
}

std::shared_ptr<SimulatedDisks::File> SimulatedDisks::find(Disk& disk, const std::string& name) {
  std::string base;
  Directory* directory = directory_of(disk, name, &base);
  if (directory == nullptr) return nullptr;
  auto it = directory->now.find(base);
  return it == directory->now.end() ? nullptr : it->second;
}

void SimulatedDisks::stop_after(uint64_t calls) {
  std::lock_guard lock(mutex_);
  stop_at_ = changes_ + calls;
}
void SimulatedDisks::fill_after(uint64_t calls) {
  std::lock_guard lock(mutex_);
  fill_at_ = changes_ + calls;
}
void SimulatedDisks::heal() {
  std::lock_guard lock(mutex_);
  stop_at_ = fill_at_ = ~0ULL;
  for (Disk& disk : disks_) disk.broken = false;
}
void SimulatedDisks::break_disk(size_t index) {
  std::lock_guard lock(mutex_);
  disks_[index].broken = true;
}
uint64_t SimulatedDisks::changes() const {
  std::lock_guard lock(mutex_);
  return changes_;
}

void SimulatedDisks::lose_bytes(File& file) {
  const uint64_t mode = random_() % 3;  // keep all, keep nothing, keep some sectors
  if (mode == 1) file.now = file.durable;
  if (mode == 2) {
    const Bytes newer = std::exchange(file.now, file.durable);
    if (random_() % 2 == 0) file.now.resize(newer.size());
    for (uint64_t at = 0; at < std::min(newer.size(), file.now.size()); at += kSector) {
      if (random_() % 2 == 0) continue;
      std::memcpy(file.now.data() + at, newer.data() + at,
                  std::min({kSector, newer.size() - at, file.now.size() - at}));
    }
  }
  file.durable = file.now;
}

void SimulatedDisks::lose_names(Names* now, const Names& durable, bool keep) {
  if (!keep) *now = durable;
}

void SimulatedDisks::lose_power() {
  std::lock_guard lock(mutex_);
  for (Disk& disk : disks_) {
    if (random_() % 2 == 0) {
      disk.directories = disk.durable_directories;
      disk.root.now = disk.root.durable;
    }
    std::set<File*> seen;
    auto settle = [&](Directory& directory, bool keep) {
      lose_names(&directory.now, directory.durable, keep);
      directory.durable = directory.now;
      for (auto& [name, file] : directory.now) {
        if (seen.insert(file.get()).second) lose_bytes(*file);
      }
    };
    settle(disk.root, true);
    for (auto& [name, directory] : disk.directories) settle(*directory, random_() % 2 == 0);
    disk.durable_directories = disk.directories;
  }
}

std::vector<std::string> SimulatedDisks::files(size_t index) const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, file] : disks_[index].root.now) names.push_back(name);
  for (const auto& [directory, content] : disks_[index].directories) {
    for (const auto& [name, file] : content->now) names.push_back(directory + "/" + name);
  }
  return names;
}
uint64_t SimulatedDisks::size(size_t index, const std::string& name) const {
  std::lock_guard lock(mutex_);
  auto& self = const_cast<SimulatedDisks&>(*this);
  auto file = self.find(self.disks_[index], name);
  return file ? file->now.size() : 0;
}
uint64_t SimulatedDisks::allocated_bytes(size_t index) const {
  std::lock_guard lock(mutex_);
  std::set<const File*> seen;
  uint64_t blocks = 0;
  auto add = [&](const Names& names) {
    for (const auto& [name, file] : names) {
      if (seen.insert(file.get()).second) blocks += file->allocated.size();
    }
  };
  add(disks_[index].root.now);
  for (const auto& [name, directory] : disks_[index].directories) add(directory->now);
  return blocks * kBlock;
}
void SimulatedDisks::flip(size_t index, const std::string& name, uint64_t offset) {
  std::lock_guard lock(mutex_);
  auto file = find(disks_[index], name);
  if (file && offset < file->now.size()) file->now[offset] = static_cast<char>(~file->now[offset]);
}
void SimulatedDisks::truncate(size_t index, const std::string& name, uint64_t size_bytes) {
  std::lock_guard lock(mutex_);
  if (auto file = find(disks_[index], name)) file->now.resize(size_bytes);
}
void SimulatedDisks::remove(size_t index, const std::string& name) {
  std::lock_guard lock(mutex_);
  std::string base;
  Directory* directory = directory_of(disks_[index], name, &base);
  if (directory != nullptr) directory->now.erase(base);
}
void SimulatedDisks::swap_contents(size_t index, const std::string& name, uint64_t a, uint64_t b,
                                   uint64_t length) {
  std::lock_guard lock(mutex_);
  auto file = find(disks_[index], name);
  if (!file || std::max(a, b) + length > file->now.size()) return;
  std::swap_ranges(file->now.begin() + static_cast<ptrdiff_t>(a),
                   file->now.begin() + static_cast<ptrdiff_t>(a + length),
                   file->now.begin() + static_cast<ptrdiff_t>(b));
}
void SimulatedDisks::wipe(size_t index) {
  std::lock_guard lock(mutex_);
  disks_[index] = Disk();
}

}  // namespace pairfs::test
