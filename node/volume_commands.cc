// VolumeRuntime between clients and the executor: who is refused, held or executed, when an answer
// may go, and the recalls that go unasked.
#include <algorithm>

#include "common/codec.h"
#include "common/ensure.h"
#include "common/logging.h"
#include "common/messages.h"
#include "common/test_switch.h"
#include "node/store/row_table.h"
#include "node/volume_runtime.h"

namespace pairfs {
namespace {
constexpr size_t kHeldMax = 4096;  // requests; beyond these, and these bytes: asked to come again
constexpr uint64_t kHeldMaxBytes = 64 << 20;
constexpr size_t kRecallsPerMessage = 4096;
constexpr size_t kWaysMax = 1 << 16;
}  // namespace

void VolumeRuntime::answer_status(const std::vector<Bytes>& envelope, const MessageHeader& request,
                                  ReplyStatus status) {
  MessageHeader header = request;
  header.status = status;
  header.epoch = core_.epoch();
  services_.reply(envelope, header, {}, {});
}

// True: a command cannot be executed here and now, for the reason in `status`.
bool VolumeRuntime::refuse(ReplyStatus* status) const {
  if (core_.record().executor.name != config_.pair.self.name || executor_ == nullptr) {
    *status =
        core_.role() == PairCore::Role::kOpening ? ReplyStatus::kBusy : ReplyStatus::kNotExecutor;
    return true;
  }
  *status = ReplyStatus::kBusy;
  return !core_.may_execute();
}

void VolumeRuntime::on_request(std::vector<Bytes> envelope, const MessageHeader& header,
                               SharedBytes body, SharedBytes bulk) {
  ReplyStatus status{};
  if (refuse(&status)) {
    if (status == ReplyStatus::kBusy && held_.size() < kHeldMax && held_bytes_ < kHeldMaxBytes) {
      held_bytes_ += bulk.size();
      held_.push_back({std::move(envelope), header, std::move(body), std::move(bulk)});
      return;
    }
    answer_status(envelope, header, status);
    return;
  }
  if (must_wait_for_room(header, bulk.size())) {
    room_waiters_.push_back({std::move(envelope), header, std::move(body), std::move(bulk)});
    return;
  }
  execute_request(std::move(envelope), header, std::move(body), std::move(bulk));
}

void VolumeRuntime::execute_request(std::vector<Bytes> envelope, const MessageHeader& header,
                                    SharedBytes body, SharedBytes bulk) {
  begin_serving();
  if (header.request.session != 0)
    if (std::vector<Bytes>& way = ways_[header.request.session]; way != envelope) way = envelope;
  // A repeated question whose answer is on its way: answer where it was asked last.
  if (header.request.slot != kUnslotted) {
    for (auto* waiting : {&by_request_, &parked_}) {
      const auto found = waiting->find(header.request);
      if (found == waiting->end()) continue;
      found->second->envelope = std::move(envelope);
      return;
    }
  }
  auto pending = std::make_shared<Pending>();
  pending->envelope = std::move(envelope);
  pending->header = header;
  execute(std::move(pending), {.op = header.op,
                               .request = header.request,
                               .slice = header.slice,
                               .body = std::move(body),
                               .bulk = std::move(bulk),
                               .volume = {},
                               .write_behind = (header.flags & kFlagWriteBehind) != 0});
}

// The volume can be served now, or is somebody else's; else they stay.
void VolumeRuntime::take_held_requests() {
  ReplyStatus status{};
  if (held_.empty() || (refuse(&status) && status == ReplyStatus::kBusy)) return;
  held_bytes_ = 0;
  for (HeldRequest& held : std::exchange(held_, {}))
    on_request(std::move(held.envelope), held.header, std::move(held.body), std::move(held.bulk));
}

void VolumeRuntime::on_local_command(const CommandInput& input,
                                     std::function<void(const PeerLinks::Answer&)> done) {
  ReplyStatus status{};
  if (refuse(&status)) {
    done({status, 0, {}});
    return;
  }
  begin_serving();
  auto pending = std::make_shared<Pending>();
  pending->header.op = input.op;
  pending->header.request = input.request;
  pending->done = std::move(done);
  execute(std::move(pending), input);
}

// Session timers start anew with this executor, before anything could expire a session.
void VolumeRuntime::begin_serving() {
  if (began_serving_) return;
  began_serving_ = true;
  executor_->begin_serving(services_.now());
}

// Rows that can be had from no element are EIO for what needs them, and nothing else.
Executed VolumeRuntime::run_command(const CommandInput& input) {
  try {
    return executor_->execute(input, log_->last() + 1, services_.wall_clock(), services_.now());
  } catch (const RowsUnreadable& unreadable) {
    log_error("rows.unreadable", "volume={} command={} why=\"{}\"", to_string(config_.pair.volume),
              command_name(input.op), unreadable.what());
    Executed executed;
    executed.error = EIO;
    return executed;
  }
}

void VolumeRuntime::execute(std::shared_ptr<Pending> pending, const CommandInput& input) {
  const Instant begin = services_.now();
  if (input.op == ResolveTransaction::kOp) {
    const auto question = decode<ResolveTransaction>(input.body.view());
    if (question && coordinator_->is_active(question->id)) {
      pending->header.status = ReplyStatus::kBusy;
      pending->gate = log_->last();
      pending_.push_back(std::move(pending));
      return;
    }
  }
  ++executed_;
  Executed executed = run_command(input);
  pending->executed = services_.now();
  latencies_.execute.add(pending->executed - begin);
  if (executed.waiting || executed.cross_volume) {
    parked_[input.request] = std::move(pending);
    if (executed.cross_volume) coordinate(BeginTransaction{input, std::move(executed.reply)});
    return;
  }
  pending->header.status = executed.status;
  pending->header.error = executed.error;
  pending->body = std::move(executed.reply);
  pending->read = !executed.logged;
  pending->durable = executed.needs_sync;
  pending->waits_for = std::move(executed.waits_for);
  pending->header.lease_ms = executed.lease_ms;
  pending->header.lease_grants = executed.lease_grants;
  std::copy_n(executed.changed, 2, pending->header.changed);
  if (executed.logged) {
    append_command(input, executed);
    if (executed.error == 0) note_change(input.op);
    const Instant logged = services_.now();
    latencies_.log.add(logged - std::exchange(pending->executed, logged));
    execute_time_ += logged - begin;
    ++commands_since_checkpoint_;
    if (input.request.slot != kUnslotted) by_request_[input.request] = pending;
  }
  pending->gate = log_->last();
  want_durable_ |= pending->durable;
  if (executed.read != nullptr) {
    const std::shared_ptr<ReadPlan> plan = std::move(executed.read);
    const auto take = [pending](Result<SharedBytes> data) {
      if (data.ok())
        pending->bulk = std::move(*data);
      else
        pending->header.error = data.error();
    };
    if (plan->in_memory()) {
      take(plan->run());
    } else {
      pending->fetching = true;
      auto result = std::make_shared<std::optional<Result<SharedBytes>>>();
      services_.run_on_worker([plan, result] { result->emplace(plan->run()); },
                              [pending, result, take] {
                                take(std::move(**result));
                                pending->fetching = false;
                              });
    }
  }
  pending_.push_back(std::move(pending));
}

void VolumeRuntime::append_command(const CommandInput& input, Executed& executed) {
  LogRecord record;
  record.epoch = core_.record_epoch();
  record.op = input.op;
  record.slice = input.slice;
  record.request = input.request;
  record.error = executed.error;
  record.outcome_crc = executed.outcome_crc;
  record.body = SharedBytes::from(std::move(executed.resolved_body));
  record.bulk = input.bulk;
  append(std::move(record));
}

void VolumeRuntime::execute_internal(const CommandInput& input) {
  Executed executed = run_command(input);
  if (!executed.logged) return;
  append_command(input, executed);
  note_change(input.op);
  ++commands_since_checkpoint_;
}

void VolumeRuntime::sync(std::function<void(bool)> done) {
  if (executor_ == nullptr || !core_.may_execute()) {
    done(false);
    return;
  }
  auto pending = std::make_shared<Pending>();
  pending->gate = log_->last();
  pending->durable = true;
  pending->done = [done = std::move(done)](const PeerLinks::Answer& answer) {
    done(answer.status == ReplyStatus::kOutcome);
  };
  pending_.push_back(std::move(pending));
  want_durable_ = true;
}

void VolumeRuntime::release_answers() {
  if (pending_.empty()) return;
  const Instant now = services_.now();
  // Answers that cannot go yet stay, in their order; later ones may overtake them.
  // An answer to a transaction may make new ones, so that the list is taken first.
  std::deque<std::shared_ptr<Pending>> kept, waiting = std::move(pending_);
  pending_.clear();
  for (auto& pending : waiting) {
    if (pending->fetching || waits_for_recalls(*pending) ||
        !core_.may_answer(std::max(pending->gate, elements_gate_), pending->read, pending->durable,
                          now)) {
      kept.push_back(std::move(pending));
      continue;
    }
    if (pending->done) {
      pending->done({pending->header.status, pending->header.error, std::move(pending->body)});
      continue;
    }
    by_request_.erase(pending->header.request);
    (pending->read ? latencies_.read : latencies_.partner).add(now - pending->executed);
    pending->header.epoch = core_.epoch();
    if (!std::exchange(answered_, true))
      services_.note_event(config_.pair.volume, core_.epoch(), "first answer",
                           services_.wall_clock());
    services_.reply(pending->envelope, pending->header, pending->body, pending->bulk);
  }
  kept.insert(kept.end(), std::make_move_iterator(pending_.begin()),
              std::make_move_iterator(pending_.end()));
  pending_ = std::move(kept);
}

bool VolumeRuntime::waits_for_recalls(Pending& pending) const {
  if (pending.waits_for.empty() || executor_ == nullptr) return false;
  std::erase_if(pending.waits_for,
                [this](LeaseTable::Number recall) { return !executor_->is_waited_for(recall); });
  return !pending.waits_for.empty();
}

// Like answers to nobody's question. One that is lost is sent again.
void VolumeRuntime::send_recalls() {
  if (executor_ == nullptr || !core_.may_execute()) return;
  std::map<SessionId, Recall> by_session;
  const auto send = [&](SessionId session, Recall& recall) {
    const auto way = ways_.find(session);
    if (way == ways_.end()) return;
    MessageHeader header;
    header.op = Recall::kOp;
    header.volume = config_.pair.volume;
    header.epoch = core_.epoch();
    header.cluster_id = services_.cluster().cluster_id;
    header.request.session = session;
    header.request.slot = kUnslotted;
    services_.reply(way->second, header, encode(recall), {});
    recall = {};
  };
  for (const LeaseTable::Recall& wanted : executor_->take_recalls(services_.now())) {
    Recall& recall = by_session[wanted.session];
    recall.numbers.push_back(wanted.number);
    recall.inode_ids.push_back(wanted.inode_id);
    if (recall.numbers.size() == kRecallsPerMessage) send(wanted.session, recall);
  }
  for (auto& [session, recall] : by_session)
    if (!recall.numbers.empty()) send(session, recall);
  // Sessions that have ended are not heard of any more.
  if (ways_.size() > kWaysMax) ways_.clear();
}

}  // namespace pairfs
