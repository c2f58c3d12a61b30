// What is answered to the commands of clients. Replies that one command only has stand with it.
#pragma once

#include "common/commands/basics.h"
#include "common/space.h"

namespace pairfs {

struct Empty {
  template <class A>
  void serialize(A&) {}
};
struct AttributesReply {
  Attributes attributes;
  template <class A>
  void serialize(A& ar) {
    ar(attributes);
  }
};
// An entry's inode. When `remote` is set it lives on another volume and only id, generation and the
// type bits of mode are valid: the asker gets the attributes there.
struct EntryReply {
  Attributes attributes;
  bool remote = false;
  template <class A>
  void serialize(A& ar) {
    ar(attributes, remote);
  }
};
struct CountReply {
  uint64_t count = 0;     // bytes written or copied, or the offset found
  Attributes attributes;  // after the command, where it changed them
  template <class A>
  void serialize(A& ar) {
    ar(count, attributes);
  }
};
struct LinkTargetReply {
  LinkTarget target;
  template <class A>
  void serialize(A& ar) {
    ar(target);
  }
};
struct XattrReply {
  XattrValue value;  // for ListXattr: names, each ended by NUL
  template <class A>
  void serialize(A& ar) {
    ar(value);
  }
};
struct DirectoryEntry {
  Name name;
  uint64_t cookie = 0;  // where a listing goes on after this entry; stable while it lives
  InodeRef inode;
  uint32_t type = 0;  // S_IFMT bits
  bool has_attributes = false;
  Attributes attributes;  // only when has_attributes
  template <class A>
  void serialize(A& ar) {
    ar(name, cookie, inode, type, has_attributes, attributes);
  }
};
struct DirectoryReply {
  CappedList<DirectoryEntry, 65536> entries;
  bool end = false;  // nothing follows the last entry
  template <class A>
  void serialize(A& ar) {
    ar(entries, end);
  }
};
struct StatFsReply {
  uint64_t capacity_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t available_bytes = 0;
  uint64_t inodes = 0;
  uint64_t inodes_free = 0;
  VolumeSpace space;  // to be summed up with other volumes'
  template <class A>
  void serialize(A& ar) {
    ar(capacity_bytes, free_bytes, available_bytes, inodes, inodes_free, space);
  }
};
struct LockRange {
  uint8_t type = 0;      // F_RDLCK, F_WRLCK or F_UNLCK
  uint64_t start = 0;    // first byte
  uint64_t end = ~0ULL;  // last byte, inclusive; ~0 = to the end
  uint64_t owner = 0;    // the kernel's lock owner, unique within the session
  uint32_t pid = 0;
  template <class A>
  void serialize(A& ar) {
    ar(type, start, end, owner, pid);
  }
};
struct LockReply {
  LockRange conflict;  // type F_UNLCK: none
  template <class A>
  void serialize(A& ar) {
    ar(conflict);
  }
};
struct OpenInodesReply {
  CappedList<InodeRef, 1 << 20> unknown;  // declared, but gone
  template <class A>
  void serialize(A& ar) {
    ar(unknown);
  }
};

}  // namespace pairfs
