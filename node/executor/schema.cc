#include "node/executor/schema.h"

#include "common/row_codec.h"

namespace pairfs {

namespace {
Bytes id_key(Family family, uint64_t id, size_t more_bytes = 0) {
  Bytes key;
  if (more_bytes != 0) key.reserve(9 + more_bytes);
  key.push_back(static_cast<char>(family));
  append_big_endian(key, id);
  return key;
}
}  // namespace

Bytes family_key(Family family) { return Bytes(1, static_cast<char>(family)); }
Bytes inode_key(uint64_t inode_id) { return id_key(Family::kInode, inode_id); }
Bytes entry_key(uint64_t directory_id, BytesView name) {
  return id_key(Family::kEntry, directory_id, name.size()).append(name);
}
Bytes cookie_key(uint64_t directory_id, uint64_t cookie) {
  Bytes key = id_key(Family::kCookie, directory_id, 8);
  append_big_endian(key, cookie);
  return key;
}
Bytes xattr_key(uint64_t inode_id, BytesView name) {
  return id_key(Family::kXattr, inode_id, name.size()).append(name);
}
Bytes symlink_key(uint64_t inode_id) { return id_key(Family::kSymlink, inode_id); }
Bytes orphan_key(uint64_t inode_id) { return id_key(Family::kOrphan, inode_id); }
Bytes session_key(SessionId session) { return id_key(Family::kSession, session); }
Bytes reply_key(SessionId session, uint32_t slot) {
  Bytes key = id_key(Family::kReply, session);
  append_big_endian(key, slot);
  return key;
}
Bytes expired_key(SessionId session) { return id_key(Family::kExpired, session); }
Bytes lock_key(uint64_t inode_id, SessionId session, uint8_t space, uint64_t owner) {
  Bytes key = id_key(Family::kLock, inode_id, 17);
  append_big_endian(key, session);
  append_big_endian(key, space);
  append_big_endian(key, owner);
  return key;
}
Bytes slice_counter_key(Slice slice) {
  Bytes key = family_key(Family::kSliceCounter);
  append_big_endian(key, slice);
  return key;
}
Bytes volume_key() { return family_key(Family::kVolume); }
Bytes writers_key() { return family_key(Family::kWriters); }

namespace {
Bytes transaction_key(Family family, const TransactionId& id) {
  Bytes key = id_key(family, id.request.session, 40);
  append_big_endian(key, id.request.slot);
  append_big_endian(key, id.request.sequence);
  append_big_endian(key, id.coordinator.packed());
  append_big_endian(key, id.epoch);
  append_big_endian(key, id.attempt);
  return key;
}
}  // namespace

Bytes intent_key(const TransactionId& id, uint32_t stage) {
  Bytes key = transaction_key(Family::kIntent, id);
  append_big_endian(key, stage);
  return key;
}
Bytes decision_key(const TransactionId& id) { return transaction_key(Family::kDecision, id); }
Bytes finished_key(const TransactionId& id) {
  Bytes key = id_key(Family::kFinished, id.request.session, 8);
  append_big_endian(key, id.request.slot);
  append_big_endian(key, id.coordinator.packed());
  return key;
}

namespace {
constexpr Family kSliceFamilies[] = {Family::kInode, Family::kEntry,       Family::kCookie,
                                     Family::kXattr, Family::kSymlink,     Family::kOrphan,
                                     Family::kLock,  Family::kSliceCounter};
}

Bytes slice_key(Slice slice) {
  Bytes key = family_key(Family::kSlice);
  append_big_endian(key, slice);
  return key;
}
std::vector<Bytes> slice_prefixes(Slice slice) {
  std::vector<Bytes> prefixes;
  for (const Family family : kSliceFamilies) {
    prefixes.push_back(family_key(family));
    append_big_endian(prefixes.back(), slice);
  }
  return prefixes;
}
std::optional<Slice> slice_of_key(BytesView key) {
  if (key.size() < 3) return std::nullopt;
  for (const Family family : kSliceFamilies)
    if (key[0] == static_cast<char>(family)) return read_big_endian<Slice>(key, 1);
  return std::nullopt;
}

Bytes after_prefix(Bytes prefix) {
  while (!prefix.empty() && prefix.back() == '\xff') prefix.pop_back();
  if (!prefix.empty()) prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

Bytes encode_inode(const Inode& inode) {
  RowWriter out(152);
  out(inode.generation)(inode.mode)(inode.nlink)(inode.uid)(inode.gid)(inode.rdev);
  out(inode.size_bytes)(inode.allocated_bytes)(inode.atime)(inode.mtime)(inode.ctime);
  out(inode.flags)(inode.xattr_names_bytes);
  if (inode.is_directory()) out(inode.entries)(inode.next_cookie)(inode.parent)(inode.depth);
  return out.take();
}
std::optional<Inode> decode_inode(uint64_t inode_id, BytesView value) {
  Inode inode;
  inode.id = inode_id;
  RowReader in(value);
  in(inode.generation)(inode.mode)(inode.nlink)(inode.uid)(inode.gid)(inode.rdev);
  in(inode.size_bytes)(inode.allocated_bytes)(inode.atime)(inode.mtime)(inode.ctime);
  in(inode.flags)(inode.xattr_names_bytes);
  if (inode.is_directory()) in(inode.entries)(inode.next_cookie)(inode.parent)(inode.depth);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return inode;
}

Bytes encode_entry(const EntryRow& entry) {
  RowWriter out(28);
  out(entry.inode)(entry.type)(entry.cookie);
  return out.take();
}
std::optional<EntryRow> decode_entry(BytesView value) {
  EntryRow entry;
  RowReader in(value);
  in(entry.inode)(entry.type)(entry.cookie);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return entry;
}

Bytes encode_session(const SessionRow& session) {
  RowWriter out(20 + session.host.size() + session.mount.size());
  out(session.opened)(BytesView(session.host))(BytesView(session.mount));
  return out.take();
}
std::optional<SessionRow> decode_session(BytesView value) {
  SessionRow session;
  RowReader in(value);
  in(session.opened)(session.host)(session.mount);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return session;
}

Bytes encode_reply_row(const ReplyRow& row) {
  RowWriter out(18 + row.reply.size());
  out(row.sequence)(row.error)(row.slice)(BytesView(row.reply));
  return out.take();
}
std::optional<ReplyRow> decode_reply_row(BytesView value) {
  ReplyRow row;
  RowReader in(value);
  in(row.sequence)(row.error)(row.slice)(row.reply);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return row;
}

Bytes encode_volume_row(const VolumeRow& row) {
  RowWriter out(16);
  out(row.format_version)(row.high_water);
  return out.take();
}
std::optional<VolumeRow> decode_volume_row(BytesView value) {
  VolumeRow row;
  RowReader in(value);
  in(row.format_version)(row.high_water);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return row;
}

Bytes encode_intent_row(const IntentRow& row) {
  RowWriter out(8 + row.prepare.size() + row.reply.size());
  out(BytesView(row.prepare))(BytesView(row.reply));
  return out.take();
}
std::optional<IntentRow> decode_intent_row(BytesView value) {
  IntentRow row;
  RowReader in(value);
  in(row.prepare)(row.reply);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return row;
}

Bytes encode_writers(const WritersRow& row) {
  RowWriter out(4 + 16 * row.writers.size());
  out(static_cast<uint32_t>(row.writers.size()));
  for (const auto& [inode_id, session] : row.writers) {
    out(inode_id);
    out(session);
  }
  return out.take();
}
std::optional<WritersRow> decode_writers(BytesView value) {
  RowReader in(value);
  uint32_t count = 0;
  in(count);
  if (count > in.remaining() / (2 * sizeof(uint64_t))) return std::nullopt;
  WritersRow row;
  row.writers.resize(count);
  for (auto& [inode_id, session] : row.writers) {
    in(inode_id);
    in(session);
  }
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return row;
}

Bytes encode_participants(const std::vector<VolumeId>& participants) {
  RowWriter out(4 + 4 * participants.size());
  out(static_cast<uint32_t>(participants.size()));
  for (const VolumeId volume : participants) out(volume.packed());
  return out.take();
}
std::optional<std::vector<VolumeId>> decode_participants(BytesView value) {
  RowReader in(value);
  uint32_t count = 0;
  in(count);
  if (count > in.remaining() / sizeof(uint32_t)) return std::nullopt;
  std::vector<VolumeId> participants(count);
  for (VolumeId& volume : participants) {
    uint32_t packed = 0;
    in(packed);
    volume = VolumeId::unpack(packed);
  }
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return participants;
}
std::optional<TransactionId> decode_decision_key(BytesView key) {
  if (key.size() != 41) return std::nullopt;
  return TransactionId{{read_big_endian<uint64_t>(key, 1), read_big_endian<uint32_t>(key, 9),
                        read_big_endian<uint64_t>(key, 13)},
                       VolumeId::unpack(read_big_endian<uint32_t>(key, 21)),
                       read_big_endian<uint64_t>(key, 25),
                       read_big_endian<uint64_t>(key, 33)};
}

Bytes encode_finished(const FinishedRow& row) {
  const TransactionId& id = row.id;
  RowWriter out(25);
  out(id.request.sequence)(id.epoch)(id.attempt)(static_cast<uint8_t>(row.concluded ? 1 : 0));
  return out.take();
}
std::optional<FinishedRow> decode_finished(BytesView key, BytesView value) {
  if (key.size() != 17) return std::nullopt;
  FinishedRow row;
  row.id.request.session = read_big_endian<uint64_t>(key, 1);
  row.id.request.slot = read_big_endian<uint32_t>(key, 9);
  row.id.coordinator = VolumeId::unpack(read_big_endian<uint32_t>(key, 13));
  uint8_t concluded = 0;
  RowReader in(value);
  in(row.id.request.sequence)(row.id.epoch)(row.id.attempt)(concluded);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  row.concluded = concluded != 0;
  return row;
}

Bytes encode_slice_state(const SliceStateRow& row) {
  RowWriter out(29);
  out(row.state)(row.move.from.packed())(row.move.epoch)(row.move.number)(row.other.packed());
  out(row.parts);
  return out.take();
}
std::optional<SliceStateRow> decode_slice_state(BytesView value) {
  SliceStateRow row;
  uint32_t from = 0, other = 0;
  RowReader in(value);
  in(row.state)(from)(row.move.epoch)(row.move.number)(other)(row.parts);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  row.move.from = VolumeId::unpack(from);
  row.other = VolumeId::unpack(other);
  return row;
}

Bytes encode_u64(uint64_t value) { return RowWriter(8)(value).take(); }
std::optional<uint64_t> decode_u64(BytesView value) {
  uint64_t number = 0;
  RowReader in(value);
  in(number);
  if (!in.ok() || in.remaining() != 0) return std::nullopt;
  return number;
}

}  // namespace pairfs
