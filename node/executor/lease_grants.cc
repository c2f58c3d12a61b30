#include "node/executor/lease_grants.h"

#include <algorithm>

#include "common/row_codec.h"
#include "common/test_switch.h"

namespace pairfs {

namespace {

// The inode whose lease covers a row; 0: none does.
uint64_t covered_inode(BytesView key) {
  if (key.size() < 9) return 0;
  switch (static_cast<Family>(key[0])) {
    case Family::kInode:
    case Family::kEntry:
    case Family::kXattr:
    case Family::kSymlink:
      return read_big_endian<uint64_t>(key, 1);
    default:
      return 0;
  }
}

// A transaction is about to change the inode, or may have done so elsewhere.
bool is_under_intent(const VolumeState& state, uint64_t inode_id) {
  if (state.intents.empty()) return false;
  return state.intents.is_pinned(inode_id, nullptr) ||
         state.intents.is_locked(inode_key(inode_id), nullptr);
}

void want_back(Context& context, uint64_t inode_id, SessionId by) {
  LeaseTable& leases = context.state.leases;
  leases.change(inode_id, by, context.now);
  leases.add_waits(inode_id, context.input.request.session, context.out.waits_for);
}

}  // namespace

void wait_for_earlier_leases(VolumeState& state, SessionId asker, Executed& out) {
  if (state.leases.has_unknown())
    state.leases.add_unknown_waits(asker, out.waits_for);
  else
    state.changed_before.clear();
}

void note_seen(Context& context) {
  VolumeState& state = context.state;
  const SessionId asker = context.input.request.session;
  if (PAIRFS_MUTANT(reads_overtake_recalls)) return;
  bool changed_before = false;
  for (const VolumeState::Seen& seen : state.seen) {
    state.leases.add_waits(seen.inode_id, asker, context.out.waits_for);
    changed_before |= !state.changed_before.empty() && state.changed_before.contains(seen.inode_id);
  }
  if (changed_before) wait_for_earlier_leases(state, asker, context.out);
}

bool note_changed(Context& context, const NamedInodes& named) {
  VolumeState& state = context.state;
  const SessionId by = context.input.request.session;
  Executed& out = context.out;
  bool told_all = true, any = false;
  uint64_t last = 0;
  const auto note = [&](uint64_t inode_id) {
    if (inode_id == 0 || inode_id == last) return;
    last = inode_id;
    any = true;
    if (context.replaying || state.leases.has_unknown()) state.changed_before.insert(inode_id);
    if (context.replaying) return;
    want_back(context, inode_id, by);
    if (std::find(named.begin(), named.end(), inode_id) != named.end()) return;
    if (out.changed[0] == inode_id || out.changed[1] == inode_id) return;
    if (out.changed[0] == 0)
      out.changed[0] = inode_id;
    else if (out.changed[1] == 0)
      out.changed[1] = inode_id;
    else
      told_all = false;
  };
  for (const Changes::Row& row : context.tx.changes().rows) {
    const uint64_t inode_id = covered_inode(row.key);
    note(inode_id);
    const bool erased = !row.value && row.key[0] == static_cast<char>(Family::kInode);
    if (erased && !context.replaying) state.leases.erased(inode_id, by);
  }
  for (const Changes::Data& data : context.tx.changes().data) note(data.inode_id);
  if (any && !context.replaying) wait_for_earlier_leases(state, by, out);
  return told_all;
}

void note_promised(Context& context, const Prepare& command, const Result<PrepareReply>& vote) {
  if (context.replaying) {
    context.state.changed_before.insert(command.part.inode.id);
    return;
  }
  want_back(context, command.part.inode.id, 0);
  if (vote) want_back(context, vote->inode.id, 0);
  wait_for_earlier_leases(context.state, 0, context.out);
}

void grant_lease(Context& context, const InodeRef& inode, uint32_t bit, uint32_t acl_bit) {
  VolumeState& state = context.state;
  if (!context.owns(inode) || is_under_intent(state, inode.id)) return;
  if (!state.leases.grant(context.input.request.session, inode.id, context.now)) return;
  context.out.lease_grants |= bit;
  // What the command made has its ACL from its directory, and was not looked at before.
  bool seen_itself = false, parent_default = false, has_acl = false;
  for (const VolumeState::Seen& seen : state.seen) {
    if (seen.inode_id == inode.id) {
      seen_itself = true;
      has_acl = (seen.flags & Inode::kAccessAcl) != 0;
    }
    parent_default |= (seen.flags & Inode::kDefaultAcl) != 0;
  }
  if (seen_itself ? has_acl : parent_default) context.out.lease_grants |= acl_bit;
}

void let_write_behind(Context& context, const InodeRef& inode) {
  VolumeState& state = context.state;
  const SessionId session = context.input.request.session;
  if (!state.leases.writes_alone(session, inode.id)) return;
  // What it will answer must find room: as much as one session has under way, from each.
  const uint64_t room = kWriteBehindBytes * (1 + state.sessions.live().size()) + kReserveBytes;
  if (state.available_bytes < room || state.log_room_bytes < room) return;
  // A session that may hold leases of an earlier executor could have let its kernel keep old data.
  if (state.leases.has_unknown()) return;
  const auto noted = state.noted_writers.find(inode.id);
  if (noted == state.noted_writers.end() || noted->second != session) {
    if (state.leases.writers().size() + state.wanted_writers.size() < NoteWriters::kMax)
      state.wanted_writers[inode.id] = session;
    return;
  }
  PAIRFS_REACHED(writer_let);
  state.leases.set_writer(session, inode.id);
  context.out.lease_grants |= kGrantWriter;
}

Status check_not_written_behind(const Context& context, uint64_t inode_id) {
  VolumeState& state = context.state;
  if (context.replaying || context.deciding || PAIRFS_MUTANT(writer_not_asked)) return success();
  const SessionId asker = context.input.request.session;
  // What nodes do by themselves shows nobody anything; but a promise locks the file until it is
  // decided, and the writer could not give it back then.
  if (asker == 0 && context.input.op != Prepare::kOp) return success();
  const SessionId writer = state.leases.writer_of(inode_id);
  if (writer != 0 && writer != asker) {
    PAIRFS_REACHED(writer_asked);
    state.leases.recall_writer(inode_id, context.now);
    return Errno{kHeld};
  }
  if (state.earlier_writers.empty()) return success();
  const auto earlier = state.earlier_writers.find(inode_id);
  if (earlier == state.earlier_writers.end() || earlier->second == asker) return success();
  if (state.leases.is_unknown(earlier->second)) {
    PAIRFS_REACHED(earlier_writer_waited_for);
    return Errno{kHeld};
  }
  state.earlier_writers.erase(earlier);
  return success();
}

void grant_listing(Context& context, const DirectoryReply& reply) {
  VolumeState& state = context.state;
  bool all = true, any = false, acl = false;
  for (const DirectoryEntry& entry : reply.entries) {
    if (!entry.has_attributes) continue;
    any = true;
    all = all && !is_under_intent(state, entry.inode.id) &&
          state.leases.grant(context.input.request.session, entry.inode.id, context.now);
    if (!all) return;
  }
  if (!any) return;
  for (const VolumeState::Seen& seen : state.seen) acl |= (seen.flags & Inode::kAccessAcl) != 0;
  context.out.lease_grants |= kGrantEntry;
  if (acl) context.out.lease_grants |= kGrantEntryAcl;
}

}  // namespace pairfs
