// The commands that make, rename and remove names: op codes 64 to 71.
#pragma once

#include "common/commands/replies.h"

namespace pairfs {

// mknod(2): regular file, fifo, socket or device. `mode` is the wanted one, before umask: a default
// ACL of the parent takes the umask's place.
struct MakeNode {
  static constexpr uint16_t kOp = 64;
  static constexpr const char* kName = "MakeNode";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = EntryReply;
  InodeRef parent;
  Name name;
  uint32_t mode = 0;
  uint32_t umask = 0;
  uint64_t rdev = 0;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(parent, name, mode, umask, rdev, credentials, resolved);
  }
};
// open(2) with O_CREAT: creates and opens. With O_EXCL in flags an existing name is EEXIST; else an
// existing file is opened, after a check of access.
struct CreateFile {
  static constexpr uint16_t kOp = 65;
  static constexpr const char* kName = "CreateFile";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = EntryReply;
  InodeRef parent;
  Name name;
  uint32_t mode = 0;
  uint32_t umask = 0;
  uint32_t flags = 0;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(parent, name, mode, umask, flags, credentials, resolved);
  }
};
struct MakeDirectory {
  static constexpr uint16_t kOp = 66;
  static constexpr const char* kName = "MakeDirectory";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = EntryReply;
  InodeRef parent;
  Name name;
  uint32_t mode = 0;
  uint32_t umask = 0;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(parent, name, mode, umask, credentials, resolved);
  }
};
struct MakeSymlink {
  static constexpr uint16_t kOp = 67;
  static constexpr const char* kName = "MakeSymlink";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = EntryReply;
  InodeRef parent;
  Name name;
  LinkTarget target;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(parent, name, target, credentials, resolved);
  }
};
struct MakeLink {
  static constexpr uint16_t kOp = 68;
  static constexpr const char* kName = "MakeLink";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = EntryReply;
  InodeRef inode;
  InodeRef parent;  // of the new name
  Name name;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(inode, parent, name, credentials, resolved);
  }
};
struct Unlink {
  static constexpr uint16_t kOp = 69;
  static constexpr const char* kName = "Unlink";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  InodeRef parent;
  Name name;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(parent, name, credentials, resolved);
  }
};
struct RemoveDirectory {
  static constexpr uint16_t kOp = 70;
  static constexpr const char* kName = "RemoveDirectory";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  InodeRef parent;
  Name name;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(parent, name, credentials, resolved);
  }
};
struct Rename {
  static constexpr uint16_t kOp = 71;
  static constexpr const char* kName = "Rename";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  InodeRef parent;
  Name name;
  InodeRef new_parent;
  Name new_name;
  uint32_t flags = 0;  // RENAME_NOREPLACE, RENAME_EXCHANGE
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(parent, name, new_parent, new_name, flags, credentials, resolved);
  }
};

}  // namespace pairfs
