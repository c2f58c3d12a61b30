// What ClientCore does with messages that come in.
#include <algorithm>
#include <cerrno>

#include "common/crc32c.h"
#include "common/messages.h"
#include "common/test_switch.h"
#include "fuse/client_core.h"
#include "fuse/client_timing.h"

namespace pairfs {

void ClientCore::message_received(const SharedBytes& head, const SharedBytes& bulk, Instant now) {
  take_message(head, bulk, now);
  pass_ended_writes(now);
}

void ClientCore::take_message(const SharedBytes& head, const SharedBytes& bulk, Instant now) {
  HeaderError error{};
  const auto parsed = parse_head(head.view(), &error);
  const auto drop = [&] { ++counters_.dropped_replies; };
  if (!parsed) return drop();
  const MessageHeader& header = parsed->header;
  if ((header.flags & kFlagReply) == 0) return drop();
  if (header.op == Recall::kOp || header.op == EpochNotice::kOp)
    return pushed(header, parsed->body, now);
  const auto it = by_sequence_.find(header.request.sequence);
  if (it == by_sequence_.end()) return drop();  // answered before: a reply to another copy
  Request& request = *find(it->second);
  if (header.request != request.id || header.op != request.op) return drop();
  if (header.bulk_length != bulk.size()) return drop();
  if ((header.flags & kFlagHasBulkCrc) != 0 && header.bulk_crc != crc32c(bulk.view()))
    return drop();  // damaged on the way: the timeout asks again
  switch (header.status) {
    case ReplyStatus::kOutcome: {
      const SharedBytes body = head.part(head.size() - parsed->body.size(), parsed->body.size());
      outcome(request, header, body, bulk, now);
      return;
    }
    case ReplyStatus::kNotExecutor:
      ++counters_.not_executor;
      if (!request.no_map_needed && now >= next_map_read_) read_map(now);
      pause(request, now);
      return;
    case ReplyStatus::kBusy:
      ++counters_.busy;
      pause(request, now);
      return;
    case ReplyStatus::kUnknownSession:
      if (header.volume != request.volume && header.volume != VolumeId{} && !request.no_map_needed)
        session_unknown_elsewhere(request, header.volume, now);
      else
        session_unknown(request, now);
      return;
    case ReplyStatus::kBadRequest:
      break;
  }
  ++counters_.refused;
  MessageHeader refused = header;
  refused.error = EIO;
  outcome(request, refused, {}, {}, now);
}

void ClientCore::pause(Request& request, Instant now) {
  if (request.role == Role::kMap) {
    request.pause = kMapPause;
  } else {
    request.pause = std::clamp(2 * request.pause, kPauseFirst, kPauseMax);
    // Busy for long: maybe only this router does not reach the executor.
    if (request.pause == kPauseMax) leave_router(request.router, now);
  }
  request.state = State::kPausing;
  set_timer(request, now + request.pause);
}

// What every answer of an executor tells, whatever the command.
void ClientCore::learn(const Request& request, Epoch epoch, Instant now) {
  VolumeChannel& channel = channel_of(request);
  if (request.id.session == channel.session)
    channel.heard_from = std::max(channel.heard_from, request.sent_at);
  if (request.sends == 1 && request.router == preferred_router_) prefer_pause_ = kPreferPauseFirst;
  if (request.sends == 1 && !request.waiting_lock && request.op != Fsync::kOp) {
    const Duration sample = now - request.sent_at;
    Duration& smoothed = channel.smoothed_round_trip;
    smoothed = smoothed == Duration::zero() ? sample : (7 * smoothed + sample) / 8;
  }
  // A declaration that met a new executor names the epoch before.
  const bool told = request.role == Role::kOpenSession;
  learn_epoch(request.volume, epoch, told, now);
}

// A new executor does not know what is open here, except by what `told` it so.
void ClientCore::learn_epoch(VolumeId volume, Epoch epoch, bool told, Instant now) {
  VolumeChannel& channel = channels_[volume];
  if (epoch <= channel.epoch) return;
  if (channel.epoch != 0 && !told && !PAIRFS_MUTANT(opens_not_declared))
    channel.declare_wanted = true;
  channel.epoch = epoch;
  // Nor what is held under leases of the one before.
  if (!PAIRFS_MUTANT(lease_survives_epoch)) cache_.drop_volume(volume);
  declare_if_due(volume, now);
}

void ClientCore::outcome(Request& request, const MessageHeader& header, SharedBytes body,
                         SharedBytes bulk, Instant now) {
  const int error = header.error;
  if (request.role == Role::kMap) {
    if (error != 0 || !take_map(body.view(), now)) {
      pause(request, now);
      return;
    }
    map_request_ = 0;
    end(request, now);
    flush(for_map_, now);
    return;
  }
  // Its slice has moved: the map that the client goes by is old.
  if (header.volume == request.volume || header.volume == VolumeId{}) {
    learn(request, header.epoch, now);
    if (settings_.cache) renew_leases(request, header, now);
  } else {
    read_map(now);
    // What was meant for a volume, by way of one of its slices, is sent again by another one.
    const bool for_volume = request.role == Role::kOpenSession || request.role == Role::kRenew ||
                            request.role == Role::kDeclare || request.role == Role::kCloseSession ||
                            request.role == Role::kGiveBack;
    if (for_volume) return pause(request, now);
  }
  const VolumeId volume = request.volume;
  switch (request.role) {
    case Role::kUser:
      if (error == EAGAIN && request.polling_lock && !request.cancelled) {
        unassign(request, now);
        request.state = State::kPausing;
        set_timer(request, now + kLockPollPeriod);
        return;
      }
      if (error == 0 && look_again_after_writes(request, body.view(), now)) return;
      user_outcome(request, error == EAGAIN && request.polling_lock ? EINTR : error,
                   std::move(body), std::move(bulk), now, &header);
      return;
    case Role::kOpenSession:
      if (error != 0) {  // a full or failing volume: the mount goes on asking
        pause(request, now);
        return;
      }
      end(request, now);
      session_opened(volume, now);
      return;
    case Role::kRenew:
      channels_[volume].renewing = false;
      end(request, now);
      session_renewed(volume, now);
      return;
    case Role::kDeclare:
      end(request, now);
      declared(volume, error == 0 ? body.view() : BytesView(), now);
      return;
    case Role::kClose:
    case Role::kCloseSession:
    case Role::kCancel:
    case Role::kGiveBack:
    case Role::kMap:
      end(request, now);
      return;
  }
}

// The request's slice has moved to a volume that does not know the session. A session of the same
// id is opened there, so that the request keeps its own.
void ClientCore::session_unknown_elsewhere(Request& request, VolumeId volume, Instant now) {
  read_map(now);
  VolumeChannel& channel = channels_[volume];
  const bool other_id = channel.session_state == VolumeChannel::Session::kOpen &&
                        channel.session != request.id.session;
  if (request.role == Role::kUser && other_id && !(request.mutation && request.sends > 1)) {
    unassign(request, now);
    request.state = State::kPausing;
    set_timer(request, now + kPauseMax);
    return;
  }
  if (other_id || (request.role != Role::kUser && request.role != Role::kCancel))
    return session_unknown(request, now);
  if (channel.session_state == VolumeChannel::Session::kNone && slice_of_volume(volume))
    open_session(volume, now);
  pause(request, now);
}

void ClientCore::session_unknown(Request& request, Instant now) {
  const VolumeId volume = request.volume;
  if (request.no_map_needed) return pause(request, now);
  const bool current = request.id.session == channels_[volume].session;
  switch (request.role) {
    case Role::kUser: {
      if (current) session_lost(volume, now);
      // Sent more than once, it may have been executed while the session lived.
      if (request.mutation && request.sends > 1) {
        user_outcome(request, EIO, {}, {}, now);
        return;
      }
      unassign(request, now);
      dispatch(request, now);
      return;
    }
    case Role::kRenew:
      channels_[volume].renewing = false;
      break;
    case Role::kDeclare:
      channels_[volume].declare_sent = false;
      break;
    case Role::kOpenSession:
    case Role::kClose:
    case Role::kCancel:
    case Role::kCloseSession:
    case Role::kGiveBack:
    case Role::kMap:
      break;
  }
  const bool closed = request.role == Role::kCloseSession;
  end(request, now);
  if (current && !closed) session_lost(volume, now);
}

}  // namespace pairfs
