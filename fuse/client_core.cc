#include "fuse/client_core.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "common/crc32c.h"
#include "common/messages.h"
#include "common/test_switch.h"
#include "fuse/client_timing.h"

namespace pairfs {

ClientCore::ClientCore(Settings settings)
    : settings_(std::move(settings)),
      random_(settings_.random_seed),
      connected_(settings_.routers, false) {
  ENSURE(settings_.routers > 0, "no router");
}

// ---- submitting ----

void ClientCore::note_submitted(const Open& command, Request& request) {
  request.changes_opens = true;
  request.inode = command.inode;
  // A late answer to a write through an earlier handle may have made it a writer once more.
  cache_.end_writer(command.inode.id);
  opens_.opening(command.inode);
}

void ClientCore::note_submitted(const CreateFile&, Request& request) {
  request.changes_opens = true;
}

void ClientCore::note_submitted(const SetLock& command, Request& request) {
  request.inode = command.inode;
  const LockRange& range = command.range;
  if (range.type == F_UNLCK) {
    if (range.start == 0 && range.end == ~0ULL)
      locks_.unlocked_all(command.inode, range.owner, command.whole_file);
    return;
  }
  locks_.asked(command.inode, range.owner, command.whole_file);
  if (!command.wait) return;
  // Waiting locks may not use up the slots that the command which frees them needs.
  if (waiting_locks_ < kWaitingLocksMax) {
    request.waiting_lock = true;
    ++waiting_locks_;
    return;
  }
  request.polling_lock = true;
  SetLock asking = command;
  asking.wait = false;
  request.body = encode(asking);
}

Ticket ClientCore::start(Request request, Instant now, std::optional<Duration> retry_limit) {
  std::optional<Duration> limit = settings_.retry_limit;
  if (retry_limit && (!limit || *retry_limit < *limit)) limit = retry_limit;
  const bool lock = request.waiting_lock || request.polling_lock;
  if (lock) limit = settings_.retry_limit;
  if (limit) request.give_up = now + (lock ? *limit / 4 : *limit);
  if (!request.bulk.empty()) request.bulk_crc = crc32c(request.bulk.view());
  request.submitted_at = now;
  const Ticket ticket = request.ticket = next_ticket_++;
  Request& stored = requests_.emplace(ticket, std::move(request)).first->second;
  // A slice that no map has can only come from a damaged reply.
  if (closing_ || stored.slice >= kSliceCount)
    user_outcome(stored, EIO, {}, {}, now);
  else if (!waits_for_writes(stored))
    dispatch(stored, now);
  pass_ended_writes(now);
  return ticket;
}

Ticket ClientCore::start_internal(Role role, Slice slice, uint16_t op, Bytes body, Instant now,
                                  std::optional<InodeRef> inode) {
  Request request;
  request.role = role;
  request.op = op;
  request.mutation = is_logged(op);
  request.slice = slice;
  request.body = std::move(body);
  request.no_map_needed = role == Role::kMap;
  request.changes_opens = role == Role::kClose;
  request.inode = inode;
  const Ticket ticket = request.ticket = next_ticket_++;
  dispatch(requests_.emplace(ticket, std::move(request)).first->second, now);
  return ticket;
}

// Sends a request, or puts it into the queue of what it still lacks. Called again when that comes.
void ClientCore::dispatch(Request& request, Instant now) {
  request.state = State::kQueued;
  set_timer(request, Instant::max());
  if (request.no_map_needed) {
    assign(request, kUnslotted);
    transmit(request, now);
    return;
  }
  if (!map_) {
    for_map_.push_back(request.ticket);
    return;
  }
  request.volume = map_->volume_of(request.slice);
  VolumeChannel& channel = channel_of(request);
  switch (request.role) {
    case Role::kOpenSession:
    case Role::kCloseSession:
      assign(request, 0);
      transmit(request, now);
      return;
    case Role::kRenew:
    case Role::kDeclare:
    case Role::kGiveBack:
      assign(request, kUnslotted);
      transmit(request, now);
      return;
    default:
      break;
  }
  using Session = VolumeChannel::Session;
  if (channel.session_state == Session::kOpen && now - channel.heard_from > kSessionDoubtful) {
    channel.session_state = Session::kChecking;
    renew(request.volume, now);
  }
  if (channel.session_state != Session::kOpen) {
    channel.for_session.push_back(request.ticket);
    if (channel.session_state == Session::kNone) open_session(request.volume, now);
    return;
  }
  if (request.changes_opens && channel.declaring()) {
    channel.for_declare.push_back(request.ticket);
    return;
  }
  if (request.role == Role::kClose && opens_.in_use(*request.inode)) {
    // Opened again meanwhile: a Close now would drop the new handle. A declaration tells all.
    channel.declare_wanted = true;
    const VolumeId volume = request.volume;
    end(request, now);
    declare_if_due(volume, now);
    return;
  }
  uint32_t slot = kUnslotted;
  if (request.mutation) {
    const auto free = channel.take_slot();
    if (!free) {
      channel.for_slot.push_back(request.ticket);
      return;
    }
    slot = *free;
  }
  assign(request, slot);
  transmit(request, now);
}

// ---- request ids ----

void ClientCore::assign(Request& request, uint32_t slot) {
  // One counter for all slots and volumes: a slot's sequence grows, which is all that it must, and
  // the sequence alone finds the request again.
  request.id.session = request.no_map_needed ? 0 : channel_of(request).session;
  request.id.slot = slot == kUnslotted ? slot : make_slot(request.volume, slot);
  request.id.sequence = next_sequence_++;
  request.assigned = true;
  request.sends = 0;
  request.pause = Duration::zero();
  request.timeout = kTimeoutFirst;
  if (request.waiting_lock) request.timeout = kTimeoutMax;
  if (!request.no_map_needed) {
    VolumeChannel& channel = channel_of(request);
    request.timeout = std::clamp(4 * channel.smoothed_round_trip, request.timeout, kTimeoutMax);
    if (request.changes_opens) ++channel.open_commands;
  }
  by_sequence_[request.id.sequence] = request.ticket;
}

// Another request from now on, in the same slot. Replies to the earlier one are ignored.
void ClientCore::renumber(Request& request) {
  by_sequence_.erase(request.id.sequence);
  request.id.sequence = next_sequence_++;
  by_sequence_[request.id.sequence] = request.ticket;
}

void ClientCore::unassign(Request& request, Instant now) {
  if (!request.assigned) return;
  request.assigned = false;
  by_sequence_.erase(request.id.sequence);
  if (request.no_map_needed) return;
  const VolumeId volume = request.volume;
  VolumeChannel& channel = channels_[volume];
  const uint32_t slot = slot_index(request.id.slot);
  if (request.changes_opens) --channel.open_commands;
  if (request.id.slot != kUnslotted && slot != 0 && request.id.session == channel.session) {
    channel.give_slot(slot);
    while (!channel.for_slot.empty()) {
      Request* next = find(channel.for_slot.front());
      channel.for_slot.pop_front();
      if (next == nullptr) continue;
      dispatch(*next, now);
      break;
    }
  }
  declare_if_due(volume, now);
}

// ---- routers ----

size_t ClientCore::add_router(bool preferred) {
  connected_.push_back(false);
  if (preferred) preferred_router_ = connected_.size() - 1;
  return connected_.size() - 1;
}

void ClientCore::refresh(Instant now) {
  next_refresh_ = now + kRefreshPeriod;  // also while a reading is under way
  read_map(now);
}

// ---- sending ----

std::optional<size_t> ClientCore::choose_router() const {
  for (size_t i = 0; i < connected_.size(); ++i) {
    const size_t router = (current_router_ + i) % connected_.size();
    if (connected_[router]) return router;
  }
  return std::nullopt;
}

// The router did not help: the next one is tried, unless another request did that before.
void ClientCore::leave_router(size_t router, Instant now) {
  if (router != current_router_) return;
  if (router == preferred_router_) {
    // Mostly it was the node or its disk that was slow, and the way through others is longer.
    prefer_again_ = now + prefer_pause_;
    prefer_pause_ = std::min(2 * prefer_pause_, kPreferPauseMax);
  }
  current_router_ = (current_router_ + 1) % connected_.size();
  if (const auto next = choose_router()) current_router_ = *next;
}

void ClientCore::transmit(Request& request, Instant now) {
  if (preferred_router_ && now >= prefer_again_ && connected_[*preferred_router_])
    current_router_ = *preferred_router_;
  const auto router = choose_router();
  if (!router) {
    request.state = State::kNoLink;
    set_timer(request, Instant::max());
    for_link_.push_back(request.ticket);
    return;
  }
  MessageHeader header;
  header.op = request.op;
  header.slice = request.slice;
  header.cluster_id = map_ ? map_->cluster_id : 0;
  header.sender = settings_.incarnation;
  header.request = request.id;
  header.trace_id = request.ticket;
  if (request.sends > 0) header.flags |= kFlagRetry;
  if (settings_.write_behind && request.op == Write::kOp) header.flags |= kFlagWriteBehind;
  if (!request.bulk.empty()) {
    header.flags |= kFlagHasBulkCrc;
    header.bulk_length = static_cast<uint32_t>(request.bulk.size());
    header.bulk_crc = request.bulk_crc;
  }
  ++counters_.sent;
  if (request.sends > 0) ++counters_.resent;
  if (request.sends == 0) request.first_sent = now;
  ++request.sends;
  request.router = *router;
  request.sent_at = now;
  request.state = State::kSent;
  sends_.push_back({*router, SharedBytes::from(make_head(header, request.body)), request.bulk});
  set_timer(request, now + request.timeout);
}

void ClientCore::flush(std::deque<Ticket>& queue, Instant now) {
  // What still lacks something queues up again, maybe in the same queue.
  for (const Ticket ticket : std::exchange(queue, {}))
    if (Request* request = find(ticket)) dispatch(*request, now);
}

void ClientCore::link_changed(size_t router, bool connected, Instant now) {
  if (connected_[router] == connected) return;
  connected_[router] = connected;
  if (connected) {
    if (!connected_[current_router_] || router == preferred_router_) current_router_ = router;
    if (router == preferred_router_) prefer_again_ = now;
    for (const Ticket ticket : std::exchange(for_link_, {}))
      if (Request* request = find(ticket); request != nullptr && request->state == State::kNoLink)
        transmit(*request, now);
    if (!map_) read_map(now);
    return;
  }
  if (const auto next = choose_router()) current_router_ = *next;
  // What was on its way through the lost link may be lost.
  std::vector<Ticket> lost;
  for (const auto& [ticket, request] : requests_)
    if (request.state == State::kSent && request.router == router) lost.push_back(ticket);
  for (const Ticket ticket : lost)
    if (Request* request = find(ticket)) fire(*request, now);
  // Executors send their recalls by the way that they heard of this client last.
  for (auto& [volume, channel] : channels_)
    if (channel.session_state == VolumeChannel::Session::kOpen && cache_.holds_of(volume))
      renew(volume, now);
}

// ---- time ----

void ClientCore::set_timer(Request& request, Instant at) {
  request.due = at;
  at = std::min(at, request.give_up);
  if (request.timer == at) return;
  if (request.timer != Instant::max()) timers_.erase({request.timer, request.ticket});
  request.timer = at;
  if (at != Instant::max()) timers_.emplace(at, request.ticket);
}

Instant ClientCore::next_wake() const {
  Instant at = timers_.empty() ? Instant::max() : timers_.begin()->first;
  if (closing_) return at;
  for (const auto& [volume, channel] : channels_)
    if (channel.session_state == VolumeChannel::Session::kOpen && !channel.renewing)
      at = std::min(at, channel.next_renew);
  return at;
}

void ClientCore::wake(Instant now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    Request& request = *find(timers_.begin()->second);
    // Either moves the timer or ends the request.
    if (now < request.give_up)
      fire(request, now);
    else if (!lock_may_wait_on(request, now))
      give_up(request, now);
  }
  if (closing_) return;
  if (map_ && now >= next_refresh_) refresh(now);
  std::vector<VolumeId> due;
  for (const auto& [volume, channel] : channels_)
    if (channel.session_state == VolumeChannel::Session::kOpen && !channel.renewing &&
        channel.next_renew <= now)
      due.push_back(volume);
  for (const VolumeId volume : due) renew(volume, now);
  pass_ended_writes(now);
}

// A pause is over, or a reply did not come, or its link broke.
void ClientCore::fire(Request& request, Instant now) {
  if (request.state == State::kQueued || request.state == State::kNoLink) {
    set_timer(request, Instant::max());
    return;
  }
  if (!follow_volume(request, now)) return;
  if (request.state == State::kPausing) {
    if (request.assigned)
      transmit(request, now);
    else
      dispatch(request, now);
    return;
  }
  if (request.role == Role::kClose) {
    // Never sent twice: a late copy could close what was opened after it. A declaration mends.
    channel_of(request).declare_wanted = true;
    end(request, now);
    return;
  }
  if (PAIRFS_MUTANT(new_id_on_retry) && request.role == Role::kUser) {
    unassign(request, now);
    dispatch(request, now);
    return;
  }
  request.timeout = std::min(2 * request.timeout, kTimeoutMax);
  leave_router(request.router, now);
  const bool cancelled = request.cancelled;
  const Ticket ticket = request.ticket;
  transmit(request, now);
  if (cancelled) cancel_lock(ticket, now);
}

// Looks at a lock that waits while retries are limited, four times within the limit. The session is
// renewed often enough to tell a silent executor from a lock that somebody holds.
bool ClientCore::lock_may_wait_on(Request& request, Instant now) {
  if (!request.waiting_lock && !request.polling_lock) return false;
  const Duration limit = *settings_.retry_limit;
  Instant heard = request.submitted_at;
  if (request.assigned) heard = std::max(heard, channel_of(request).heard_from);
  if (now - heard >= limit) return false;
  request.give_up = now + limit / 4;
  set_timer(request, request.due);
  if (request.assigned && now - heard >= limit / 2) renew(request.volume, now);
  return true;
}

void ClientCore::give_up(Request& request, Instant now) {
  // It may have been executed; the declaration sets the executor's count right.
  if (request.changes_opens && request.assigned) channel_of(request).declare_wanted = true;
  user_outcome(request, EIO, {}, {}, now);
}

// ---- ending ----

ClientCore::Request* ClientCore::find(Ticket ticket) {
  const auto it = requests_.find(ticket);
  return it == requests_.end() ? nullptr : &it->second;
}

void ClientCore::end(Request& request, Instant now) {
  request.give_up = Instant::max();
  set_timer(request, Instant::max());
  if (request.waiting_lock) --waiting_locks_;
  // Given back last, as a free slot sends other requests.
  Request gone = std::move(request);
  requests_.erase(gone.ticket);
  unassign(gone, now);
}

// Tells the caller, and keeps the account of open handles.
void ClientCore::user_outcome(Request& request, int error, SharedBytes body, SharedBytes bulk,
                              Instant now, const MessageHeader* header) {
  if (settings_.cache) note_outcome(request, header, error, body.view());
  if (request.op == Write::kOp && settings_.write_behind) {
    if (header == nullptr || (header->lease_grants & kGrantWriter) == 0)
      cache_.end_writer(request.about[0]);
    write_ended(request, error, now);
  }
  body = without_old_attributes(request, std::move(body));
  std::optional<uint32_t> close;
  const InodeRef inode = request.inode.value_or(InodeRef{});
  if (request.op == Open::kOp) {
    if (error == 0) opens_.opened(inode);
    close = opens_.opening_ended(inode, request.sends);
  } else if (request.op == CreateFile::kOp && error == 0) {
    const auto reply = decode<EntryReply>(body.view());
    // A remote file is not opened by its name's volume: the caller sends an Open.
    if (reply && !reply->remote) opens_.opened(reply->attributes.inode);
  }
  completions_.push_back(
      {request.ticket, error, std::move(body), std::move(bulk), opens_.serial()});
  end(request, now);
  if (close) send_close(inode, *close, now);
}

bool ClientCore::drop_if_unsent(Ticket ticket, Instant now) {
  Request* request = find(ticket);
  if (request == nullptr || request->assigned) return false;
  user_outcome(*request, EINTR, {}, {}, now);
  completions_.pop_back();
  return true;
}

void ClientCore::cancel_lock(Ticket ticket, Instant now) {
  Request* request = find(ticket);
  if (request == nullptr || request->op != SetLock::kOp) return;
  if (!request->assigned) {
    user_outcome(*request, EINTR, {}, {}, now);
    return;
  }
  request->cancelled = true;
  if (request->polling_lock) return;
  CancelLock cancel;
  cancel.inode = *request->inode;
  cancel.slot = request->id.slot;
  cancel.sequence = request->id.sequence;
  start_internal(Role::kCancel, cancel.inode.slice(), CancelLock::kOp, encode(cancel), now);
}

}  // namespace pairfs
