#include "node/executor/slice_giver.h"

#include <algorithm>

#include "common/codec.h"
#include "common/ensure.h"
#include "common/row_codec.h"
#include "common/test_switch.h"

namespace pairfs {

namespace {
using std::chrono::milliseconds;
constexpr size_t kRowsOfPart = 512;
constexpr size_t kBytesOfPart = 512 << 10;
constexpr uint64_t kChunkBytes = 1 << 20;
constexpr size_t kFewRows = 64;  // then the slice may stand still
constexpr size_t kFewChunks = 2;
constexpr unsigned kRoundsMax = 20;  // of copying what has changed, before it stands still anyhow
constexpr Duration kResendAfter = milliseconds(300);
constexpr Duration kNotReadyPause = milliseconds(30);
constexpr Duration kLookAgain = milliseconds(2);  // whether the transactions have ended
constexpr Duration kTransactionsMax = milliseconds(40);
constexpr Duration kTryAgain = milliseconds(200);
constexpr Duration kBeginAgain = std::chrono::seconds(1);
}  // namespace

void SliceGivers::load() {
  givers_.clear();
  to_clear_.clear();
  for (const auto& [slice, row] : state_.slices.rows()) {
    if (row.state == SliceStateRow::kGone) to_clear_.push_back(slice);
    if (row.state != SliceStateRow::kGiven || PAIRFS_MUTANT(given_and_forgotten)) continue;
    Giver& giver = givers_[slice];
    giver.slice = slice;
    giver.to = row.other;
    giver.move = row.move;
    giver.phase = Phase::kOpening;
  }
  std::sort(to_clear_.begin(), to_clear_.end());
}

void SliceGivers::begin(Slice slice, VolumeId to) {
  if (!state_.slices.owns(slice) || givers_.contains(slice) || to == config_.volume) return;
  Giver& giver = givers_[slice];
  giver.slice = slice;
  giver.to = to;
  start_copy(giver);
}

void SliceGivers::start_copy(Giver& giver) {
  const SliceStateRow* row = state_.slices.find(giver.slice);
  const uint64_t version = row == nullptr ? 0 : slice_version(row->move);
  giver.move = {config_.volume, config_.epoch, make_move_number(version + 1, next_move_++)};
  giver.phase = Phase::kCopying;
  giver.prefixes = slice_prefixes(giver.slice);
  if (PAIRFS_MUTANT(counter_left_behind))
    std::erase(giver.prefixes, slice_counter_key(giver.slice));
  giver.from.clear();
  giver.data.clear();
  giver.changed_rows.clear();
  giver.changed_chunks.clear();
  giver.changed_tails.clear();
  giver.parts = 0;
  giver.rounds = 0;
}

void SliceGivers::note_changes(const Changes& changes) {
  if (givers_.empty() || PAIRFS_MUTANT(changes_not_copied)) return;
  const auto giver_of = [&](std::optional<Slice> slice) -> Giver* {
    const auto found = slice ? givers_.find(*slice) : givers_.end();
    return found == givers_.end() || found->second.phase > Phase::kTaking ? nullptr
                                                                          : &found->second;
  };
  for (const Changes::Row& row : changes.rows)
    if (Giver* giver = giver_of(slice_of_key(row.key))) {
      ENSURE(giver->phase == Phase::kCopying, "slice {} changes after it was sealed", giver->slice);
      giver->changed_rows.insert(row.key);
    }
  for (const Changes::Data& data : changes.data) {
    Giver* giver = giver_of(InodeRef{data.inode_id}.slice());
    if (giver == nullptr) continue;
    ENSURE(giver->phase == Phase::kCopying, "slice {} changes after it was sealed", giver->slice);
    const bool all = data.what == Changes::Data::What::kDrop;
    const uint64_t begin = all ? 0 : data.offset_bytes;
    if (all || data.length_bytes > Changes::kToEnd - begin || data.length_bytes > (1 << 30)) {
      const auto [tail, added] = giver->changed_tails.emplace(data.inode_id, begin);
      if (!added) tail->second = std::min(tail->second, begin);
      continue;
    }
    for (uint64_t chunk = begin / kChunkBytes; chunk * kChunkBytes < begin + data.length_bytes;
         ++chunk)
      giver->changed_chunks.emplace(data.inode_id, chunk);
  }
}

SliceProgress SliceGivers::progress() const {
  SliceProgress progress = progress_;
  progress.moving = givers_.size();
  return progress;
}

template <class C>
void SliceGivers::send(Giver& giver, const C& command, Instant now, SharedBytes bulk) {
  giver.tag = next_tag_++;
  giver.sent = CommandInput{.op = C::kOp,
                            .request = {0, kUnslotted, 0},
                            .slice = giver.slice,
                            .body = SharedBytes::from(encode(command)),
                            .bulk = std::move(bulk),
                            .volume = command.volume};
  send_again(giver, now);
}

void SliceGivers::send_again(Giver& giver, Instant now) {
  giver.resend_at = now + kResendAfter;
  // With a slice the target gets answers, of which none may be of what a takeover could still undo
  // here: it would keep the request from ever being executed (P3).
  const bool when_durable = giver.sent->op == TakeSlice::kOp;
  effects_.send.push_back({giver.tag, *giver.sent, when_durable});
}

SliceEffects SliceGivers::step(Instant now) {
  if (givers_.empty() && !to_clear_.empty()) {  // nobody waits for these
    Giver& giver = givers_[to_clear_.front()];
    giver.slice = to_clear_.front();
    giver.phase = Phase::kClearing;
    to_clear_.pop_front();
  }
  for (auto& [slice, giver] : givers_) {
    if (may_give_up(giver) && now - giver.still_since > kStillMax) {
      if (giver.phase == Phase::kCopying)
        go_on_here(giver, now, kTryAgain);
      else
        give_up(giver, now);
    }
    if (giver.sent && now >= giver.resend_at) send_again(giver, now);
    if (giver.tag == 0 && now >= giver.wait_until) advance(giver, now);
  }
  for (const Slice slice : std::exchange(done_, {})) givers_.erase(slice);
  effects_.wake_at = Instant::max();
  for (const auto& [slice, giver] : givers_) {
    if (giver.sent) effects_.wake_at = std::min(effects_.wake_at, giver.resend_at);
    if (may_give_up(giver))
      effects_.wake_at = std::min(effects_.wake_at, giver.still_since + kStillMax);
    if (giver.tag == 0) effects_.wake_at = std::min(effects_.wake_at, giver.wait_until);
  }
  if (givers_.empty() && !to_clear_.empty()) effects_.wake_at = now;
  return std::exchange(effects_, {});
}

// The slice stands still, and is not given yet.
bool SliceGivers::may_give_up(const Giver& giver) const {
  return giver.still && giver.phase <= Phase::kGiving && state_.slices.owns(giver.slice);
}

void SliceGivers::advance(Giver& giver, Instant now) {
  switch (giver.phase) {
    case Phase::kCopying:
      return copy(giver, now);
    case Phase::kOpening:
      return send(giver, OpenSlice{giver.to, giver.move, giver.slice}, now);
    case Phase::kClearing:
      return send(giver, ClearSlice{config_.volume, giver.slice, true}, now);
    case Phase::kTaking:
    case Phase::kGiving:
      return;  // wait for answers
  }
}

// ---- the copy ----

void SliceGivers::copy(Giver& giver, Instant now) {
  ReceiveSlice part{
      .volume = giver.to, .move = giver.move, .moving = giver.slice, .part = giver.parts};
  if (!giver.prefixes.empty()) {
    read_rows(giver, part);
    if (part.rows.empty() && giver.parts != 0) return copy(giver, now);
    return send(giver, part, now);
  }
  if (fetch_data(giver, part)) return;
  const bool few = giver.changed_rows.size() <= kFewRows && giver.changed_tails.empty() &&
                   giver.changed_chunks.size() <= kFewChunks;
  if (!giver.still && (few || giver.rounds >= kRoundsMax)) {
    // The target knows of no leases.
    state_.leases.withdraw(giver.slice, now);
    if (state_.leases.may_be_held(giver.slice)) {
      giver.wait_until = now + kLookAgain;
      return;
    }
    giver.still = true;
    giver.still_since = now;
    state_.slices.freeze(giver.slice);
  }
  if (!giver.changed_rows.empty() || !giver.changed_chunks.empty() ||
      !giver.changed_tails.empty()) {
    ++giver.rounds;
    take_changes(giver, part);
    return send(giver, part, now);
  }
  if (!state_.intents.touches(giver.slice)) return seal(giver, now);
  giver.wait_until = now + kLookAgain;
  if (now - giver.still_since > kTransactionsMax) go_on_here(giver, now, kTryAgain);
}

// A part of the slice's rows, as they are now.
void SliceGivers::read_rows(Giver& giver, ReceiveSlice& part) {
  size_t bytes = 0;
  while (!giver.prefixes.empty()) {
    const Bytes& prefix = giver.prefixes.back();
    bool full = false;
    store_.scan(giver.from.empty() ? prefix : giver.from, after_prefix(prefix),
                [&](BytesView key, BytesView value) {
                  if (part.rows.size() >= kRowsOfPart || bytes >= kBytesOfPart) {
                    giver.from = Bytes(key);
                    full = true;
                    return false;
                  }
                  bytes += key.size() + value.size();
                  part.rows.push_back({.key = key, .value = value});
                  if (key[0] != static_cast<char>(Family::kInode)) return true;
                  const auto id = read_big_endian<uint64_t>(key, 1);
                  const auto inode = decode_inode(id, value);
                  if (inode && inode->is_regular() && inode->allocated_bytes != 0)
                    giver.data.push_back({id, 0, Changes::kToEnd});
                  return true;
                });
    if (full) break;
    giver.prefixes.pop_back();
    giver.from.clear();
  }
  progress_.rows += part.rows.size();
}

// The next data that are to be copied; false: there are none.
bool SliceGivers::fetch_data(Giver& giver, ReceiveSlice part) {
  while (!giver.data.empty()) {
    Range& range = giver.data.front();
    const auto begin = store_.seek(range.inode_id, range.begin, true);
    if (!begin || *begin >= range.end) {
      giver.data.pop_front();
      continue;
    }
    const uint64_t hole = store_.seek(range.inode_id, *begin, false).value_or(*begin + kChunkBytes);
    const uint64_t length = std::min({hole - *begin, range.end - *begin, kChunkBytes});
    part.data.push_back(
        {.inode_id = range.inode_id, .offset_bytes = *begin, .length_bytes = length});
    range.begin = *begin + length;
    giver.tag = next_tag_++;
    giver.part = std::move(part);
    effects_.fetch.push_back({giver.tag, store_.plan_read(range.inode_id, *begin, length)});
    progress_.bytes += length;
    return true;
  }
  return false;
}

// What changed since it was copied, as it is now. Data follow by fetch_data().
void SliceGivers::take_changes(Giver& giver, ReceiveSlice& part) {
  size_t bytes = 0;
  auto row = giver.changed_rows.begin();
  for (; row != giver.changed_rows.end() && part.rows.size() < kRowsOfPart && bytes < kBytesOfPart;
       ++row) {
    auto value = store_.get(*row);
    bytes += row->size() + (value ? value->size() : 0);
    part.rows.push_back({*row, !value.has_value(), value.value_or(Bytes())});
  }
  giver.changed_rows.erase(giver.changed_rows.begin(), row);
  progress_.rows += part.rows.size();
  const auto take = [&](const Range& range) {
    part.data.push_back(
        {.inode_id = range.inode_id,
         .offset_bytes = range.begin,
         .length_bytes = range.end == Changes::kToEnd ? Changes::kToEnd : range.end - range.begin,
         .hole = true});
    giver.data.push_back(range);
  };
  for (auto& [inode_id, begin] : giver.changed_tails)
    take({inode_id, round_down_to_block(begin), Changes::kToEnd});
  giver.changed_tails.clear();
  for (const auto& [inode_id, chunk] : giver.changed_chunks) {
    if (part.data.size() >= 4000) break;
    take({inode_id, chunk * kChunkBytes, (chunk + 1) * kChunkBytes});
  }
  std::erase_if(giver.changed_chunks, [&](const auto& item) {
    return std::any_of(part.data.begin(), part.data.end(), [&](const SliceData& data) {
      return data.inode_id == item.first && data.offset_bytes == item.second * kChunkBytes &&
             data.length_bytes == kChunkBytes;
    });
  });
}

// Everything is at the target; nothing changes here any more.
void SliceGivers::seal(Giver& giver, Instant now) {
  state_.slices.seal(giver.slice, giver.move);
  giver.phase = Phase::kTaking;
  TakeSlice take{.volume = giver.to,
                 .move = giver.move,
                 .moving = giver.slice,
                 .parts = giver.parts,
                 .high_water = state_.high_water};
  for (const auto& [id, session] : state_.sessions.live()) {
    take.sessions.push_back({id, encode_session(session.row)});
    for (const auto& [slot, reply] : session.slots)
      if (reply.sequence != 0 && !PAIRFS_MUTANT(replies_left_behind))
        take.replies.push_back(
            {id, slot,
             encode_reply_row(
                 reply.slice == giver.slice
                     ? reply
                     : ReplyRow{reply.sequence, ReplyRow::kNumberOnly, {}, reply.slice})});
  }
  send(giver, take, now);
}

void SliceGivers::thaw(Giver& giver) {
  if (!giver.still) return;
  giver.still = false;
  state_.slices.thaw(giver.slice);
  state_.leases.allow(giver.slice);
  state_.handles.reconsider();
}

// The copy stays, and is kept up to date; the slice stands still again later.
void SliceGivers::go_on_here(Giver& giver, Instant now, Duration pause) {
  thaw(giver);
  giver.rounds = 0;
  giver.wait_until = now + pause;
}

// The target may have taken the slice: from now on its copy is worth nothing.
void SliceGivers::give_up(Giver& giver, Instant now) {
  ++progress_.aborted;
  thaw(giver);
  giver.tag = 0;
  giver.sent.reset();
  giver.part.reset();
  giver.wait_until = now + kBeginAgain;
  start_copy(giver);
}

// ---- answers ----

void SliceGivers::fetched(uint64_t tag, Result<SharedBytes> data, Instant now) {
  for (auto& [slice, giver] : givers_) {
    if (giver.tag != tag || !giver.part) continue;
    giver.tag = 0;
    const ReceiveSlice part = std::move(*giver.part);
    giver.part.reset();
    if (data.ok())
      send(giver, part, now, std::move(*data));
    else
      give_up(giver, now);
    return;
  }
}

void SliceGivers::on_part(Giver& giver, const Bytes& reply, Instant now) {
  const auto decoded = decode<CountReply>(reply);
  if (!decoded) return give_up(giver, now);
  const CommandInput sent = std::move(*giver.sent);
  giver.sent.reset();
  giver.tag = 0;
  if (decoded->count == giver.parts && giver.parts == 0) {  // it clears what was there before
    giver.tag = next_tag_++;
    giver.sent = sent;
    send_again(giver, now);
  } else if (decoded->count == giver.parts + 1U) {
    ++giver.parts;
  } else {
    give_up(giver, now);
  }
}

void SliceGivers::answered(uint64_t tag, ReplyStatus status, int error, const Bytes& reply,
                           Instant now) {
  const auto found = std::find_if(givers_.begin(), givers_.end(), [&](const auto& item) {
    return item.second.tag == tag && item.second.sent;
  });
  if (found == givers_.end()) return;
  Giver& giver = found->second;
  if (status != ReplyStatus::kOutcome) {
    giver.resend_at = now + kNotReadyPause;
    return;
  }
  if (error != 0 && giver.phase <= Phase::kGiving) return give_up(giver, now);
  if (giver.phase == Phase::kCopying) return on_part(giver, reply, now);
  giver.tag = 0;
  giver.sent.reset();
  switch (giver.phase) {
    case Phase::kTaking:
      giver.phase = Phase::kGiving;
      return send(giver, GiveSlice{config_.volume, giver.move, giver.slice, giver.to}, now);
    case Phase::kGiving:
      giver.phase = PAIRFS_MUTANT(cleared_before_opened) ? Phase::kClearing : Phase::kOpening;
      return;
    case Phase::kOpening:
      if (giver.still)
        progress_.longest_freeze = std::max(progress_.longest_freeze, now - giver.still_since);
      thaw(giver);
      ++progress_.moved;
      giver.phase = Phase::kClearing;
      return;
    default:
      break;
  }
  const auto count = decode<CountReply>(reply);
  if (error != 0 || !count || count->count == 0) done_.push_back(giver.slice);
}

}  // namespace pairfs
