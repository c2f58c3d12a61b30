// The commands that move a slice to another volume, which only nodes issue: op codes 145 to 149.
#pragma once

#include "common/commands/replies.h"

namespace pairfs {

// One attempt to move a slice. Those of one source are ordered by (epoch, number).
struct SliceMoveId {
  VolumeId from;
  Epoch epoch = 0;  // of the source
  uint64_t number = 0;
  friend auto operator<=>(const SliceMoveId&, const SliceMoveId&) = default;
  template <class A>
  void serialize(A& ar) {
    ar(from, epoch, number);
  }
};
struct SliceRow {  // a row of the volume store, as it is now
  CappedBytes<512> key;
  bool erased = false;
  CappedBytes<(1 << 17)> value;
  template <class A>
  void serialize(A& ar) {
    ar(key, erased, value);
  }
};
struct SliceData {  // the next `length_bytes` of the bulk frame, or a hole
  uint64_t inode_id = 0;
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;
  bool hole = false;  // reads as zeros from now on; ~0 bytes: up to the end
  template <class A>
  void serialize(A& ar) {
    ar(inode_id, offset_bytes, length_bytes, hole);
  }
};
// One part of a copy, in order. The reply counts the parts that are there; it stays 0 after part 0
// as long as what an earlier copy left is being cleared. ESTALE: this move is not wanted (any
// more).
struct ReceiveSlice {
  static constexpr uint16_t kOp = 145;
  static constexpr const char* kName = "ReceiveSlice";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = CountReply;
  VolumeId volume;
  SliceMoveId move;
  Slice moving = 0;
  uint32_t part = 0;
  CappedList<SliceRow, 4096> rows;
  CappedList<SliceData, 4096> data;
  template <class A>
  void serialize(A& ar) {
    ar(volume, move, moving, part, rows, data);
  }
};
struct SliceSession {
  SessionId session = 0;
  CappedBytes<8192> row;
  template <class A>
  void serialize(A& ar) {
    ar(session, row);
  }
};
struct SliceReply {
  SessionId session = 0;
  uint32_t slot = 0;
  CappedBytes<(1 << 17)> row;
  template <class A>
  void serialize(A& ar) {
    ar(session, slot, row);
  }
};
// The copy is complete: `parts` were sent. The target promises to serve the slice when it is told.
struct TakeSlice {
  static constexpr uint16_t kOp = 146;
  static constexpr const char* kName = "TakeSlice";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  VolumeId volume;
  SliceMoveId move;
  Slice moving = 0;
  uint32_t parts = 0;
  Timestamp high_water;  // the latest time that the source has given out
  CappedList<SliceSession, 65536> sessions;
  CappedList<SliceReply, 65536> replies;  // to commands on the slice
  template <class A>
  void serialize(A& ar) {
    ar(volume, move, moving, parts, high_water, sessions, replies);
  }
};
// The commit point, on the source: from here on it answers that the slice is elsewhere.
struct GiveSlice {
  static constexpr uint16_t kOp = 147;
  static constexpr const char* kName = "GiveSlice";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  VolumeId volume;
  SliceMoveId move;
  Slice moving = 0;
  VolumeId to;
  template <class A>
  void serialize(A& ar) {
    ar(volume, move, moving, to);
  }
};
// The target serves the slice from here on.
struct OpenSlice {
  static constexpr uint16_t kOp = 148;
  static constexpr const char* kName = "OpenSlice";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  VolumeId volume;
  SliceMoveId move;
  Slice moving = 0;
  template <class A>
  void serialize(A& ar) {
    ar(volume, move, moving);
  }
};
// Erases a bounded part of what is left of a slice that the volume neither has nor receives. With
// `opened`, the source notes that the target serves it. The reply counts the rows that went.
struct ClearSlice {
  static constexpr uint16_t kOp = 149;
  static constexpr const char* kName = "ClearSlice";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = CountReply;
  VolumeId volume;
  Slice moving = 0;
  bool opened = false;
  template <class A>
  void serialize(A& ar) {
    ar(volume, moving, opened);
  }
};

}  // namespace pairfs
