// VolumeRuntime's look at the room that is left: in the store, and for records in both nodes' logs.
// A command is admitted only where it fits on the fuller of both.
#include <algorithm>

#include "node/volume_runtime.h"

namespace pairfs {
namespace {

// Kept of each log's disk for what frees space, and for what others log on the same one.
constexpr uint64_t kLogReserveBytes = 24 << 20;
constexpr uint64_t kLookBytes = 4 << 20;  // appended between two looks at the log's disk
constexpr auto kLookPeriod = std::chrono::milliseconds(100);
constexpr uint64_t kSmallBytes = 4096;  // stands for what a command takes beside its data
constexpr uint64_t kPlentyBytes = 256 << 20;
constexpr uint64_t kTightPointMinBytes = 1 << 20;
constexpr size_t kWaitersMax = 256;  // beyond these: ENOSPC at once

bool takes_room(uint16_t op) {
  switch (op) {
    case Write::kOp:
    case Allocate::kOp:
    case CopyRange::kOp:
    case CreateFile::kOp:
    case MakeNode::kOp:
    case MakeDirectory::kOp:
    case MakeSymlink::kOp:
    case MakeLink::kOp:
    case SetXattr::kOp:
      return true;
    default:
      return false;
  }
}

bool makes_room(uint16_t op) {
  switch (op) {
    case Unlink::kOp:
    case Rename::kOp:
    case SetAttributes::kOp:
    case Allocate::kOp:
    case FreeInode::kOp:
    case ExpireSession::kOp:
      return true;
    default:
      return false;
  }
}

}  // namespace

// A command was carried out.
void VolumeRuntime::note_change(uint16_t op) {
  room_watch_.changed();
  freed_ |= makes_room(op);
}

void VolumeRuntime::look_at_log_room() {
  const Instant now = services_.now();
  if (now - log_room_at_ < kLookPeriod && logged_bytes_ - log_room_end_ < kLookBytes) return;
  log_room_at_ = now;
  log_room_end_ = logged_bytes_;
  log_room_bytes_ = log_->room_bytes();
}

// What may be admitted now.
uint64_t VolumeRuntime::room_bytes() {
  look_at_log_room();
  const Instant now = services_.now();
  if (now - store_room_at_ >= kLookPeriod || store_room_bytes_ < kPlentyBytes) {
    store_room_at_ = now;
    store_room_bytes_ = store_->status().available_bytes;
  }
  const uint64_t log =
      core_.solo() ? log_room_bytes_ : std::min(log_room_bytes_, partner_room_bytes_);
  executor_->set_log_room(log - std::min(log, kLogReserveBytes));
  return std::min(log - std::min(log, kLogReserveBytes),
                  store_room_bytes_ - std::min(store_room_bytes_, kReserveBytes));
}

bool VolumeRuntime::must_wait_for_room(const MessageHeader& header, uint64_t bulk_bytes) {
  if (!takes_room(header.op) || room_waiters_.size() >= kWaitersMax) return false;
  return room_watch_.consider(bulk_bytes + kSmallBytes, room_bytes(), services_.now()) ==
         RoomWatch::Verdict::kWait;
}

void VolumeRuntime::take_requests_that_waited_for_room() {
  while (!room_waiters_.empty()) {
    HeldRequest& first = room_waiters_.front();
    ReplyStatus status{};
    const bool refused = refuse(&status);
    if (!refused && room_watch_.waits(services_.now()) &&
        room_bytes() < first.bulk.size() + kSmallBytes)
      return;
    HeldRequest held = std::move(first);
    room_waiters_.pop_front();
    if (refused)
      held_.push_back(std::move(held));
    else
      execute_request(std::move(held.envelope), held.header, std::move(held.body),
                      std::move(held.bulk));
  }
}

// The less room, the sooner the logs must be trimmed: of what was logged since the last consistency
// point, each octet waits for one in the log of either node and for somewhat more in the store.
uint64_t VolumeRuntime::tight_checkpoint_bytes() {
  return std::max(room_bytes() / 8, kTightPointMinBytes);
}

}  // namespace pairfs
