// One of the two filesystems that are compared: a directory in which operations are carried out.
//
// Owns: its open descriptors and what is in the directory. Used by one thread; while an operation
// of another user runs, the process has that user's effective ids.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "test/posix/fsx/op.h"
#include "test/posix/fsx/snapshot.h"

namespace pairfs::fsx {

// What an operation did, without anything that may differ between filesystems.
struct Outcome {
  long result = 0;     // -1 if it failed
  int error = 0;       // errno if it failed
  std::string bytes;   // what was read, listed or found
  std::string detail;  // stat of the names and descriptors concerned, times that moved
  bool operator==(const Outcome&) const = default;
};

// "ENOENT", or the result with the detail.
std::string outcome_text(const Outcome& outcome);

// A planted fault, to see whether the comparison finds it.
enum class Plant {
  none,
  flip_byte,
  lose_mode_bit,
  forget_unlink,
  wrong_errno,
  keep_mtime,
  stale_hole
};

class World {
 public:
  // `mounts` are paths of one and the same empty directory.
  World(std::vector<std::string> mounts, SnapshotOptions options, Plant plant = Plant::none);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  // Carries the operation out and describes what it did.
  Outcome play(const Op& op);
  void close_all();
  // The whole tree as seen through one of the mounts.
  std::map<std::string, std::string> tree(size_t mount) const;
  size_t mounts() const { return mounts_.size(); }

 private:
  std::string full(const Op& op, const std::string& relative) const;
  Outcome perform(const Op& op);
  Outcome open(const Op& op);
  std::vector<std::optional<struct stat>> look(const Op& op) const;
  void spoil(const Op& op, Outcome& outcome);

  std::vector<std::string> mounts_;
  SnapshotOptions options_;
  Plant plant_;
  std::array<int, kSlots> slots_;
};

// atime and mtime for utimens, from the flags and the seed of the operation.
void times_of(const Op& op, timespec (&times)[2]);

// Carried out on a descriptor or a name; free functions in descriptor_ops.cc and name_ops.cc.
Outcome play_on_descriptor(const Op& op, int fd, int other_fd);
Outcome play_on_name(const Op& op, const std::string& path, const std::string& path2);

// A result with errno taken from the last call.
Outcome outcome_of(long result);

}  // namespace pairfs::fsx
