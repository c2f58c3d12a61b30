// The commands that change a file's data, attributes and locks: op codes 72 to 79.
#pragma once

#include "common/commands/replies.h"

namespace pairfs {

// The data are the request's bulk frame. With `append` the executor writes the offset in.
struct Write {
  static constexpr uint16_t kOp = 72;
  static constexpr const char* kName = "Write";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = CountReply;
  InodeRef inode;
  uint64_t offset_bytes = 0;
  bool append = false;
  bool clear_privileges = false;  // drop setuid/setgid bits and security.capability
  bool sync = false;              // answered only when on stable storage (O_SYNC, O_DSYNC)
  Credentials credentials;        // only with clear_privileges
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(inode, offset_bytes, append, clear_privileges, sync, credentials, resolved);
  }
};
struct SetAttributes {
  static constexpr uint16_t kOp = 73;
  static constexpr const char* kName = "SetAttributes";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = AttributesReply;
  enum Valid : uint32_t {
    kMode = 1,
    kUid = 2,
    kGid = 4,
    kSize = 8,
    kAtime = 16,
    kMtime = 32,
    kAtimeNow = 64,
    kMtimeNow = 128,
    kClearPrivileges = 256,
    kOpenHandle = 512,  // size by ftruncate(2): access was checked at open
  };
  InodeRef inode;
  uint32_t valid = 0;
  uint32_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t size_bytes = 0;
  Timestamp atime;
  Timestamp mtime;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(inode, valid, mode, uid, gid, size_bytes, atime, mtime, credentials, resolved);
  }
};
struct SetXattr {
  static constexpr uint16_t kOp = 74;
  static constexpr const char* kName = "SetXattr";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  InodeRef inode;
  XattrName name;
  XattrValue value;
  uint32_t flags = 0;  // XATTR_CREATE, XATTR_REPLACE
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(inode, name, value, flags, credentials, resolved);
  }
};
struct RemoveXattr {
  static constexpr uint16_t kOp = 75;
  static constexpr const char* kName = "RemoveXattr";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  InodeRef inode;
  XattrName name;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(inode, name, credentials, resolved);
  }
};
struct Allocate {
  static constexpr uint16_t kOp = 76;
  static constexpr const char* kName = "Allocate";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = CountReply;
  InodeRef inode;
  uint32_t mode = 0;  // FALLOC_FL_*
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;
  bool clear_privileges = false;  // as Write's
  Credentials credentials;        // only with clear_privileges
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(inode, mode, offset_bytes, length_bytes, clear_privileges, credentials, resolved);
  }
};
// copy_file_range(2) between inodes of one volume.
struct CopyRange {
  static constexpr uint16_t kOp = 77;
  static constexpr const char* kName = "CopyRange";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = CountReply;
  InodeRef source;
  uint64_t source_offset_bytes = 0;
  InodeRef inode;
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;
  bool clear_privileges = false;  // as Write's
  Credentials credentials;        // only with clear_privileges
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(source, source_offset_bytes, inode, offset_bytes, length_bytes, clear_privileges,
       credentials, resolved);
  }
};
struct SetLock {
  static constexpr uint16_t kOp = 78;
  static constexpr const char* kName = "SetLock";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  InodeRef inode;
  LockRange range;
  bool whole_file = false;  // flock(2), a space of its own beside fcntl(2)'s
  bool wait = false;        // until it is granted or cancelled
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(inode, range, whole_file, wait, resolved);
  }
};
// Ends a SetLock that waits: it is answered EINTR unless it was granted before.
struct CancelLock {
  static constexpr uint16_t kOp = 79;
  static constexpr const char* kName = "CancelLock";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  InodeRef inode;
  uint32_t slot = 0;  // of the SetLock, in the same session
  uint64_t sequence = 0;
  template <class A>
  void serialize(A& ar) {
    ar(inode, slot, sequence);
  }
};

}  // namespace pairfs
