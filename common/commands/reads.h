// The commands that change nothing in a volume's log: op codes 1 to 63.
#pragma once

#include "common/commands/replies.h"

namespace pairfs {

struct Lookup {
  static constexpr uint16_t kOp = 1;
  static constexpr const char* kName = "Lookup";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = EntryReply;
  InodeRef parent;
  Name name;  // "." and ".." are answered too
  Credentials credentials;
  template <class A>
  void serialize(A& ar) {
    ar(parent, name, credentials);
  }
};
struct GetAttributes {
  static constexpr uint16_t kOp = 2;
  static constexpr const char* kName = "GetAttributes";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = AttributesReply;
  InodeRef inode;
  template <class A>
  void serialize(A& ar) {
    ar(inode);
  }
};
struct ReadLink {
  static constexpr uint16_t kOp = 3;
  static constexpr const char* kName = "ReadLink";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = LinkTargetReply;
  InodeRef inode;
  template <class A>
  void serialize(A& ar) {
    ar(inode);
  }
};
// Checks the access that `flags` (open(2)'s) asks for and counts one more open handle of the
// session; also for directories.
struct Open {
  static constexpr uint16_t kOp = 4;
  static constexpr const char* kName = "Open";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = AttributesReply;
  InodeRef inode;
  uint32_t flags = 0;
  Credentials credentials;
  template <class A>
  void serialize(A& ar) {
    ar(inode, flags, credentials);
  }
};
// The data travel in the reply's bulk frame; shorter than asked only at end of file.
struct Read {
  static constexpr uint16_t kOp = 5;
  static constexpr const char* kName = "Read";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = Empty;
  InodeRef inode;
  uint64_t offset_bytes = 0;
  uint32_t length_bytes = 0;
  bool update_atime = true;  // relatime, decided by the executor
  template <class A>
  void serialize(A& ar) {
    ar(inode, offset_bytes, length_bytes, update_atime);
  }
};
// Entries after `cookie` (0 = from the start), "." and ".." first, as many as fit in max_bytes of
// struct fuse_dirent(plus) space. A listing neither repeats nor omits an entry that lives all
// through it.
struct ReadDirectory {
  static constexpr uint16_t kOp = 6;
  static constexpr const char* kName = "ReadDirectory";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = DirectoryReply;
  InodeRef inode;
  uint64_t cookie = 0;
  uint32_t max_bytes = 0;
  bool with_attributes = false;
  bool update_atime = true;
  template <class A>
  void serialize(A& ar) {
    ar(inode, cookie, max_bytes, with_attributes, update_atime);
  }
};
struct Access {
  static constexpr uint16_t kOp = 7;
  static constexpr const char* kName = "Access";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = Empty;
  InodeRef inode;
  uint32_t mask = 0;  // R_OK | W_OK | X_OK, or F_OK
  Credentials credentials;
  template <class A>
  void serialize(A& ar) {
    ar(inode, mask, credentials);
  }
};
struct StatFs {
  static constexpr uint16_t kOp = 8;
  static constexpr const char* kName = "StatFs";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = StatFsReply;
  Slice slice = 0;  // any slice of the volume
  template <class A>
  void serialize(A& ar) {
    ar(slice);
  }
};
struct GetXattr {
  static constexpr uint16_t kOp = 9;
  static constexpr const char* kName = "GetXattr";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = XattrReply;
  InodeRef inode;
  XattrName name;
  Credentials credentials;
  template <class A>
  void serialize(A& ar) {
    ar(inode, name, credentials);
  }
};
struct ListXattr {
  static constexpr uint16_t kOp = 10;
  static constexpr const char* kName = "ListXattr";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = XattrReply;
  InodeRef inode;
  Credentials credentials;
  template <class A>
  void serialize(A& ar) {
    ar(inode, credentials);
  }
};
struct Seek {
  static constexpr uint16_t kOp = 11;
  static constexpr const char* kName = "Seek";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = CountReply;
  InodeRef inode;
  uint64_t offset_bytes = 0;
  uint32_t whence = 0;  // SEEK_DATA or SEEK_HOLE
  template <class A>
  void serialize(A& ar) {
    ar(inode, offset_bytes, whence);
  }
};
struct TestLock {
  static constexpr uint16_t kOp = 12;
  static constexpr const char* kName = "TestLock";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = LockReply;
  InodeRef inode;
  LockRange range;
  template <class A>
  void serialize(A& ar) {
    ar(inode, range);
  }
};
// Drops `count` of the session's open handles. An orphan with none left anywhere is freed.
struct Close {
  static constexpr uint16_t kOp = 13;
  static constexpr const char* kName = "Close";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = Empty;
  InodeRef inode;
  uint32_t count = 1;
  template <class A>
  void serialize(A& ar) {
    ar(inode, count);
  }
};
// Keeps the session alive on the volume.
struct RenewSession {
  static constexpr uint16_t kOp = 14;
  static constexpr const char* kName = "RenewSession";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = Empty;
  Slice slice = 0;
  template <class A>
  void serialize(A& ar) {
    ar(slice);
  }
};
// Tells a new executor which inodes of the volume the session holds open, all at once.
struct DeclareOpens {
  static constexpr uint16_t kOp = 15;
  static constexpr const char* kName = "DeclareOpens";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = OpenInodesReply;
  Slice slice = 0;
  CappedList<InodeRef, 1 << 20> inodes;  // one item per inode
  CappedList<uint32_t, 1 << 20> counts;  // how many handles each has
  template <class A>
  void serialize(A& ar) {
    ar(slice, inodes, counts);
  }
};
// Answered when both nodes' logs are on stable storage up to all that was executed before it.
struct Fsync {
  static constexpr uint16_t kOp = 16;
  static constexpr const char* kName = "Fsync";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = Empty;
  InodeRef inode;
  template <class A>
  void serialize(A& ar) {
    ar(inode);
  }
};
// Answers recalls (messages.h): what they named is not held any more, here nor in the kernel.
struct GiveBack {
  static constexpr uint16_t kOp = 17;
  static constexpr const char* kName = "GiveBack";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = Empty;
  Slice slice = 0;
  CappedList<uint64_t, 1 << 16> numbers;  // of the recalls
  template <class A>
  void serialize(A& ar) {
    ar(slice, numbers);
  }
};

}  // namespace pairfs
