// The executor's rows in the volume store: keys, values and their octets. Byte by byte:
// docs/metadata_format.md. A key's first octet is its family; 0xff belongs to the store.
//
// decode_* give nullopt for octets that are not exactly one row (the caller answers EIO).
#pragma once

#include <sys/stat.h>

#include <optional>

#include "common/commands.h"
#include "common/types.h"

namespace pairfs {

enum class Family : uint8_t {
  kInode = 0x10,         // inode id -> Inode
  kEntry = 0x11,         // directory id, name -> EntryRow
  kCookie = 0x12,        // directory id, cookie -> name
  kXattr = 0x13,         // inode id, name -> value
  kSymlink = 0x14,       // inode id -> target
  kOrphan = 0x15,        // inode id -> nothing: no name, maybe held open
  kSession = 0x20,       // session -> SessionRow
  kReply = 0x21,         // session, slot -> ReplyRow
  kExpired = 0x22,       // session -> nothing: never to be opened again
  kLock = 0x23,          // inode id, session, space, owner -> ranges (locks.h)
  kSliceCounter = 0x30,  // slice -> the next inode number
  kVolume = 0x31,        // -> VolumeRow
  kSlice = 0x32,         // slice -> SliceStateRow
  kWriters = 0x33,       // -> WritersRow
  kIntent = 0x40,        // attempt, stage -> the Prepare and its answer (intent_table.h)
  kDecision = 0x41,      // attempt -> participants that were not told yet
  kFinished = 0x42,      // session, slot, coordinator -> the newest attempt that is over here
};
inline constexpr char kEndOfFamilies = '\xff';

// ---- keys ----
Bytes family_key(Family family);
Bytes inode_key(uint64_t inode_id);
Bytes entry_key(uint64_t directory_id, BytesView name);
Bytes cookie_key(uint64_t directory_id, uint64_t cookie);
Bytes xattr_key(uint64_t inode_id, BytesView name);
Bytes symlink_key(uint64_t inode_id);
Bytes orphan_key(uint64_t inode_id);
Bytes session_key(SessionId session);
Bytes reply_key(SessionId session, uint32_t slot);
Bytes expired_key(SessionId session);
Bytes lock_key(uint64_t inode_id, SessionId session, uint8_t space, uint64_t owner);
Bytes slice_counter_key(Slice slice);
Bytes volume_key();
Bytes writers_key();
Bytes intent_key(const TransactionId& id, uint32_t stage);
Bytes decision_key(const TransactionId& id);
Bytes finished_key(const TransactionId& id);
Bytes slice_key(Slice slice);
// What the keys of all rows begin with that belong to a slice and move with it.
std::vector<Bytes> slice_prefixes(Slice slice);
// The slice that a row belongs to; nullopt: to the volume.
std::optional<Slice> slice_of_key(BytesView key);
// The smallest key above every key that starts with `prefix` (which is not all 0xff).
Bytes after_prefix(Bytes prefix);

// ---- values ----
struct Inode {
  uint64_t id = 0;  // from the key
  uint64_t generation = 0;
  uint32_t mode = 0;
  uint32_t nlink = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  uint64_t rdev = 0;
  uint64_t size_bytes = 0;
  uint64_t allocated_bytes = 0;
  Timestamp atime, mtime, ctime;
  enum Flag : uint8_t {
    kDense = 1,       // every block up to the size is allocated, none behind it
    kAccessAcl = 2,   // has system.posix_acl_access
    kDefaultAcl = 4,  // has system.posix_acl_default
    kCapability = 8,  // has security.capability
  };
  uint8_t flags = 0;
  uint32_t xattr_names_bytes = 0;  // of all names with a NUL each: what listxattr gives
  // Directories only:
  uint64_t entries = 0;
  uint64_t next_cookie = 0;
  InodeRef parent;
  uint8_t depth = 0;  // at its creation: root 0; 255 = that or more

  InodeRef ref() const { return {id, generation}; }
  uint32_t type() const { return mode & S_IFMT; }
  bool is_directory() const { return type() == S_IFDIR; }
  bool is_regular() const { return type() == S_IFREG; }
  bool has(Flag flag) const { return (flags & flag) != 0; }
  void set(Flag flag, bool on) { flags = static_cast<uint8_t>(on ? flags | flag : flags & ~flag); }
};
Bytes encode_inode(const Inode& inode);
std::optional<Inode> decode_inode(uint64_t inode_id, BytesView value);

struct EntryRow {
  InodeRef inode;
  uint32_t type = 0;  // S_IFMT bits
  uint64_t cookie = 0;
};
Bytes encode_entry(const EntryRow& entry);
std::optional<EntryRow> decode_entry(BytesView value);

struct SessionRow {
  Bytes host;
  Bytes mount;
  Timestamp opened;
};
Bytes encode_session(const SessionRow& session);
std::optional<SessionRow> decode_session(BytesView value);

// The last answer of one slot.
struct ReplyRow {
  uint64_t sequence = 0;
  int32_t error = 0;
  Bytes reply;
  Slice slice = 0;  // that the command was for: the answer moves with it
  // For `error`: a number that came along with another slice, so that a late copy of an older
  // request is not executed; the answer itself is with its own slice.
  static constexpr int32_t kNumberOnly = -1;
  bool number_only() const { return error == kNumberOnly; }
};
Bytes encode_reply_row(const ReplyRow& row);
std::optional<ReplyRow> decode_reply_row(BytesView value);

struct VolumeRow {
  uint32_t format_version = 1;
  Timestamp high_water;  // the latest time given out
};
Bytes encode_volume_row(const VolumeRow& row);
std::optional<VolumeRow> decode_volume_row(BytesView value);

// Of kWriters: files whose writes a session may answer before they are executed.
struct WritersRow {
  std::vector<std::pair<uint64_t, SessionId>> writers;  // inode id, session
};
Bytes encode_writers(const WritersRow& row);
std::optional<WritersRow> decode_writers(BytesView value);

// Of kIntent: the encoded Prepare and PrepareReply.
struct IntentRow {
  Bytes prepare;
  Bytes reply;
};
Bytes encode_intent_row(const IntentRow& row);
std::optional<IntentRow> decode_intent_row(BytesView value);

// Of kDecision.
Bytes encode_participants(const std::vector<VolumeId>& participants);
std::optional<std::vector<VolumeId>> decode_participants(BytesView value);
std::optional<TransactionId> decode_decision_key(BytesView key);

// Of kFinished; session and slot are in the key.
struct FinishedRow {
  TransactionId id;
  bool concluded = false;  // by its coordinator, here; else aborted, or only a participant
};
Bytes encode_finished(const FinishedRow& row);
std::optional<FinishedRow> decode_finished(BytesView key, BytesView value);

// Whether the volume has a slice. A slice without a row was never here.
struct SliceStateRow {
  enum State : uint8_t {
    kOwned = 1,      // `move`: brought it (none: it was here from the start)
    kReceiving = 2,  // `parts` of a copy are here
    kTaken = 3,      // the copy is complete; served when the source has said so
    kGiven = 4,      // to `other`, which may not know yet
    kGone = 5,       // to `other`, which serves it; what is left here is cleared
  };
  uint8_t state = 0;
  SliceMoveId move;
  VolumeId other;
  uint32_t parts = 0;
};
// The upper half of a move's number counts how often the slice has changed its volume, so that who
// had it once knows late messages of an older move.
constexpr uint64_t make_move_number(uint64_t version, uint64_t attempt) {
  return version << 32 | (attempt & 0xffff'ffff);
}
constexpr uint64_t slice_version(const SliceMoveId& move) { return move.number >> 32; }
Bytes encode_slice_state(const SliceStateRow& row);
std::optional<SliceStateRow> decode_slice_state(BytesView value);

Bytes encode_u64(uint64_t value);
std::optional<uint64_t> decode_u64(BytesView value);

inline constexpr uint64_t kFirstCookie = 3;  // 1 and 2 are "." and ".."
inline constexpr uint64_t kFileBlockBytes = 4096;
constexpr uint64_t round_up_to_block(uint64_t bytes) {
  return (bytes + kFileBlockBytes - 1) & ~(kFileBlockBytes - 1);
}
constexpr uint64_t round_down_to_block(uint64_t bytes) { return bytes & ~(kFileBlockBytes - 1); }

}  // namespace pairfs
