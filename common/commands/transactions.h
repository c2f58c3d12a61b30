// The commands of transactions between volumes, which only nodes issue: op codes 140 to 144.
#pragma once

#include "common/commands/replies.h"

namespace pairfs {

// One attempt to carry out a client's command that concerns several volumes. Attempts of one
// request by one coordinator are ordered by (epoch, attempt).
struct TransactionId {
  RequestId request;     // the client's
  VolumeId coordinator;  // which decides, and is asked what became of the attempt
  Epoch epoch = 0;       // of that volume
  uint64_t attempt = 0;
  friend auto operator<=>(const TransactionId&, const TransactionId&) = default;
  template <class A>
  void serialize(A& ar) {
    ar(request, coordinator, epoch, attempt);
  }
};
// What one volume is to do when the transaction commits; what it checks before.
struct TransactionPart {
  enum What : uint8_t {
    kTakeName = 1,     // `name` of the directory `inode` goes
    kGiveName = 2,     // `name` of the directory `inode` stands for `other` from now on
    kRemoveInode = 3,  // `inode` loses a name
    kAddLink = 4,      // `inode` gains a name
    kMoveInode = 5,    // `inode` is renamed; a directory gets the parent `other` (id 0: keeps its)
    kMakeInode = 6,    // a directory is made, as `attributes` and ACLs say, with the parent `other`
    kWalkUp = 7,    // no directory moves here for now; is `other` among the ancestors of `inode`?
    kHoldName = 8,  // `name` of the directory `inode` stays as it is until the decision
    kSwapName = 9,  // `name`, which is there, stands for `other` from now on
  };
  enum Flag : uint32_t {
    kOwnerOnly = 1,      // sticky: the inode must be the caller's
    kNoReplace = 2,      // EEXIST when the name is there
    kWantDirectory = 4,  // rmdir: ENOTDIR
    kWantFile = 8,       // unlink: EISDIR
    kRename = 16,        // the name may be replaced, by an inode of `type`
    kNewName = 32,       // link, mkdir: EEXIST before EACCES
  };
  uint8_t what = 0;
  uint32_t flags = 0;
  InodeRef inode;
  Name name;
  InodeRef other;
  uint32_t type = 0;  // S_IFMT bits of what the name stands for, or of the inode
  Attributes attributes;
  uint8_t depth = 0;
  CappedBytes<65536> access_acl;
  CappedBytes<65536> default_acl;
  template <class A>
  void serialize(A& ar) {
    ar(what, flags, inode, name, other, type, attributes, depth, access_acl, default_acl);
  }
};
struct PrepareReply {
  InodeRef inode;           // what the name stands for (none: id 0), or was made
  uint32_t type = 0;        // its S_IFMT bits
  bool owner_only = false;  // only its owner may do this: the directory is sticky
  bool same = false;        // the name stands for that very inode already
  InodeRef next;    // kWalkUp: the ancestor that another volume has (none: the root was reached)
  VolumeId volume;  // who promised
  template <class A>
  void serialize(A& ar) {
    ar(inode, type, owner_only, same, next, volume);
  }
};
// Checks one part and promises to carry it out. An errno is a no and leaves nothing behind; kBusy:
// another transaction holds what it needs.
struct Prepare {
  static constexpr uint16_t kOp = 140;
  static constexpr const char* kName = "Prepare";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = PrepareReply;
  TransactionId id;
  Slice slice = 0;     // what the part concerns
  uint32_t stage = 0;  // numbers the parts of an attempt
  TransactionPart part;
  Credentials credentials;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(id, slice, stage, part, credentials, resolved);
  }
};
// Ends the attempt on a participant: all its parts there are carried out, or forgotten.
struct Decide {
  static constexpr uint16_t kOp = 141;
  static constexpr const char* kName = "Decide";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  TransactionId id;
  VolumeId volume;
  bool commit = false;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(id, volume, commit, resolved);
  }
};
// The decision, on the coordinator's volume: its own parts and the client's answer with it.
// ECANCELED: a participant asked before and was told that there is none. EALREADY: the client has
// an answer to this request already.
struct Conclude {
  static constexpr uint16_t kOp = 142;
  static constexpr const char* kName = "Conclude";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  TransactionId id;
  VolumeId volume;
  Slice slice = 0;  // of the client's command: whoever has it now answers the client's retries
  bool commit = false;
  uint32_t error = 0;  // the client's answer
  CappedBytes<4096> reply;
  CappedList<VolumeId, 64> participants;  // other volumes, to be told
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(id, volume, slice, commit, error, reply, participants, resolved);
  }
};
// Every participant has carried it out.
struct ForgetTransaction {
  static constexpr uint16_t kOp = 143;
  static constexpr const char* kName = "ForgetTransaction";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  TransactionId id;
  VolumeId volume;
  template <class A>
  void serialize(A& ar) {
    ar(id, volume);
  }
};
// A participant asks the coordinator's volume what became of an attempt. What is not decided yet is
// aborted by this.
struct ResolveReply {
  bool commit = false;
  template <class A>
  void serialize(A& ar) {
    ar(commit);
  }
};
struct ResolveTransaction {
  static constexpr uint16_t kOp = 144;
  static constexpr const char* kName = "ResolveTransaction";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = ResolveReply;
  TransactionId id;
  VolumeId volume;
  template <class A>
  void serialize(A& ar) {
    ar(id, volume);
  }
};

}  // namespace pairfs
