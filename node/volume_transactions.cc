// VolumeRuntime for what takes more than one command or volume: transactions that it coordinates,
// slices that move, and what waited for either.
#include <algorithm>

#include "common/logging.h"
#include "common/test_switch.h"
#include "node/store/row_table.h"
#include "node/volume_runtime.h"

namespace pairfs {
namespace {
constexpr auto kTransactionsPeriod = std::chrono::milliseconds(200);
}  // namespace

void VolumeRuntime::run_follow_ups() {
  if (executor_ == nullptr || !core_.may_execute()) return;
  begin_serving();
  answer_decided();
  try {
    for (const CommandInput& input : executor_->take_follow_ups(services_.now()))
      execute_internal(input);
  } catch (const RowsUnreadable& unreadable) {
    log_error("rows.unreadable", "volume={} why=\"{}\"", to_string(config_.pair.volume),
              unreadable.what());
  }
  for (const CommandInput& input : executor_->take_granted()) {
    const auto found = parked_.find(input.request);
    if (found == parked_.end()) {
      execute_internal(input);
      continue;
    }
    const std::shared_ptr<Pending> parked = found->second;
    parked_.erase(found);
    execute(parked, input);
  }
  const Instant now = services_.now();
  if (now >= slices_wake_) run_slices();
  if (now < std::min(coordinator_wake_, transactions_at_)) return;
  TransactionTick tick;
  if (now >= transactions_at_) {
    transactions_at_ = now + kTransactionsPeriod;
    tick.open = executor_->open_transactions();
  }
  coordinator_wake_ = Instant::max();
  coordinate(tick);
}

void VolumeRuntime::on_cluster() {
  if (executor_ != nullptr) executor_->set_cluster(services_.cluster(), services_.policy());
  if (coordinator_ != nullptr) coordinator_->set_map(services_.cluster());
}

void VolumeRuntime::give_slices(const std::vector<std::pair<Slice, VolumeId>>& moves) {
  if (!has_executor()) return;
  for (const auto& [slice, to] : moves) executor_->give_slice(slice, to);
  if (!moves.empty()) slices_wake_ = services_.now();
}

void VolumeRuntime::run_slices() {
  if (executor_ == nullptr || !core_.may_execute()) return;
  SliceEffects effects;
  try {
    effects = executor_->step_slices(services_.now());
  } catch (const RowsUnreadable& unreadable) {
    log_error("rows.unreadable", "volume={} why=\"{}\"", to_string(config_.pair.volume),
              unreadable.what());
    effects.wake_at = services_.now() + kHousekeeping;
  }
  slices_wake_ = effects.wake_at;
  for (const SliceEffects::Send& send : effects.send) {
    if (send.when_durable)
      send_when_durable(send);
    else
      send_for_slice(send);
  }
  for (const SliceEffects::Fetch& fetch : effects.fetch) {
    auto result = std::make_shared<std::optional<Result<SharedBytes>>>();
    services_.run_on_worker([plan = fetch.plan, result] { result->emplace(plan->run()); },
                            [this, tag = fetch.tag, result, life = life_] {
                              if (life != life_ || executor_ == nullptr) return;
                              executor_->slice_fetched(tag, std::move(**result), services_.now());
                              slices_wake_ = services_.now();
                            });
  }
}

// What waits in a slice that has gone is asked for at its new volume.
void VolumeRuntime::drop_parked() {
  if (executor_ == nullptr || slices_seen_ == executor_->slices_version()) return;
  slices_seen_ = executor_->slices_version();
  for (auto at = parked_.begin(); at != parked_.end();) {
    const std::shared_ptr<Pending> parked = at->second;
    if (parked->done || executor_->owns(parked->header.slice)) {
      ++at;
      continue;
    }
    at = parked_.erase(at);
    answer_status(parked->envelope, parked->header, ReplyStatus::kNotExecutor);
  }
}

void VolumeRuntime::send_for_slice(const SliceEffects::Send& send) {
  services_.send_command(config_.pair.volume, send.input,
                         [this, tag = send.tag, life = life_](const PeerLinks::Answer& answer) {
                           if (life != life_ || executor_ == nullptr) return;
                           executor_->slice_answered(tag, answer.status, answer.error, answer.reply,
                                                     services_.now());
                           slices_wake_ = services_.now();
                         });
}

void VolumeRuntime::send_when_durable(const SliceEffects::Send& send) {
  if (!slices_waiting_.insert(send.tag).second) return;
  sync([this, send, life = life_](bool durable) {
    if (life != life_) return;
    slices_waiting_.erase(send.tag);
    if (durable) send_for_slice(send);
  });
}

void VolumeRuntime::coordinate(const CoordinatorEvent& event) {
  TransactionCoordinator::Effects effects = coordinator_->step(event, services_.now());
  coordinator_wake_ = std::min(coordinator_wake_, effects.wake_at);
  for (const TransactionCoordinator::Outgoing& outgoing : effects.send) {
    services_.send_command(
        config_.pair.volume, outgoing.input,
        [this, tag = outgoing.tag, life = life_](const PeerLinks::Answer& answer) {
          if (life != life_ || coordinator_ == nullptr) return;  // another executor's business now
          coordinate(CommandAnswered{tag, answer.status, answer.error, answer.reply});
        });
  }
  for (CommandInput& input : effects.answer) decided_.push_back(std::move(input));
  answer_decided();
}

// The log may not grow while the volume is handed over, whoever answers meanwhile.
void VolumeRuntime::answer_decided() {
  while (!decided_.empty() && core_.may_execute()) {
    const CommandInput input = std::move(decided_.front());
    decided_.pop_front();
    const auto found = parked_.find(input.request);
    if (found == parked_.end()) continue;
    const std::shared_ptr<Pending> parked = found->second;
    parked_.erase(found);
    execute(parked, input);
  }
}

}  // namespace pairfs
