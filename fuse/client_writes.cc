// What ClientCore does about writes that the mount answered before they are executed: their order
// among the commands on the same file, and what waits until they are executed.
//
// As long as the session is the file's writer (kGrantWriter) nobody else sees the file, so that
// only this client's own commands can tell: those that name the file wait; a name's or a listing's
// attributes that may be older than such a write are asked for again, or left out. A recall of the
// file is answered when nothing is left to execute.
#include <algorithm>
#include <cerrno>

#include "common/messages.h"
#include "common/test_switch.h"
#include "fuse/client_core.h"

namespace pairfs {

namespace {
// No filesystem below holds files beyond this, whatever else may be wrong with a write there.
constexpr uint64_t kBehindMaxOffset = uint64_t{1} << 40;
// More would keep all slots from other commands.
constexpr unsigned kBehindMax = kSlotsPerSession / 2;
}  // namespace

bool ClientCore::may_write_behind(const Write& command, size_t bytes, Instant now) const {
  if (!settings_.write_behind || !settings_.cache || closing_ || !map_) return false;
  if (command.append || command.sync || bytes == 0) return false;
  if (command.offset_bytes > kBehindMaxOffset) return false;
  return !write_errors_.contains(command.inode.id) && cache_.is_writer(command.inode, now);
}

bool ClientCore::is_far_behind() const {
  return behind_bytes_ > kWriteBehindBytes / 2 || behind_count_ >= kBehindMax;
}

Ticket ClientCore::write_behind(const Write& command, Instant now, SharedBytes bulk) {
  PAIRFS_REACHED(written_behind);
  behind_bytes_ += bulk.size();
  ++behind_count_;
  ++behind_[command.inode.id].answered;
  behind_[command.inode.id].volume = map_->volume_of(command.inode.slice());
  return submit(command, now, std::move(bulk), std::nullopt, true);
}

int ClientCore::take_write_error(InodeRef inode) {
  const auto found = write_errors_.find(inode.id);
  if (found == write_errors_.end()) return 0;
  const int error = found->second;
  write_errors_.erase(found);
  return error;
}

// ---- order ----

// Writes that do not overlap may pass each other; everything else on the file waits for its writes.
bool ClientCore::may_pass_writes(const Request& request, const Behind& behind) const {
  if (PAIRFS_MUTANT(writes_overtaken)) return true;
  if (request.op != Write::kOp || request.write_end == 0) return behind.under_way.empty();
  return std::none_of(behind.under_way.begin(), behind.under_way.end(), [&](const Range& other) {
    return other.begin < request.write_end && request.write_begin < other.end;
  });
}

// True: the request stays queued until writes that it must not pass are executed.
bool ClientCore::waits_for_writes(Request& request) {
  if (behind_.empty()) return false;
  for (const uint64_t inode_id : request.about) {
    const auto found = inode_id == 0 ? behind_.end() : behind_.find(inode_id);
    if (found == behind_.end()) continue;
    Behind& behind = found->second;
    if (behind.waiting.empty() && may_pass_writes(request, behind)) continue;
    PAIRFS_REACHED(behind_waited_for);
    request.state = State::kQueued;
    set_timer(request, Instant::max());
    behind.waiting.push_back(request.ticket);
    return true;
  }
  note_write_begins(request);
  return false;
}

void ClientCore::note_write_begins(const Request& request) {
  if (request.op != Write::kOp) return;
  const auto found = behind_.find(request.about[0]);
  if (found != behind_.end())
    found->second.under_way.push_back({request.ticket, request.write_begin, request.write_end});
}

// A request on files has ended, one way or the other.
void ClientCore::write_ended(const Request& request, int error, Instant now) {
  if (request.op != Write::kOp || behind_.empty()) return;
  const uint64_t inode_id = request.about[0];
  const auto found = behind_.find(inode_id);
  if (found == behind_.end()) return;
  Behind& behind = found->second;
  std::erase_if(behind.under_way,
                [&](const Range& range) { return range.ticket == request.ticket; });
  if (request.behind) {
    --behind.answered;
    behind_bytes_ -= request.bulk.size();
    --behind_count_;
    recent_writes_[inode_id] = now;
    if (error != 0) {
      write_errors_.try_emplace(inode_id, error);
      cache_.end_writer(inode_id);
    }
  }
  ended_writes_.push_back(inode_id);
}

// Sends what waited for them. Not from within the end of a request, which may be on its way to one
// of these queues.
void ClientCore::pass_ended_writes(Instant now) {
  while (!ended_writes_.empty()) {
    const uint64_t inode_id = ended_writes_.back();
    ended_writes_.pop_back();
    for (;;) {
      const auto found = behind_.find(inode_id);
      if (found == behind_.end()) break;
      Behind& behind = found->second;
      Request* next = nullptr;
      while (!behind.waiting.empty() && (next = find(behind.waiting.front())) == nullptr)
        behind.waiting.pop_front();
      if (next != nullptr && may_pass_writes(*next, behind)) {
        behind.waiting.pop_front();
        if (!waits_for_writes_elsewhere(*next, inode_id)) {
          note_write_begins(*next);
          dispatch(*next, now);
        }
        continue;
      }
      if (behind.answered == 0) send_waiting_give_backs(behind, now);
      if (behind.answered == 0 && behind.under_way.empty() && behind.waiting.empty())
        behind_.erase(found);
      break;
    }
  }
  if (behind_.empty()) {
    for (const UnknownGiveBack& back : std::exchange(unknown_give_backs_, {}))
      give_back(back.volume, back.epoch, {back.number}, now);
    if (recent_writes_.size() > kRecentWritesMax) recent_writes_.clear();
  } else if (!unknown_give_backs_.empty()) {
    std::vector<UnknownGiveBack> later;
    for (const UnknownGiveBack& back : std::exchange(unknown_give_backs_, {})) {
      if (answers_writes_of(back.volume))
        later.push_back(back);
      else
        give_back(back.volume, back.epoch, {back.number}, now);
    }
    unknown_give_backs_ = std::move(later);
  }
}

// It names another file with writes: it queues up there, too.
bool ClientCore::waits_for_writes_elsewhere(Request& request, uint64_t but) {
  for (const uint64_t inode_id : request.about) {
    if (inode_id == 0 || inode_id == but) continue;
    const auto found = behind_.find(inode_id);
    if (found == behind_.end() || may_pass_writes(request, found->second)) continue;
    found->second.waiting.push_back(request.ticket);
    return true;
  }
  return false;
}

// ---- what may be older than a write ----

bool ClientCore::may_miss_write(const Request& request, uint64_t inode_id) const {
  if (PAIRFS_MUTANT(writes_overtaken)) return false;
  const auto found = behind_.find(inode_id);
  if (found != behind_.end() && found->second.answered > 0) return true;
  const auto recent = recent_writes_.find(inode_id);
  return recent != recent_writes_.end() && recent->second >= request.submitted_at;
}

// True: the name's attributes are asked for once more.
bool ClientCore::look_again_after_writes(Request& request, BytesView body, Instant now) {
  if (request.op != Lookup::kOp || (behind_.empty() && recent_writes_.empty())) return false;
  const auto reply = decode<EntryReply>(body);
  if (!reply || reply->remote || !may_miss_write(request, reply->attributes.inode.id)) return false;
  const uint64_t inode_id = reply->attributes.inode.id;
  unassign(request, now);
  request.submitted_at = now + Duration(1);
  request.state = State::kQueued;
  set_timer(request, Instant::max());
  if (const auto found = behind_.find(inode_id); found != behind_.end())
    found->second.waiting.push_back(request.ticket);
  else
    dispatch(request, now);
  return true;
}

// A listing's attributes that may be too old are left out.
SharedBytes ClientCore::without_old_attributes(const Request& request, SharedBytes body) const {
  if (request.op != ReadDirectory::kOp || (behind_.empty() && recent_writes_.empty())) return body;
  auto reply = decode<DirectoryReply>(body.view());
  if (!reply) return body;
  bool any = false;
  for (DirectoryEntry& entry : reply->entries) {
    if (!entry.has_attributes || !may_miss_write(request, entry.inode.id)) continue;
    entry.has_attributes = false;
    any = true;
  }
  return any ? SharedBytes::from(encode(*reply)) : body;
}

// ---- giving back ----

bool ClientCore::answers_writes_of(VolumeId volume) const {
  return std::any_of(behind_.begin(), behind_.end(), [volume](const auto& item) {
    return item.second.answered > 0 && item.second.volume == volume;
  });
}

void ClientCore::give_back(VolumeId volume, Epoch epoch, const std::vector<uint64_t>& numbers,
                           Instant now) {
  if (numbers.empty() || epoch < channels_[volume].epoch) return;
  GiveBack back;
  back.slice = slice_of_volume(volume).value_or(0);
  back.numbers.assign(numbers.begin(), numbers.end());
  start_internal(Role::kGiveBack, back.slice, GiveBack::kOp, encode(back), now);
}

void ClientCore::send_waiting_give_backs(Behind& behind, Instant now) {
  for (const auto& [epoch, number] : std::exchange(behind.give_backs, {}))
    give_back(behind.volume, epoch, {number}, now);
}

// True: the recall is answered when the writes that were answered are executed.
bool ClientCore::give_back_later(VolumeId volume, Epoch epoch, uint64_t inode_id, uint64_t number) {
  if (PAIRFS_MUTANT(given_back_unwritten)) return false;
  if (inode_id == 0) {
    if (!answers_writes_of(volume)) return false;
    const bool known = std::any_of(unknown_give_backs_.begin(), unknown_give_backs_.end(),
                                   [&](const UnknownGiveBack& back) {
                                     return back.volume == volume && back.number == number;
                                   });
    if (!known) unknown_give_backs_.push_back({volume, epoch, number});
    return true;
  }
  const auto found = behind_.find(inode_id);
  if (found == behind_.end() || found->second.answered == 0) return false;
  PAIRFS_REACHED(give_back_waits_for_writes);
  found->second.give_backs.insert({epoch, number});
  return true;
}

}  // namespace pairfs
