// What the structs of commands are made of: limits, credentials, attributes, and what an executor
// resolves.
#pragma once

#include <cstdint>

#include "common/capped.h"
#include "common/types.h"

namespace pairfs {

inline constexpr size_t kNameMaxBytes = 255;
inline constexpr size_t kLinkTargetMaxBytes = 4095;
inline constexpr size_t kXattrNameMaxBytes = 255;
inline constexpr size_t kXattrValueMaxBytes = 65536;
inline constexpr size_t kIoMaxBytes = 1 << 20;  // of one Read or Write
using Name = CappedBytes<kNameMaxBytes>;
using LinkTarget = CappedBytes<kLinkTargetMaxBytes>;
using XattrName = CappedBytes<kXattrNameMaxBytes>;
using XattrValue = CappedBytes<kXattrValueMaxBytes>;

// kRead: answered from the volume's state, never logged, may be repeated.
// kMutation: logged at both nodes before it is answered, exactly once by slot.
// kInternal: a mutation that only nodes issue.
enum class Kind : uint8_t { kRead, kMutation, kInternal };

struct Credentials {
  uint32_t uid = 0;
  uint32_t gid = 0;
  CappedList<uint32_t, 65536> groups;  // supplementary
  template <class A>
  void serialize(A& ar) {
    ar(uid, gid, groups);
  }
};
struct Attributes {
  InodeRef inode;
  uint32_t mode = 0;  // type and permission bits, as st_mode
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size_bytes = 0;
  uint64_t allocated_bytes = 0;  // st_blocks * 512
  Timestamp atime;
  Timestamp mtime;
  Timestamp ctime;
  template <class A>
  void serialize(A& ar) {
    ar(inode, mode, nlink, uid, gid, rdev, size_bytes, allocated_bytes, atime, mtime, ctime);
  }
};

// What the executor decided.
struct Resolved {
  Timestamp now;   // the command's time: strictly later than any given out in the volume
  InodeRef inode;  // the one that the command makes
  // An errno that rests on what replay does not know (ENOSPC, EDEADLK); 0: none.
  uint32_t refused = 0;
  // Nobody holds open the inode that loses its last name: it is freed at once.
  bool free_inode = false;
  template <class A>
  void serialize(A& ar) {
    ar(now, inode, refused, free_inode);
  }
};

}  // namespace pairfs
