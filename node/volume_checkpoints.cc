// VolumeRuntime's consistency points: when one is due, and its way from the store into the log.
#include <algorithm>

#include "common/codec.h"
#include "common/logging.h"
#include "common/messages.h"
#include "common/test_switch.h"
#include "node/volume_runtime.h"

namespace pairfs {

void VolumeRuntime::consider_checkpoint() {
  // One whose confirmation still waits for a slow disk must not be overtaken for ever.
  if (checkpointing_ || maintaining_ || store_ == nullptr || !core_.may_execute() ||
      core_.confirming())
    return;
  const bool changed = commands_since_checkpoint_ > 0 || bytes_since_checkpoint_ > 0;
  const bool due =
      services_.now() - last_checkpoint_ >= config_.checkpoint_interval ||
      bytes_since_checkpoint_ >= std::min(config_.checkpoint_log_bytes, tight_checkpoint_bytes()) ||
      execute_time_ >= config_.replay_max ||
      (freed_ && services_.now() - last_checkpoint_ >= kMaintenancePeriod);
  const bool upkeep =
      services_.now() - last_checkpoint_ >= kMaintenancePeriod && store_->wants_checkpoint();
  if (!checkpoint_wanted_ && !upkeep && !room_watch_.wants_point() && !(changed && due)) return;
  NoteUnanswered unanswered;
  const std::vector<uint64_t> inodes = executor_->unanswered_changes();
  if (inodes.size() > NoteUnanswered::kMax) return;  // there will be fewer soon
  unanswered.inode_ids.assign(inodes.begin(), inodes.end());
  checkpoint_wanted_ = false;
  checkpointing_ = true;
  room_watch_.point_began();
  last_checkpoint_ = services_.now();
  bytes_since_checkpoint_ = commands_since_checkpoint_ = 0;
  execute_time_ = {};
  freed_ = false;
  const Sequence contains = log_->last();
  const uint32_t chain = log_->summary().last_chain;
  const std::shared_ptr<Checkpoint> checkpoint = store_->freeze();
  // Behind what the point contains, and before its record.
  if (!inodes.empty()) {
    PAIRFS_REACHED(unanswered_noted);
    execute_internal({.op = NoteUnanswered::kOp,
                      .request = {0, kUnslotted, 0},
                      .slice = 0,
                      .body = SharedBytes::from(encode(unanswered)),
                      .bulk = {},
                      .volume = {}});
  }
  auto token = std::make_shared<Result<Bytes>>(Errno{EIO});
  services_.run_on_worker([checkpoint, token] { *token = checkpoint->run(); },
                          [this, checkpoint, contains, chain, token, life = life_] {
                            finish_checkpoint(checkpoint, contains, chain, token, life);
                          });
}

void VolumeRuntime::finish_checkpoint(const std::shared_ptr<Checkpoint>& checkpoint,
                                      Sequence contains, uint32_t chain,
                                      std::shared_ptr<Result<Bytes>> token, uint64_t life) {
  if (life != life_ || store_ == nullptr) return;
  if (!core_.may_execute()) {  // its record must wait, see answer_decided()
    finished_point_ = [=, this] { finish_checkpoint(checkpoint, contains, chain, token, life); };
    return;
  }
  checkpointing_ = false;
  store_->finish(checkpoint, token->ok());
  if (!token->ok()) {
    PAIRFS_REACHED(checkpoint_failed);
    log_error("checkpoint.failed", "volume={} errno={}", to_string(config_.pair.volume),
              token->error());
    bytes_since_checkpoint_ = std::max<uint64_t>(bytes_since_checkpoint_, 1);  // try again, soon
    freed_ = true;
    room_watch_.point_failed();
    return;
  }
  PAIRFS_REACHED(checkpoint_logged);
  ConsistencyPoint point;
  point.sequence = contains + (PAIRFS_MUTANT(checkpoint_claims_more) ? 1 : 0);
  point.chain_crc = chain;
  point.store_token = std::move(**token);
  LogRecord record;
  record.epoch = core_.record_epoch();
  record.op = ConsistencyPoint::kOp;
  record.request.slot = kUnslotted;
  record.body = SharedBytes::from(encode(point));
  append(std::move(record));
  bytes_since_checkpoint_ = 0;
  room_watch_.point_logged();
  feed(pair_event::Confirmable{log_->last(), contains});
}

}  // namespace pairfs
