// What an executor adds to its volume's log by itself: op codes 128 to 139.
#pragma once

#include "common/commands/replies.h"

namespace pairfs {

// Frees an unlinked inode that nobody holds open.
struct FreeInode {
  static constexpr uint16_t kOp = 128;
  static constexpr const char* kName = "FreeInode";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  InodeRef inode;
  template <class A>
  void serialize(A& ar) {
    ar(inode);
  }
};
struct UpdateAtime {
  static constexpr uint16_t kOp = 129;
  static constexpr const char* kName = "UpdateAtime";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  InodeRef inode;
  Timestamp atime;
  template <class A>
  void serialize(A& ar) {
    ar(inode, atime);
  }
};
struct ExpireSession {
  static constexpr uint16_t kOp = 130;
  static constexpr const char* kName = "ExpireSession";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  SessionId session = 0;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(session, resolved);
  }
};
// The first record of an epoch (P6): who executes from here on.
struct BeginEpoch {
  static constexpr uint16_t kOp = 131;
  static constexpr const char* kName = "BeginEpoch";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  CappedBytes<64> executor;
  Incarnation incarnation = 0;
  bool solo = false;
  // Of the volume's making, when it is the first record of all: the time, and its slices.
  Timestamp now;
  CappedList<Slice, kSliceCount> slices;
  template <class A>
  void serialize(A& ar) {
    ar(executor, incarnation, solo, now, slices);
  }
};
// A consistency point: the volume's durable state holds every command up to `sequence`. Confirmed
// once the partner holds this record. `store_token` is the store's own description of it (manifest
// name, length, crc), opaque here.
struct ConsistencyPoint {
  static constexpr uint16_t kOp = 132;
  static constexpr const char* kName = "ConsistencyPoint";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  Sequence sequence = 0;
  uint32_t chain_crc = 0;
  CappedBytes<(1 << 18) + 65536> store_token;
  template <class A>
  void serialize(A& ar) {
    ar(sequence, chain_crc, store_token);
  }
};

// A storage element of the volume failed, came back, was replaced, or a rebuild has come further:
// logged and held by the partner before anything else is acknowledged. `record` is the store's own
// description of all elements, opaque here.
struct ElementsChanged {
  static constexpr uint16_t kOp = 133;
  static constexpr const char* kName = "ElementsChanged";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  CappedBytes<1 << 18> record;
  template <class A>
  void serialize(A& ar) {
    ar(record);
  }
};

// Who may answer writes of which files before they are executed (kGrantWriter), all of them: a
// later executor lets nobody else see these files until the sessions have given them back.
struct NoteWriters {
  static constexpr uint16_t kOp = 134;
  static constexpr const char* kName = "NoteWriters";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  static constexpr size_t kMax = 1024;
  CappedList<uint64_t, kMax> inode_ids;
  CappedList<SessionId, kMax> sessions;  // as many
  template <class A>
  void serialize(A& ar) {
    ar(inode_ids, sessions);
  }
};

// Inodes whose changes may not have been answered yet, as others' leases stood in the way, when a
// consistency point began: an executor that starts from that point will not see the changes in the
// log, and lets nobody see the inodes before the leases are back.
struct NoteUnanswered {
  static constexpr uint16_t kOp = 135;
  static constexpr const char* kName = "NoteUnanswered";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  static constexpr size_t kMax = 1 << 17;
  CappedList<uint64_t, kMax> inode_ids;
  template <class A>
  void serialize(A& ar) {
    ar(inode_ids);
  }
};

}  // namespace pairfs
