// The commands of pairfs: one struct per command, and one list of them (CommandList at the end).
// Codec, dispatch, metric names, "does the partner log it?", retry rule, random generator and
// round-trip tests derive from that list. Adding a command: its struct here, an entry in the
// list, the FUSE callback, the executor's overload, a test.
//
// A struct names its fields once, in serialize(); the wire order is that order. `resolved` is zero
// on the way to the executor, which fills it in before the command is logged, so that a replay
// decides nothing anew.
#pragma once

#include <cstdint>
#include <type_traits>
#include <vector>

#include "common/types.h"

namespace pairfs {

// Octets with a cap that decoding enforces.
template <size_t kMax>
struct CappedBytes : Bytes {
  using Bytes::Bytes;
  CappedBytes() = default;
  CappedBytes(Bytes b) : Bytes(std::move(b)) {}  // NOLINT: implicit
  CappedBytes(BytesView b) : Bytes(b) {}         // NOLINT: implicit
  static constexpr size_t kMaxBytes = kMax;
};
// A list with a cap that decoding enforces.
template <class T, size_t kMax>
struct CappedList : std::vector<T> {
  using std::vector<T>::vector;
  CappedList() = default;
  CappedList(std::vector<T> v) : std::vector<T>(std::move(v)) {}  // NOLINT: implicit
  static constexpr size_t kMaxItems = kMax;
};

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
  void serialize(A& ar) { ar(uid, gid, groups); }
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

// ---- replies ----
struct Empty {
  template <class A>
  void serialize(A&) {}
};
struct AttributesReply {
  Attributes attributes;
  template <class A>
  void serialize(A& ar) { ar(attributes); }
};
// An entry's inode. When `remote` is set it lives on another volume and only id, generation and the
// type bits of mode are valid: the asker gets the attributes there.
struct EntryReply {
  Attributes attributes;
  bool remote = false;
  template <class A>
  void serialize(A& ar) { ar(attributes, remote); }
};
struct CountReply {
  uint64_t count = 0;  // bytes written or copied, or the offset found
  Attributes attributes;  // after the command, where it changed them
  template <class A>
  void serialize(A& ar) { ar(count, attributes); }
};
struct LinkTargetReply {
  LinkTarget target;
  template <class A>
  void serialize(A& ar) { ar(target); }
};
struct XattrReply {
  XattrValue value;  // for ListXattr: names, each ended by NUL
  template <class A>
  void serialize(A& ar) { ar(value); }
};
struct DirectoryEntry {
  Name name;
  uint64_t cookie = 0;  // where a listing goes on after this entry; stable while it lives
  InodeRef inode;
  uint32_t type = 0;  // S_IFMT bits
  bool has_attributes = false;
  Attributes attributes;  // only when has_attributes
  template <class A>
  void serialize(A& ar) { ar(name, cookie, inode, type, has_attributes, attributes); }
};
struct DirectoryReply {
  CappedList<DirectoryEntry, 65536> entries;
  bool end = false;  // nothing follows the last entry
  template <class A>
  void serialize(A& ar) { ar(entries, end); }
};
struct StatFsReply {
  uint64_t capacity_bytes = 0;
  uint64_t free_bytes = 0;
  uint64_t available_bytes = 0;
  uint64_t inodes = 0;
  uint64_t inodes_free = 0;
  template <class A>
  void serialize(A& ar) { ar(capacity_bytes, free_bytes, available_bytes, inodes, inodes_free); }
};
struct LockRange {
  uint8_t type = 0;  // F_RDLCK, F_WRLCK or F_UNLCK
  uint64_t start = 0;  // first byte
  uint64_t end = ~0ULL;  // last byte, inclusive; ~0 = to the end
  uint64_t owner = 0;  // the kernel's lock owner, unique within the session
  uint32_t pid = 0;
  template <class A>
  void serialize(A& ar) { ar(type, start, end, owner, pid); }
};
struct LockReply {
  LockRange conflict;  // type F_UNLCK: none
  template <class A>
  void serialize(A& ar) { ar(conflict); }
};
struct OpenInodesReply {
  CappedList<InodeRef, 1 << 20> unknown;  // declared, but gone
  template <class A>
  void serialize(A& ar) { ar(unknown); }
};
// What the executor decided.
struct Resolved {
  Timestamp now;  // the command's time: strictly later than any given out in the volume
  InodeRef inode;  // the one that the command makes
  // An errno that rests on what replay does not know (ENOSPC, EDEADLK); 0: none.
  uint32_t refused = 0;
  // Nobody holds open the inode that loses its last name: it is freed at once.
  bool free_inode = false;
  template <class A>
  void serialize(A& ar) { ar(now, inode, refused, free_inode); }
};

// ---- commands ----
struct Lookup {
  static constexpr uint16_t kOp = 1;
  static constexpr const char* kName = "Lookup";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = EntryReply;
  InodeRef parent;
  Name name;  // "." and ".." are answered too
  Credentials credentials;
  template <class A>
  void serialize(A& ar) { ar(parent, name, credentials); }
};
struct GetAttributes {
  static constexpr uint16_t kOp = 2;
  static constexpr const char* kName = "GetAttributes";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = AttributesReply;
  InodeRef inode;
  template <class A>
  void serialize(A& ar) { ar(inode); }
};
struct ReadLink {
  static constexpr uint16_t kOp = 3;
  static constexpr const char* kName = "ReadLink";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = LinkTargetReply;
  InodeRef inode;
  template <class A>
  void serialize(A& ar) { ar(inode); }
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
  void serialize(A& ar) { ar(inode, flags, credentials); }
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
  void serialize(A& ar) { ar(inode, offset_bytes, length_bytes, update_atime); }
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
  void serialize(A& ar) { ar(inode, cookie, max_bytes, with_attributes, update_atime); }
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
  void serialize(A& ar) { ar(inode, mask, credentials); }
};
struct StatFs {
  static constexpr uint16_t kOp = 8;
  static constexpr const char* kName = "StatFs";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = StatFsReply;
  Slice slice = 0;  // any slice of the volume
  template <class A>
  void serialize(A& ar) { ar(slice); }
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
  void serialize(A& ar) { ar(inode, name, credentials); }
};
struct ListXattr {
  static constexpr uint16_t kOp = 10;
  static constexpr const char* kName = "ListXattr";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = XattrReply;
  InodeRef inode;
  Credentials credentials;
  template <class A>
  void serialize(A& ar) { ar(inode, credentials); }
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
  void serialize(A& ar) { ar(inode, offset_bytes, whence); }
};
struct TestLock {
  static constexpr uint16_t kOp = 12;
  static constexpr const char* kName = "TestLock";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = LockReply;
  InodeRef inode;
  LockRange range;
  template <class A>
  void serialize(A& ar) { ar(inode, range); }
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
  void serialize(A& ar) { ar(inode, count); }
};
// Keeps the session alive on the volume.
struct RenewSession {
  static constexpr uint16_t kOp = 14;
  static constexpr const char* kName = "RenewSession";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = Empty;
  Slice slice = 0;
  template <class A>
  void serialize(A& ar) { ar(slice); }
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
  void serialize(A& ar) { ar(slice, inodes, counts); }
};
// Answered when both nodes' logs are on stable storage up to all that was executed before it.
struct Fsync {
  static constexpr uint16_t kOp = 16;
  static constexpr const char* kName = "Fsync";
  static constexpr Kind kKind = Kind::kRead;
  using Reply = Empty;
  InodeRef inode;
  template <class A>
  void serialize(A& ar) { ar(inode); }
};
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
  void serialize(A& ar) { ar(parent, name, mode, umask, rdev, credentials, resolved); }
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
  void serialize(A& ar) { ar(parent, name, mode, umask, flags, credentials, resolved); }
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
  void serialize(A& ar) { ar(parent, name, mode, umask, credentials, resolved); }
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
  void serialize(A& ar) { ar(parent, name, target, credentials, resolved); }
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
  void serialize(A& ar) { ar(inode, parent, name, credentials, resolved); }
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
  void serialize(A& ar) { ar(parent, name, credentials, resolved); }
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
  void serialize(A& ar) { ar(parent, name, credentials, resolved); }
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
  void serialize(A& ar) { ar(parent, name, new_parent, new_name, flags, credentials, resolved); }
};
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
  bool sync = false;  // answered only when on stable storage (O_SYNC, O_DSYNC)
  Resolved resolved;
  template <class A>
  void serialize(A& ar) { ar(inode, offset_bytes, append, clear_privileges, sync, resolved); }
};
struct SetAttributes {
  static constexpr uint16_t kOp = 73;
  static constexpr const char* kName = "SetAttributes";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = AttributesReply;
  enum Valid : uint32_t {
    kMode = 1, kUid = 2, kGid = 4, kSize = 8, kAtime = 16, kMtime = 32, kAtimeNow = 64,
    kMtimeNow = 128, kClearPrivileges = 256,
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
  void serialize(A& ar) { ar(inode, name, value, flags, credentials, resolved); }
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
  void serialize(A& ar) { ar(inode, name, credentials, resolved); }
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
  Resolved resolved;
  template <class A>
  void serialize(A& ar) { ar(inode, mode, offset_bytes, length_bytes, resolved); }
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
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(source, source_offset_bytes, inode, offset_bytes, length_bytes, resolved);
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
  bool wait = false;  // until it is granted or cancelled
  Resolved resolved;
  template <class A>
  void serialize(A& ar) { ar(inode, range, whole_file, wait, resolved); }
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
  void serialize(A& ar) { ar(inode, slot, sequence); }
};
struct OpenSession {
  static constexpr uint16_t kOp = 80;
  static constexpr const char* kName = "OpenSession";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  Slice slice = 0;
  CappedBytes<256> host;
  CappedBytes<4096> mount;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) { ar(slice, host, mount, resolved); }
};
// Ends the session on the volume: its locks go, its orphans are freed.
struct CloseSession {
  static constexpr uint16_t kOp = 81;
  static constexpr const char* kName = "CloseSession";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  Slice slice = 0;
  template <class A>
  void serialize(A& ar) { ar(slice); }
};
// Frees an unlinked inode that nobody holds open.
struct FreeInode {
  static constexpr uint16_t kOp = 128;
  static constexpr const char* kName = "FreeInode";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  InodeRef inode;
  template <class A>
  void serialize(A& ar) { ar(inode); }
};
struct UpdateAtime {
  static constexpr uint16_t kOp = 129;
  static constexpr const char* kName = "UpdateAtime";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  InodeRef inode;
  Timestamp atime;
  template <class A>
  void serialize(A& ar) { ar(inode, atime); }
};
struct ExpireSession {
  static constexpr uint16_t kOp = 130;
  static constexpr const char* kName = "ExpireSession";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = Empty;
  SessionId session = 0;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) { ar(session, resolved); }
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
  void serialize(A& ar) { ar(executor, incarnation, solo, now, slices); }
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
  void serialize(A& ar) { ar(sequence, chain_crc, store_token); }
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
  void serialize(A& ar) { ar(record); }
};

// ---- commands of transactions between volumes; only nodes issue them ----
// One attempt to carry out a client's command that concerns several volumes. Attempts of one
// request by one coordinator are ordered by (epoch, attempt).
struct TransactionId {
  RequestId request;     // the client's
  VolumeId coordinator;  // which decides, and is asked what became of the attempt
  Epoch epoch = 0;       // of that volume
  uint64_t attempt = 0;
  friend auto operator<=>(const TransactionId&, const TransactionId&) = default;
  template <class A>
  void serialize(A& ar) { ar(request, coordinator, epoch, attempt); }
};
// What one volume is to do when the transaction commits; what it checks before.
struct TransactionPart {
  enum What : uint8_t {
    kTakeName = 1,    // `name` of the directory `inode` goes
    kGiveName = 2,    // `name` of the directory `inode` stands for `other` from now on
    kRemoveInode = 3,  // `inode` loses a name
    kAddLink = 4,     // `inode` gains a name
    kMoveInode = 5,   // `inode` is renamed; a directory gets the parent `other` (id 0: keeps its)
    kMakeInode = 6,   // a directory is made, as `attributes` and ACLs say, with the parent `other`
    kWalkUp = 7,      // no directory moves here for now; is `other` among the ancestors of `inode`?
    kHoldName = 8,    // `name` of the directory `inode` stays as it is until the decision
    kSwapName = 9,    // `name`, which is there, stands for `other` from now on
  };
  enum Flag : uint32_t {
    kOwnerOnly = 1,     // sticky: the inode must be the caller's
    kNoReplace = 2,     // EEXIST when the name is there
    kWantDirectory = 4,  // rmdir: ENOTDIR
    kWantFile = 8,      // unlink: EISDIR
    kRename = 16,       // the name may be replaced, by an inode of `type`
    kNewName = 32,      // link, mkdir: EEXIST before EACCES
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
  InodeRef inode;      // what the name stands for (none: id 0), or was made
  uint32_t type = 0;   // its S_IFMT bits
  bool owner_only = false;  // only its owner may do this: the directory is sticky
  bool same = false;   // the name stands for that very inode already
  InodeRef next;       // kWalkUp: the ancestor that another volume has (none: the root was reached)
  VolumeId volume;     // who promised
  template <class A>
  void serialize(A& ar) { ar(inode, type, owner_only, same, next, volume); }
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
  void serialize(A& ar) { ar(id, slice, stage, part, credentials, resolved); }
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
  void serialize(A& ar) { ar(id, volume, commit, resolved); }
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
  void serialize(A& ar) { ar(id, volume, slice, commit, error, reply, participants, resolved); }
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
  void serialize(A& ar) { ar(id, volume); }
};
// A participant asks the coordinator's volume what became of an attempt. What is not decided yet is
// aborted by this.
struct ResolveReply {
  bool commit = false;
  template <class A>
  void serialize(A& ar) { ar(commit); }
};
struct ResolveTransaction {
  static constexpr uint16_t kOp = 144;
  static constexpr const char* kName = "ResolveTransaction";
  static constexpr Kind kKind = Kind::kInternal;
  using Reply = ResolveReply;
  TransactionId id;
  VolumeId volume;
  template <class A>
  void serialize(A& ar) { ar(id, volume); }
};

// ---- commands that move a slice to another volume; only nodes issue them ----
// One attempt to move a slice. Those of one source are ordered by (epoch, number).
struct SliceMoveId {
  VolumeId from;
  Epoch epoch = 0;  // of the source
  uint64_t number = 0;
  friend auto operator<=>(const SliceMoveId&, const SliceMoveId&) = default;
  template <class A>
  void serialize(A& ar) { ar(from, epoch, number); }
};
struct SliceRow {  // a row of the volume store, as it is now
  CappedBytes<512> key;
  bool erased = false;
  CappedBytes<(1 << 17)> value;
  template <class A>
  void serialize(A& ar) { ar(key, erased, value); }
};
struct SliceData {  // the next `length_bytes` of the bulk frame, or a hole
  uint64_t inode_id = 0;
  uint64_t offset_bytes = 0;
  uint64_t length_bytes = 0;
  bool hole = false;  // reads as zeros from now on; ~0 bytes: up to the end
  template <class A>
  void serialize(A& ar) { ar(inode_id, offset_bytes, length_bytes, hole); }
};
// One part of a copy, in order. The reply counts the parts that are there; it stays 0 after part 0 as
// long as what an earlier copy left is being cleared. ESTALE: this move is not wanted (any more).
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
  void serialize(A& ar) { ar(volume, move, moving, part, rows, data); }
};
struct SliceSession {
  SessionId session = 0;
  CappedBytes<8192> row;
  template <class A>
  void serialize(A& ar) { ar(session, row); }
};
struct SliceReply {
  SessionId session = 0;
  uint32_t slot = 0;
  CappedBytes<(1 << 17)> row;
  template <class A>
  void serialize(A& ar) { ar(session, slot, row); }
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
  void serialize(A& ar) { ar(volume, move, moving, parts, high_water, sessions, replies); }
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
  void serialize(A& ar) { ar(volume, move, moving, to); }
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
  void serialize(A& ar) { ar(volume, move, moving); }
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
  void serialize(A& ar) { ar(volume, moving, opened); }
};

template <class... Ts>
struct TypeList {};

// The list. Op codes are explicit and never reused; a retired one stays reserved in
// docs/protocol.md.
using CommandList =
    TypeList<Lookup, GetAttributes, ReadLink, Open, Read, ReadDirectory, Access, StatFs,
             GetXattr, ListXattr, Seek, TestLock, Close, RenewSession, DeclareOpens,
             Fsync, MakeNode, CreateFile, MakeDirectory, MakeSymlink, MakeLink, Unlink,
             RemoveDirectory, Rename, Write, SetAttributes, SetXattr, RemoveXattr,
             Allocate, CopyRange, SetLock, CancelLock, OpenSession, CloseSession,
             FreeInode, UpdateAtime, ExpireSession, BeginEpoch, ConsistencyPoint, ElementsChanged,
             Prepare, Decide, Conclude, ForgetTransaction, ResolveTransaction, ReceiveSlice,
             TakeSlice, GiveSlice, OpenSlice, ClearSlice>;

template <class Visitor, class... Ts>
void for_each_command_type(Visitor&& visitor, TypeList<Ts...>) {
  (visitor(std::type_identity<Ts>{}), ...);
}
// Calls visitor(std::type_identity<Command>{}) for every command.
template <class Visitor>
void for_each_command_type(Visitor&& visitor) {
  for_each_command_type(visitor, CommandList{});
}
// Calls visitor(std::type_identity<Command>{}) for the command with this op code; false when there
// is none.
template <class Visitor>
bool visit_command_type(uint16_t op, Visitor&& visitor) {
  bool found = false;
  for_each_command_type([&]<class C>(std::type_identity<C> type) {
    if (!found && C::kOp == op) {
      found = true;
      visitor(type);
    }
  });
  return found;
}
// The command's name, for logs and metrics; "Unknown" when there is none.
const char* command_name(uint16_t op);
// True when the partner logs it.
bool is_logged(uint16_t op);

}  // namespace pairfs
