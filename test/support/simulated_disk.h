// The disks of a machine in memory, which fail as disks do: what was not synced may be lost, kept
// or torn when the power goes; calls can fail from a chosen one on; bytes rot. Elements on them
// run the same store code as directories do. Any thread; the same seed and the same calls give
// the same result.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "node/store/element.h"

namespace pairfs::test {

class SimulatedDisks {
 public:
  SimulatedDisks(size_t count, uint64_t seed);

  // A new element on disk `index`; many may be on one disk.
  std::unique_ptr<Element> element(size_t index);

  // From the `calls`-th changing call on, on whichever disk: every call fails with EIO as if the
  // machine were gone...
  void stop_after(uint64_t calls);
  // ... or every call that needs space with ENOSPC.
  void fill_after(uint64_t calls);
  void heal();
  // One disk answers everything with EIO until healed.
  void break_disk(size_t index);
  // Changing calls so far.
  uint64_t changes() const;

  void lose_power();

  std::vector<std::string> files(size_t index) const;
  uint64_t size(size_t index, const std::string& name) const;
  // Bytes that are not holes, on one disk.
  uint64_t allocated_bytes(size_t index) const;
  void flip(size_t index, const std::string& name, uint64_t offset_bytes);
  void truncate(size_t index, const std::string& name, uint64_t size_bytes);
  void remove(size_t index, const std::string& name);
  void swap_contents(size_t index, const std::string& name, uint64_t a_offset, uint64_t b_offset,
                     uint64_t length_bytes);
  void wipe(size_t index);

 private:
  friend class SimulatedElement;
  struct File {
    Bytes now, durable;
    std::set<uint64_t> allocated;  // 4 KiB blocks of `now`
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;
  struct Directory {
    Names now, durable;
  };
  struct Disk {
    Directory root;
    std::map<std::string, std::shared_ptr<Directory>> directories, durable_directories;
    bool broken = false;
  };

  int before_change(Disk& disk, bool needs_space);  // the errno it fails with, or 0
  Directory* directory_of(Disk& disk, const std::string& name, std::string* base);
  std::shared_ptr<File> find(Disk& disk, const std::string& name);
  void lose_names(Names* now, const Names& durable, bool keep);
  void lose_bytes(File& file);

  mutable std::mutex mutex_;
  std::vector<Disk> disks_;
  std::mt19937_64 random_;
  uint64_t changes_ = 0;
  uint64_t stop_at_ = ~0ULL;
  uint64_t fill_at_ = ~0ULL;
};

}  // namespace pairfs::test
