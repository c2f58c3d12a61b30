// ReceiveSlice, TakeSlice, GiveSlice, OpenSlice, ClearSlice: a slice goes from one volume to
// another. All may come twice and late.
//
// * The copy lies in the target's store under its final keys, and nobody looks at it there: the
//   target does not have the slice. A newer move begins by clearing what an older one left.
// * GiveSlice is the commit point. Before it, the source may give up, change the slice and begin
//   anew; after it, the source never answers for the slice again unless it comes back by a move.
// * The target serves when the source has told it of the commit (OpenSlice), which the source
//   repeats until it is confirmed, also after a takeover.
#include "common/row_codec.h"
#include "common/test_switch.h"
#include "node/executor/operations/declared.h"
#include "node/executor/operations/operations.h"

namespace pairfs {

namespace {
constexpr uint64_t kClearRowsMax = 512;  // of one command

bool is_regular_inode(BytesView key, BytesView value) {
  if (key[0] != static_cast<char>(Family::kInode) || key.size() != 9) return false;
  const auto inode = decode_inode(read_big_endian<uint64_t>(key, 1), value);
  return inode && inode->is_regular();
}

// Erases rows of the slice, at most kClearRowsMax, with the data of the inodes among them. Gives
// their number.
uint64_t clear_some(Context& context, Slice slice) {
  Transaction& tx = context.tx;
  uint64_t erased = 0;
  for (const Bytes& prefix : slice_prefixes(slice)) {
    if (erased >= kClearRowsMax) break;
    tx.store().scan(prefix, after_prefix(prefix), [&](BytesView key, BytesView value) {
      if (is_regular_inode(key, value))
        tx.change_data(
            {.what = Changes::Data::What::kDrop, .inode_id = read_big_endian<uint64_t>(key, 1)});
      tx.erase(Bytes(key));
      return ++erased < kClearRowsMax;
    });
  }
  return erased;
}

CountReply parts_reply(uint32_t parts) { return CountReply{.count = parts}; }

// True when `move` may begin, or begin again, on a volume where the slice is as `row` says.
bool may_begin(const SliceStateRow* row, const SliceMoveId& move) {
  if (row == nullptr) return true;
  if (row->state == SliceStateRow::kOwned) return false;
  if (PAIRFS_MUTANT(older_move_received)) return true;
  // Who gives it has it, so whoever it was given to here has opened it, said so or not.
  if (slice_version(row->move) != slice_version(move))
    return slice_version(row->move) < slice_version(move);
  const bool went = row->state == SliceStateRow::kGiven || row->state == SliceStateRow::kGone;
  return !went && row->move < move;
}

Status put_part(Context& context, const ReceiveSlice& command) {
  Transaction& tx = context.tx;
  for (const SliceRow& row : command.rows) {
    if (slice_of_key(row.key) != command.moving) return Errno{kNotLogged + EINVAL};
    if (row.erased)
      tx.erase(row.key);
    else
      tx.put(row.key, row.value);
  }
  uint64_t at = 0;
  const SharedBytes& bulk = context.input.bulk;
  for (const SliceData& data : command.data) {
    if (InodeRef{data.inode_id}.slice() != command.moving) return Errno{kNotLogged + EINVAL};
    Changes::Data change{.what = Changes::Data::What::kPunch,
                         .inode_id = data.inode_id,
                         .offset_bytes = data.offset_bytes,
                         .length_bytes = data.length_bytes};
    if (!data.hole) {
      if (data.length_bytes > bulk.size() - at) return Errno{kNotLogged + EINVAL};
      change.what = Changes::Data::What::kWrite;
      change.bytes = bulk.part(at, data.length_bytes);
      at += data.length_bytes;
    }
    tx.change_data(std::move(change));
  }
  return success();
}

void take_sessions(Context& context, const TakeSlice& command) {
  SessionTable& sessions = context.state.sessions;
  for (const SliceSession& taken : command.sessions) {
    auto row = decode_session(taken.row);
    if (!row || sessions.find(taken.session) != nullptr || sessions.is_expired(taken.session))
      continue;
    context.tx.put(session_key(taken.session), taken.row);
    sessions.open(taken.session, std::move(*row)).heard = context.now;
  }
  for (const SliceReply& taken : command.replies) {
    Session* session = sessions.find(taken.session);
    auto row = decode_reply_row(taken.row);
    if (!row || session == nullptr) continue;
    const auto last = session->slots.find(taken.slot);
    if (last != session->slots.end() && last->second.sequence >= row->sequence &&
        !(last->second.sequence == row->sequence && last->second.number_only()))
      continue;
    context.tx.put(reply_key(taken.session, taken.slot), taken.row);
    session->slots[taken.slot] = std::move(*row);
  }
}
}  // namespace

Result<CountReply> run(Context& context, ReceiveSlice& command) {
  SliceTable& slices = context.state.slices;
  const SliceStateRow* row = slices.find(command.moving);
  const bool known = row != nullptr && row->move == command.move &&
                     row->state != SliceStateRow::kGone && row->state != SliceStateRow::kGiven;
  const bool fits = context.replaying || context.tx.store().status().available_bytes >
                                             2 * kReserveBytes + context.input.bulk.size();
  if (!fits) return Errno{kNotLogged + ENOSPC};
  SliceStateRow next{.state = SliceStateRow::kReceiving, .move = command.move};
  if (known) {
    next = *row;
    const bool next_part = command.part == row->parts ||
                           (PAIRFS_MUTANT(part_received_twice) && command.part < row->parts);
    if (row->state != SliceStateRow::kReceiving || !next_part) {
      context.unlogged = true;  // had it before, or an earlier one is missing
      return parts_reply(row->parts);
    }
  } else if (command.part != 0 || !may_begin(row, command.move)) {
    return Errno{kNotLogged + ESTALE};
  }
  if (command.part == 0 && !PAIRFS_MUTANT(old_copy_kept) &&
      clear_some(context, command.moving) == kClearRowsMax) {
    slices.set(context.tx, command.moving, next);
    return parts_reply(0);
  }
  PAIRFS_TRY(put_part(context, command));
  if (command.part == next.parts) ++next.parts;
  slices.set(context.tx, command.moving, next);
  return parts_reply(next.parts);
}

Result<Empty> run(Context& context, TakeSlice& command) {
  VolumeState& state = context.state;
  context.out.needs_sync = !PAIRFS_MUTANT(taken_unsynced);
  const SliceStateRow* row = state.slices.find(command.moving);
  if (row == nullptr || row->move != command.move) return Errno{kNotLogged + ESTALE};
  if (row->state == SliceStateRow::kTaken || row->state == SliceStateRow::kOwned) {
    context.unlogged = true;
    return Empty{};
  }
  if (row->state != SliceStateRow::kReceiving || row->parts != command.parts)
    return Errno{kNotLogged + ESTALE};
  take_sessions(context, command);
  SliceStateRow taken = *row;
  taken.state = PAIRFS_MUTANT(opened_when_taken) ? SliceStateRow::kOwned : SliceStateRow::kTaken;
  state.slices.set(context.tx, command.moving, taken);
  if (command.high_water > state.high_water) {
    state.high_water = command.high_water;
    context.tx.put(volume_key(), encode_volume_row({.high_water = state.high_water}));
  }
  return Empty{};
}

Result<Empty> run(Context& context, GiveSlice& command) {
  VolumeState& state = context.state;
  context.out.needs_sync = !PAIRFS_MUTANT(given_unsynced);
  const SliceStateRow* row = state.slices.find(command.moving);
  if (row == nullptr) return Errno{kNotLogged + ESTALE};
  if (row->move == command.move &&
      (row->state == SliceStateRow::kGiven || row->state == SliceStateRow::kGone)) {
    context.unlogged = true;
    return Empty{};
  }
  if (row->state != SliceStateRow::kOwned) return Errno{kNotLogged + ESTALE};
  if (!context.replaying && ((!state.slices.is_sealed_for(command.moving, command.move) &&
                              !PAIRFS_MUTANT(given_unsealed)) ||
                             state.intents.touches(command.moving)))
    return Errno{kNotLogged + EBUSY};
  SliceStateRow given{.state = SliceStateRow::kGiven, .move = command.move, .other = command.to};
  if (PAIRFS_MUTANT(given_and_kept)) given.state = SliceStateRow::kOwned;
  state.slices.set(context.tx, command.moving, given);
  const auto stays = [&](uint64_t inode_id) {
    return InodeRef{inode_id}.slice() != command.moving;
  };
  state.locks.keep_only(stays);
  state.handles.keep_only(stays);
  if (!PAIRFS_MUTANT(numbers_kept)) state.next_inode_number.erase(command.moving);
  std::erase_if(state.pending_atimes, [&](const auto& item) { return !stays(item.first); });
  return Empty{};
}

Result<Empty> run(Context& context, OpenSlice& command) {
  VolumeState& state = context.state;
  context.out.needs_sync = !PAIRFS_MUTANT(opened_unsynced);
  const SliceStateRow* row = state.slices.find(command.moving);
  if (row == nullptr || row->move != command.move || row->state != SliceStateRow::kTaken) {
    context.unlogged = true;  // it was opened before, and may have gone on since
    return Empty{};
  }
  SliceStateRow owned = *row;
  owned.state = SliceStateRow::kOwned;
  state.slices.set(context.tx, command.moving, owned);
  if (!PAIRFS_MUTANT(numbers_kept)) state.next_inode_number.erase(command.moving);
  const VolumeStore& store = context.tx.store();
  state.locks.load_slice(store, command.moving);
  Bytes orphans = family_key(Family::kOrphan);
  append_big_endian(orphans, command.moving);
  // Who holds them open has told the source, not this volume.
  for (auto& [id, session] : state.sessions.live()) session.declared = false;
  update_all_declared(state);
  store.scan(orphans, after_prefix(orphans), [&](BytesView key, BytesView) {
    if (!PAIRFS_MUTANT(orphans_forgotten))
      state.handles.add_orphan(read_big_endian<uint64_t>(key, 1));
    return true;
  });
  return Empty{};
}

Result<CountReply> run(Context& context, ClearSlice& command) {
  SliceTable& slices = context.state.slices;
  const SliceStateRow* row = slices.find(command.moving);
  const bool given = row != nullptr && row->state == SliceStateRow::kGiven;
  if (row == nullptr || (row->state != SliceStateRow::kGone && !(given && command.opened))) {
    context.unlogged = true;
    return CountReply{};
  }
  const uint64_t count = clear_some(context, command.moving);
  if (given) {
    SliceStateRow gone = *row;
    gone.state = SliceStateRow::kGone;
    slices.set(context.tx, command.moving, gone);
  } else if (count == 0) {
    context.unlogged = true;
  }
  return CountReply{.count = count};
}

}  // namespace pairfs
