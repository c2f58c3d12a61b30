// One random operation, as data: what to call, by whom, on what.
//
// Owns: the type Op and its text. Operations do not depend on the outcome of earlier ones, so any
// subset of a list is a list that can be played again.
#pragma once

#include <cstdint>
#include <string>

namespace pairfs::fsx {

enum class Kind {
  open,
  close,
  pread,
  pwrite,
  read,
  write,
  lseek,
  ftruncate,
  fallocate,
  seek_sanity,
  copy_file_range,
  map_read,
  map_write_shared,
  map_write_private,
  fsync,
  fchmod,
  fchown,
  futimens,
  flock,
  range_lock,
  read_whole,
  truncate,
  mkdir,
  rmdir,
  unlink,
  rename,
  link,
  symlink,
  readlink,
  mknod,
  chmod,
  lchown,
  utimens,
  setxattr,
  getxattr,
  listxattr,
  removexattr,
  setacl,
  readdir,
  stat,
  access,
  statfs,
  umask,
};

constexpr int kSlots = 8;

struct Op {
  Kind kind = Kind::stat;
  int mount = 0;       // through which mount
  int user = 0;        // index into users(), 0 is root
  int slot = 0;        // descriptor, 0 to kSlots - 1
  int other_slot = 0;  // copy_file_range: the target
  std::string path;    // relative to the top, e.g. "a/b"
  std::string path2;   // rename, link: the new name; symlink: the text
  int64_t offset = 0;
  int64_t length = 0;
  int64_t offset2 = 0;
  int flags = 0;      // of the call, or which variant
  uint32_t mode = 0;  // mode bits; chown: the owner
  uint32_t group = 0;
  uint64_t seed = 0;  // of the bytes to write, the times, the list entries
  std::string name;   // of an extended attribute
};

const char* kind_name(Kind kind);

// One line, complete enough to write a test from.
std::string describe(const Op& op);

// Bytes to write: differ by seed and position.
std::string data_of(uint64_t seed, int64_t length);

}  // namespace pairfs::fsx
