// Sessions, the declaration of open inodes, and the map, inside ClientCore.
#include <algorithm>
#include <set>

#include "common/messages.h"
#include "fuse/client_core.h"
#include "fuse/client_timing.h"

namespace pairfs {

using Session = VolumeChannel::Session;

std::optional<Slice> ClientCore::slice_of_volume(VolumeId volume) const {
  for (const SliceRange& range : map_->slices)
    if (range.volume == volume) return range.first;
  return std::nullopt;
}

// ---- sessions ----

void ClientCore::open_session(VolumeId volume, Instant now) {
  VolumeChannel& channel = channels_[volume];
  channel.session_state = Session::kOpening;
  // One id for all volumes, as long as none of them has forgotten it.
  if (session_ == 0)
    while ((session_ = random_()) == 0) {
    }
  if (channel.had_session)
    while ((channel.session = random_()) == 0) {
    }
  else
    channel.session = session_;
  OpenSession open;
  open.slice = slice_of_volume(volume).value_or(0);
  open.host = settings_.host;
  open.mount = settings_.mount;
  start_internal(Role::kOpenSession, open.slice, OpenSession::kOp, encode(open), now);
}

void ClientCore::session_opened(VolumeId volume, Instant now) {
  VolumeChannel& channel = channels_[volume];
  channel.session_state = Session::kOpen;
  channel.heard_from = now;
  channel.next_renew = now + kRenewPeriod;
  cache_.drop_volume(volume);
  // The new session must say what is open before anything else is opened in it.
  if (channel.had_session) channel.declare_wanted = true;
  declare_if_due(volume, now);
  flush(channel.for_session, now);
  flush(channel.for_slot, now);
}

void ClientCore::session_lost(VolumeId volume, Instant now) {
  VolumeChannel& channel = channels_[volume];
  if (channel.session_state == Session::kClosed) return;
  ++counters_.sessions_lost;
  channel.had_session = true;
  channel.slot_busy = {};
  cache_.drop_volume(volume);
  const auto here = [&](InodeRef inode) { return map_->volume_of(inode.slice()) == volume; };
  for (const InodeRef inode : locks_.lose(here)) opens_.lose(inode);
  open_session(volume, now);
}

void ClientCore::renew(VolumeId volume, Instant now) {
  VolumeChannel& channel = channels_[volume];
  channel.next_renew = now + kRenewPeriod;
  if (channel.renewing) return;
  channel.renewing = true;
  RenewSession command;
  command.slice = slice_of_volume(volume).value_or(0);
  start_internal(Role::kRenew, command.slice, RenewSession::kOp, encode(command), now);
  // Slices may have moved to volumes that this client has not talked to for long.
  if (now >= next_map_read_) read_map(now);
}

void ClientCore::session_renewed(VolumeId volume, Instant now) {
  VolumeChannel& channel = channels_[volume];
  channel.next_renew =
      now + (cache_.holds_of(volume) ? lease_renew_period(channel.lease_term) : kRenewPeriod);
  if (channel.session_state != Session::kChecking) return;
  channel.session_state = Session::kOpen;
  channel.heard_from = now;
  declare_if_due(volume, now);
  flush(channel.for_session, now);
}

void ClientCore::close_sessions(Instant now) {
  closing_ = true;
  for (auto& [volume, channel] : channels_) {
    if (channel.session_state != Session::kOpen && channel.session_state != Session::kChecking)
      continue;
    channel.session_state = Session::kClosed;
    CloseSession close;
    close.slice = slice_of_volume(volume).value_or(0);
    start_internal(Role::kCloseSession, close.slice, CloseSession::kOp, encode(close), now);
  }
}

bool ClientCore::sessions_ended() const {
  return std::none_of(requests_.begin(), requests_.end(),
                      [](const auto& item) { return item.second.role == Role::kCloseSession; });
}

// ---- open inodes ----

void ClientCore::release(InodeRef inode, Instant now) {
  const auto count = opens_.release(inode);
  if (!count) return;
  cache_.end_writer(inode.id);  // as the executor does at the Close
  send_close(inode, *count, now);
}

void ClientCore::send_close(InodeRef inode, uint32_t count, Instant now) {
  if (closing_) return;  // the session's end closes all
  Close close;
  close.inode = inode;
  close.count = count;
  start_internal(Role::kClose, inode.slice(), Close::kOp, encode(close), now, inode);
}

void ClientCore::declare_if_due(VolumeId volume, Instant now) {
  VolumeChannel& channel = channels_[volume];
  // Commands under way change the table: what they did must be known first.
  if (!channel.declare_wanted || channel.declare_sent || channel.open_commands > 0) return;
  if (channel.session_state != Session::kOpen || closing_) return;
  channel.declare_wanted = false;
  channel.declare_sent = true;
  DeclareOpens declare;
  declare.slice = slice_of_volume(volume).value_or(0);
  // All, not only what the map puts there: a slice may have come to the volume since, or this very
  // message may go to a volume that its slice has moved to. Who is asked takes what it has.
  declare.inodes.push_back({0, channel.epoch});  // whom it is for: a later executor ignores it
  declare.counts.push_back(0);
  for (const auto& [inode, count] : opens_.list([](InodeRef) { return true; })) {
    declare.inodes.push_back(inode);
    declare.counts.push_back(count);
  }
  start_internal(Role::kDeclare, declare.slice, DeclareOpens::kOp, encode(declare), now);
}

void ClientCore::declared(VolumeId volume, BytesView reply, Instant now) {
  VolumeChannel& channel = channels_[volume];
  channel.declare_sent = false;
  const auto here = [&](InodeRef inode) { return map_->volume_of(inode.slice()) == volume; };
  opens_.declared(here);
  if (const auto decoded = decode<OpenInodesReply>(reply))
    for (const InodeRef inode : decoded->unknown) opens_.lose(inode);
  declare_if_due(volume, now);
  flush(channel.for_declare, now);
}

// ---- the map ----

void ClientCore::read_map(Instant now) {
  if (map_request_ != 0) return;
  next_map_read_ = now + kMapReadPeriodMin;
  next_refresh_ = now + kRefreshPeriod;
  MapRead read;
  read.known_version = map_version_;
  map_request_ = start_internal(Role::kMap, 0, MapRead::kOp, encode(read), now);
}

namespace {
// Every slice on one volume, and nothing else.
bool is_whole(const ClusterMap& map) {
  uint32_t next = 0;
  for (const SliceRange& range : map.slices) {
    if (range.first != next || range.count == 0) return false;
    next += range.count;
  }
  return next == kSliceCount;
}
}  // namespace

// False: the router does not know the map itself yet.
bool ClientCore::take_map(BytesView body, Instant now) {
  const auto reply = decode<MapReadReply>(body);
  if (!reply) return map_.has_value();
  for (const MapEntry& entry : reply->entries) {
    if (entry.key != kClusterKey) continue;
    auto fresh = decode<ClusterMap>(entry.value);
    if (!fresh || !is_whole(*fresh)) continue;
    if (map_ && fresh->cluster_id != map_->cluster_id) continue;  // another cluster's router
    const std::optional<ClusterMap> before = std::exchange(map_, std::move(*fresh));
    map_version_ = reply->map_version;
    if (before) slices_moved(*before, now);
  }
  return map_.has_value();
}

namespace {
template <class C>
Bytes with_slice(BytesView body, Slice slice) {
  auto command = decode<C>(body);
  if (!command) return Bytes(body);
  command->slice = slice;
  return encode(*command);
}
}  // namespace

// A request to a volume goes to whichever slice is there now. False: the volume has none any more,
// and the request has ended.
bool ClientCore::follow_volume(Request& request, Instant now) {
  const bool opens = request.role == Role::kOpenSession, renews = request.role == Role::kRenew;
  const bool declares = request.role == Role::kDeclare,
             closes = request.role == Role::kCloseSession;
  const bool gives_back = request.role == Role::kGiveBack;
  if (!map_ || !(opens || renews || declares || closes || gives_back)) return true;
  const VolumeId volume = request.volume;
  const auto slice = slice_of_volume(volume);
  if (!slice) {
    VolumeChannel& channel = channels_[volume];
    if (renews) channel.renewing = false;
    if (declares) channel.declare_sent = false;
    if (!closes && !gives_back) channel.session_state = Session::kNone;
    end(request, now);
    flush(channels_[volume].for_session, now);
    flush(channels_[volume].for_declare, now);
    return false;
  }
  if (request.slice == *slice) return true;
  request.slice = *slice;
  // The earlier one may have been executed where its slice went, and this volume may have been told
  // of its number alone: it would never answer that again.
  if (request.assigned && request.mutation) renumber(request);
  if (opens) request.body = with_slice<OpenSession>(request.body, *slice);
  if (renews) request.body = with_slice<RenewSession>(request.body, *slice);
  if (declares) request.body = with_slice<DeclareOpens>(request.body, *slice);
  if (closes) request.body = with_slice<CloseSession>(request.body, *slice);
  if (gives_back) request.body = with_slice<GiveBack>(request.body, *slice);
  return true;
}

// What the client holds in a slice is the business of the slice's new volume: it must know the
// session, and what is open.
void ClientCore::slices_moved(const ClusterMap& before, Instant now) {
  std::set<VolumeId> gained, lost;
  for (const SliceRange& range : map_->slices)
    for (const SliceRange& old : before.slices) {
      const bool overlap =
          range.first < old.first + old.count && old.first < range.first + range.count;
      if (!overlap || range.volume == old.volume) continue;
      lost.insert(old.volume);
      const auto channel = channels_.find(old.volume);
      if (channel != channels_.end() && channel->second.session_state != Session::kNone)
        gained.insert(range.volume);
    }
  for (const VolumeId volume : gained) {
    if (closing_) break;
    VolumeChannel& channel = channels_[volume];
    channel.declare_wanted = true;
    if (channel.session_state == Session::kNone)
      open_session(volume, now);
    else
      declare_if_due(volume, now);
  }
  for (const VolumeId volume : lost) {
    cache_.drop_volume(volume);
    const auto found = channels_.find(volume);
    if (found == channels_.end()) continue;
    VolumeChannel& channel = found->second;
    if (!slice_of_volume(volume) && !closing_) channel.session_state = Session::kNone;
    flush(channel.for_session, now);
    flush(channel.for_slot, now);
    flush(channel.for_declare, now);
  }
}

}  // namespace pairfs
