// What ClientCore does about leases: grants that come with replies, recalls, and what the cache
// lacks.
#include <algorithm>

#include "common/test_switch.h"
#include "fuse/client_core.h"
#include "fuse/client_timing.h"

namespace pairfs {

// The answer of an executor says how long the session's leases run on, counted from the first send:
// whichever copy it executed came later.
void ClientCore::renew_leases(const Request& request, const MessageHeader& header, Instant now) {
  VolumeChannel& channel = channel_of(request);
  if (header.lease_ms == 0 || header.epoch != channel.epoch) return;
  if (request.id.session != channel.session) return;
  channel.lease_term = std::chrono::milliseconds(header.lease_ms);
  const Instant until = request.first_sent + channel.lease_term;
  if (until <= now) return;
  cache_.renewed(request.volume, header.epoch, until, now);
  if (!channel.renewing) channel.next_renew = now + lease_renew_period(channel.lease_term);
}

void ClientCore::note_outcome(const Request& request, const MessageHeader* header, int error,
                              BytesView body) {
  LeaseCache::Grant grant;
  // What was never executed changed nothing.
  grant.told = header == nullptr && request.sends == 0;
  if (header != nullptr) {
    grant.volume = request.volume;
    grant.told = (header->lease_grants & kLeaseChangesTold) != 0;
    std::copy_n(header->changed, 2, grant.changed);
    const auto channel = channels_.find(request.volume);
    const bool current = channel != channels_.end() && header->lease_ms != 0 &&
                         header->epoch == channel->second.epoch &&
                         request.id.session == channel->second.session &&
                         (header->volume == request.volume || header->volume == VolumeId{}) &&
                         cache_.holds_of(request.volume);
    if (current) grant.bits = header->lease_grants & ~uint32_t{kLeaseChangesTold};
  }
  visit_command_type(request.op, [&]<class C>(std::type_identity<C>) {
    std::optional<typename C::Reply> reply;
    if (error == 0) reply = decode<typename C::Reply>(body);
    if (!reply) reply.emplace();
    cache_.end<C>(request.note, grant, error, *reply);
  });
}

// ---- what comes unasked ----

void ClientCore::pushed(const MessageHeader& header, BytesView body, Instant now) {
  const auto found = channels_.find(header.volume);
  if (found == channels_.end() || found->second.session != header.request.session ||
      found->second.session_state == VolumeChannel::Session::kNone) {
    ++counters_.dropped_replies;
    return;
  }
  if (header.op == EpochNotice::kOp) {
    if (header.epoch > found->second.epoch) renew(header.volume, now);
    return;
  }
  const auto recall = decode<Recall>(body);
  if (!recall || recall->numbers.size() != recall->inode_ids.size()) {
    ++counters_.dropped_replies;
    return;
  }
  recalled(header, *recall, now);
}

// Each number is answered, also of what is not held, or not any more.
void ClientCore::recalled(const MessageHeader& header, const Recall& recall, Instant now) {
  if (header.epoch < channels_[header.volume].epoch) return;  // a deposed executor's
  learn_epoch(header.volume, header.epoch, false, now);
  std::vector<uint64_t> numbers;
  for (size_t i = 0; i < recall.numbers.size(); ++i) {
    const uint64_t inode_id = recall.inode_ids[i];
    if (inode_id != 0) cache_.recall(inode_id);
    if (!give_back_later(header.volume, header.epoch, inode_id, recall.numbers[i]))
      numbers.push_back(recall.numbers[i]);
  }
  give_back(header.volume, header.epoch, numbers, now);
}

// Permission to search a directory needs its attributes, and maybe its ACL: asked for beside the
// command that goes to the executor for lack of them.
void ClientCore::fetch_missing(Instant now) {
  const LeaseCache::Missing missing = cache_.take_missing();
  if (missing.inode.id == 0) return;
  if (missing.acl) {
    GetXattr acl;
    acl.inode = missing.inode;
    acl.name = BytesView(kAccessAclName);
    submit(acl, now);
  } else {
    submit(GetAttributes{missing.inode}, now);
  }
}

}  // namespace pairfs
