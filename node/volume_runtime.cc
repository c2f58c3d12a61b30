#include "node/volume_runtime.h"

#include <algorithm>

#include "common/codec.h"
#include "common/ensure.h"
#include "common/logging.h"
#include "common/messages.h"
#include "common/test_switch.h"
#include "node/log_replay.h"
#include "node/store/row_table.h"

namespace pairfs {
namespace {
constexpr uint64_t kTailMaxBytes = 8 << 20;
constexpr size_t kHeldMax = 4096;  // requests; beyond these, and these bytes: asked to come again
constexpr uint64_t kHeldMaxBytes = 64 << 20;
constexpr size_t kRecallsPerMessage = 4096;
constexpr size_t kWaysMax = 1 << 16;
constexpr auto kHousekeeping = std::chrono::milliseconds(200);
constexpr Duration kReopenMin = std::chrono::milliseconds(500),
                   kReopenMax = std::chrono::seconds(8);
constexpr auto kTransactionsPeriod = std::chrono::milliseconds(200);
constexpr auto kMaintenancePeriod = std::chrono::seconds(1);
}  // namespace

VolumeRuntime::VolumeRuntime(VolumeRuntimeConfig config, NodeServices& services)
    : config_(std::move(config)),
      services_(services),
      ring_({config_.rings, config_.log.cluster_id, config_.log.volume, config_.log.boot_id}),
      log_(std::make_unique<CommandLog>(config_.log)),
      core_(config_.pair, (ring_.recover(*log_), *this), services.now()) {
  next_housekeeping_ = services.now();
}

VolumeRuntime::~VolumeRuntime() = default;

// ---- events -----------------------------------------------------------------------------------

void VolumeRuntime::feed(const PairEvent& event) {
  events_.push_back(event);
  if (feeding_) return;  // effects of one event are all done before the next is taken
  feeding_ = true;
  take_ring();
  while (!events_.empty()) {
    const PairEvent next = std::move(events_.front());
    events_.pop_front();
    perform(core_.step(next, services_.now()));
    serve_ring();
  }
  feeding_ = false;
}

void VolumeRuntime::on_link(bool up) {
  if (up)
    feed(pair_event::LinkUp{});
  else
    feed(pair_event::LinkDown{});
}

void VolumeRuntime::on_partner_dead(Incarnation incarnation) {
  feed(pair_event::PartnerDead{incarnation});
}

void VolumeRuntime::on_record(const VolumeRecord& record, uint64_t version) {
  feed(pair_event::Record{record, version});
}

void VolumeRuntime::on_swapped(bool known, bool swapped, const VolumeRecord& record,
                               uint64_t version) {
  feed(pair_event::Swapped{known, swapped, record, version});
}

void VolumeRuntime::on_map_answered() { feed(pair_event::MapAnswered{}); }

std::string VolumeRuntime::start_alone(bool force, bool check) {
  const std::string obstacle = core_.start_alone_obstacle(force, services_.now());
  if (!obstacle.empty() || check) return obstacle;
  log_->give_up_damaged();
  feed(pair_event::StartAlone{});
  return "";
}

void VolumeRuntime::drop_history() { feed(pair_event::DropHistory{}); }

void VolumeRuntime::hand_over() { feed(pair_event::HandOver{}); }

void VolumeRuntime::on_link_message(const LinkMessage& message, const SharedBytes& records) {
  if (static_cast<LinkMessage::Kind>(message.kind) == LinkMessage::Kind::kHello)
    services_.note_partner(message.sender, message.process);
  if (static_cast<LinkMessage::Kind>(message.kind) == LinkMessage::Kind::kHeld) {
    partner_room_bytes_ = message.log_room_bytes;
    partner_reached_ = message.reached_elements;
  }
  take_ring();
  bool appended = false;
  if (core_.accepts_records(message) && message.last >= message.first &&
      message.first == log_->last() + 1) {
    appended = log_->append_encoded(records);
    logged_bytes_ += records.size();
    tail_.clear();
    tail_bytes_ = 0;
  }
  feed(pair_event::Received{message, appended});
}

// ---- effects ----------------------------------------------------------------------------------

void VolumeRuntime::perform(PairEffects effects) {
  for (PairEffect& effect : effects) {
    std::visit(
        [&]<class E>(E& e) {
          if constexpr (std::is_same_v<E, pair_effect::Send>) {
            const bool records =
                static_cast<LinkMessage::Kind>(e.message.kind) == LinkMessage::Kind::kRecords &&
                e.message.last >= e.message.first;
            look_at_log_room();
            e.message.log_room_bytes = log_room_bytes_;
            e.message.reached_elements = reached_;
            if (records && copy_in_memory(e.message)) return;
            if (records) copied_through_ = 0;
            services_.send_link(
                e.message, records ? records_for(e.message.first, e.message.last) : SharedBytes());
          } else if constexpr (std::is_same_v<E, pair_effect::Swap>) {
            services_.swap_record(config_.pair.volume, e.expected_version, e.record, e.timeout);
          } else if constexpr (std::is_same_v<E, pair_effect::ReadMap>) {
            services_.read_map();
          } else if constexpr (std::is_same_v<E, pair_effect::Open>) {
            do_open(e.epoch);
          } else if constexpr (std::is_same_v<E, pair_effect::Close>) {
            do_close();
          } else if constexpr (std::is_same_v<E, pair_effect::AppendEpoch>) {
            do_append_epoch(e.epoch, e.solo);
          } else if constexpr (std::is_same_v<E, pair_effect::Sync>) {
            do_sync();
          } else if constexpr (std::is_same_v<E, pair_effect::ResetLog>) {
            log_->reset(e.base, e.base_chain);
            copied_through_ = 0;
            tail_.clear();
            tail_bytes_ = 0;
          } else if constexpr (std::is_same_v<E, pair_effect::Confirm>) {
            if (store_ != nullptr) store_->confirm(log_->newest_checkpoint().token);
            room_watch_.point_confirmed();
          } else if constexpr (std::is_same_v<E, pair_effect::Trim>) {
            log_->trim(e.through);
            log_room_at_ = {};
          } else if constexpr (std::is_same_v<E, pair_effect::Checkpoint>) {
            checkpoint_wanted_ = true;
          } else if constexpr (std::is_same_v<E, pair_effect::Role>) {
            services_.note_event(config_.pair.volume, core_.epoch(), e.text,
                                 services_.wall_clock());
          } else if constexpr (std::is_same_v<E, pair_effect::KeepApart>) {
            log_->keep_apart(e.on);
          } else if constexpr (std::is_same_v<E, pair_effect::GiveUp>) {
            services_.fail_stop(cannot_open_);
          }
        },
        effect);
  }
}

struct VolumeRuntime::Opening {
  std::unique_ptr<VolumeStore> store;
  std::unique_ptr<Executor> executor;
  std::string why;  // it cannot be opened
  bool log_bad = false;
  bool unreachable = false;  // too many elements, or rows, are nowhere: another try may find them
  Sequence replayed = 0;
  Timestamp opened_at, replayed_at;
};

void VolumeRuntime::do_open(Epoch epoch) {
  const uint64_t life = ++life_;
  reopen_at_ = Instant::max();
  auto opening = std::make_shared<Opening>();
  const auto point = log_->newest_checkpoint();
  if (const std::string gap = log_->gap_to_checkpoint(); !gap.empty()) {
    PAIRFS_REACHED(p6_gap_refused);
    opening_failed(gap, true);
    return;
  }
  StoreConfig store_config = config_.store;
  store_config.group_record = log_->newest_elements();
  store_config.open_element = services_.element_opener(config_.pair.volume, epoch);
  ExecutorConfig executor_config;
  executor_config.volume = config_.pair.volume;
  executor_config.epoch = epoch;
  executor_config.map = services_.cluster();
  executor_config.policy = services_.policy();
  executor_config.transactions = true;
  executor_config.session_timeout = config_.session_timeout;
  executor_config.lease_term = config_.lease_term;
  const CommandLog* log = log_.get();  // nobody appends while the volume is being opened
  services_.run_on_worker(
      [=, this, open_store = config_.open_store] {
        opening->store = open_store(store_config, epoch, point.token, &opening->why);
        opening->unreachable = opening->store == nullptr;
        if (opening->unreachable) return;
        opening->opened_at = services_.wall_clock();
        try {
          opening->executor = make_executor(executor_config, *opening->store);
          const Replayed replayed = replay_log(*log, point.sequence, *opening->executor);
          opening->replayed = replayed.commands;
          opening->why = replayed.why;
          opening->log_bad = replayed.log_bad;
        } catch (const RowsUnreadable& unreadable) {
          opening->why = unreadable.what();
          opening->unreachable = true;
        }
        opening->replayed_at = services_.wall_clock();
      },
      [this, opening, life] {
        if (life != life_) return;  // deposed meanwhile
        if (opening->unreachable) {
          // Elements may come back, and this node's other volumes are served meanwhile.
          log_error("volume.open_failed", "volume={} why=\"{}\"", to_string(config_.pair.volume),
                    opening->why);
          open_problem_ = opening->why;
          reopen_after_ = std::clamp<Duration>(reopen_after_ * 2, kReopenMin, kReopenMax);
          reopen_at_ = services_.now() + reopen_after_;
          return;
        }
        open_problem_.clear();
        reopen_after_ = {};
        if (!opening->why.empty() || opening->executor == nullptr) {
          opening_failed(opening->why, opening->log_bad);
          return;
        }
        store_ = std::move(opening->store);
        executor_ = std::move(opening->executor);
        coordinator_ = std::make_unique<TransactionCoordinator>(TransactionCoordinator::Config{
            config_.pair.volume, core_.epoch(), services_.cluster(),
            config_.pair.self.incarnation ^ config_.pair.volume.packed()});
        transactions_at_ = services_.now();
        slices_wake_ = services_.now();
        slices_seen_ = executor_->slices_version();
        executor_->set_cluster(services_.cluster(), services_.policy());
        began_serving_ = false;
        PAIRFS_REACHED(p6_opened);
        logged_elements_ = elements_gate_ = 0;
        maintenance_at_ = services_.now() + kMaintenancePeriod;
        last_checkpoint_ = services_.now();
        bytes_since_checkpoint_ = log_->last() > 0 ? 1 : 0;
        commands_since_checkpoint_ = opening->replayed;
        execute_time_ = {};
        answered_ = false;
        room_watch_ = {};
        store_room_at_ = log_room_at_ = {};
        partner_room_bytes_ = ~0ULL;
        partner_reached_ = 0;
        opened_at_ = services_.now();
        reach_differs_since_ = Instant::max();
        const auto note = [&](const std::string& what, Timestamp at) {
          services_.note_event(config_.pair.volume, core_.epoch(), what, at);
        };
        note("opened", opening->opened_at);
        note(fmt::format("replayed {} commands", opening->replayed), opening->replayed_at);
        feed(pair_event::Opened{true});
      });
}

void VolumeRuntime::opening_failed(const std::string& why, bool log_bad) {
  log_error("volume.open_failed", "volume={} why=\"{}\"", to_string(config_.pair.volume), why);
  cannot_open_ = why;
  feed(pair_event::Opened{false, log_bad});
}

void VolumeRuntime::do_close() {
  ++life_;
  reopen_at_ = Instant::max();
  open_problem_.clear();
  // No answer to clients: they ask again, and the new executor knows what became of it.
  const auto dropped = std::move(pending_);
  pending_.clear();
  by_request_.clear();
  parked_.clear();
  decided_.clear();
  finished_point_ = nullptr;
  for (const auto& pending : dropped)
    if (pending->done) pending->done({ReplyStatus::kNotExecutor, 0, {}});
  // A checkpoint that a worker is still writing keeps what it needs; late results are dropped.
  coordinator_.reset();
  coordinator_wake_ = Instant::max();
  slices_wake_ = Instant::max();
  ways_.clear();
  executor_.reset();
  store_.reset();
  maintaining_ = false;
  maintenance_at_ = Instant::max();
  const auto jobs = std::move(jobs_);
  jobs_.clear();
  for (const Job& job : jobs) job.done(false);
  checkpointing_ = false;
  checkpoint_wanted_ = false;
  for (HeldRequest& held : std::exchange(room_waiters_, {})) held_.push_back(std::move(held));
}

void VolumeRuntime::do_append_epoch(Epoch epoch, bool solo) {
  BeginEpoch begin;
  begin.executor = config_.pair.self.name;
  begin.incarnation = config_.pair.self.incarnation;
  begin.solo = solo;
  begin.now = services_.wall_clock();
  if (log_->last() == 0) begin.slices = services_.cluster().slices_of(config_.pair.volume);
  LogRecord record;
  record.epoch = epoch;
  record.op = BeginEpoch::kOp;
  record.request.slot = kUnslotted;
  record.body = SharedBytes::from(encode(begin));
  append(record);
  if (log_->last() == 1) executor_->format(1, begin.now, begin.slices);
  feed(pair_event::Appended{});
}

void VolumeRuntime::do_sync() {
  if (syncing_) {
    sync_again_ = true;  // the next batch forms behind the one in flight
    return;
  }
  start_sync();
}

void VolumeRuntime::start_sync() {
  syncing_ = true;
  sync_again_ = false;
  sync_age_ = {};
  const auto ticket = log_->begin_sync();
  services_.run_on_worker([ticket] { ticket->run(); },
                          [this, ticket] {
                            log_->finish_sync(ticket);
                            syncing_ = false;
                            feed(pair_event::Synced{});
                            if (sync_again_) start_sync();
                          });
}

bool VolumeRuntime::in_tail(Sequence first, Sequence last) const {
  return !tail_.empty() && tail_.front().sequence <= first && tail_.back().sequence >= last;
}

// True: the partner holds the message's records now. What else it says goes as a message when it is
// due, so that leases, syncs and signs of life do not rest on memory.
bool VolumeRuntime::copy_in_memory(const LinkMessage& message) {
  // Behind records that went as messages and are not held yet, these must go as messages, too.
  const Sequence through = std::max(core_.partner_held(), copied_through_);
  if (config_.rings == nullptr || core_.solo() || message.first != through + 1 ||
      !in_tail(message.first, message.last))
    return false;
  std::vector<BytesView> records;
  for (Sequence s = message.first; s <= message.last; ++s) {
    const Tail& tail = tail_[s - tail_.front().sequence];
    records.push_back(tail.head);
    if (!tail.bulk.empty()) records.push_back(tail.bulk.view());
  }
  const RingTerms terms{config_.log.cluster_id, config_.pair.volume, message.epoch,
                        config_.pair.self.incarnation, message.receiver};
  const Instant now = services_.now();
  if (!ring_.copy(terms, records, now)) return false;
  copied_through_ = message.last;
  events_.push_back(pair_event::Copied{message.last});
  const bool sync = message.sync_wanted > told_sync_;
  if (!ring_.wants_taker() && !sync && now - told_at_ < config_.pair.timings.heartbeat / 2)
    return true;
  told_sync_ = message.sync_wanted;
  told_at_ = now;
  LinkMessage rest = message;
  rest.first = message.last + 1;
  services_.send_link(rest, {});
  return true;
}

void VolumeRuntime::take_ring() {
  if (!ring_.take(*log_)) return;
  tail_.clear();
  tail_bytes_ = 0;
}

void VolumeRuntime::serve_ring() {
  const Incarnation executor = core_.holds_for();
  std::optional<RingTerms> wanted;
  if (executor != 0)
    wanted = {config_.log.cluster_id, config_.pair.volume, core_.epoch(), executor,
              config_.pair.self.incarnation};
  ring_.serve(wanted, *log_, services_.now());
}

SharedBytes VolumeRuntime::records_for(Sequence first, Sequence last) {
  Bytes out;
  if (in_tail(first, last)) {
    for (Sequence s = first; s <= last; ++s) {
      const Tail& t = tail_[s - tail_.front().sequence];
      out += t.head;
      out += t.bulk.view();
    }
  } else {
    Sequence through = 0;
    out = log_->read_encoded(first, last, ~size_t{0}, &through);
  }
  return SharedBytes::from(std::move(out));
}

void VolumeRuntime::append(LogRecord record) {
  record.held_through = core_.partner_held();
  record.synced_through = core_.durable_through();
  Bytes head = log_->append(record);
  head += record.body.view();
  tail_bytes_ += record.encoded_bytes();
  tail_.push_back({record.sequence, std::move(head), record.bulk});
  while (tail_bytes_ > kTailMaxBytes && tail_.size() > 1) {
    tail_bytes_ -= tail_.front().head.size() + tail_.front().bulk.size();
    tail_.pop_front();
  }
  bytes_since_checkpoint_ += record.encoded_bytes();
  logged_bytes_ += record.encoded_bytes();
  appended_ = true;
}

// ---- commands ---------------------------------------------------------------------------------

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
  execute(std::move(pending),
          {header.op, header.request, header.slice, std::move(body), std::move(bulk)});
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

void VolumeRuntime::execute_internal(const CommandInput& input) {
  Executed executed = run_command(input);
  if (!executed.logged) return;
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
  note_change(input.op);
  ++commands_since_checkpoint_;
}

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
    services_.send_command(config_.pair.volume, send.input,
                           [this, tag = send.tag, life = life_](const PeerLinks::Answer& answer) {
                             if (life != life_ || executor_ == nullptr) return;
                             executor_->slice_answered(tag, answer.status, answer.error,
                                                       answer.reply, services_.now());
                             slices_wake_ = services_.now();
                           });
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

void VolumeRuntime::flush() {
  take_ring();
  take_held_requests();
  take_requests_that_waited_for_room();
  note_elements();
  if (finished_point_ != nullptr && core_.may_execute()) std::exchange(finished_point_, nullptr)();
  send_recalls();
  release_answers();
  const Instant now = services_.now();
  if (now >= reopen_at_) do_open(core_.epoch());
  run_follow_ups();
  drop_parked();
  if (appended_) {
    appended_ = false;
    feed(pair_event::Appended{});
  }
  if (want_durable_) {
    want_durable_ = false;
    feed(pair_event::WantDurable{});
  }
  if (now >= core_.next_wake()) feed(pair_event::Tick{});
  if (!preparing_segment_ && log_->wants_spare()) {
    preparing_segment_ = true;
    services_.run_on_worker([prepare = log_->spare_maker()] { prepare(); },
                            [this] {
                              preparing_segment_ = false;
                              log_->take_spare();
                            });
  }
  if (now >= next_housekeeping_ || checkpoint_wanted_ || room_watch_.wants_point() ||
      bytes_since_checkpoint_ > 1 << 20) {
    if (now >= next_housekeeping_) {
      watch_sync();
      look_at_reach();
      compare_reach();
      next_housekeeping_ = now + kHousekeeping;
    }
    consider_checkpoint();
  }
  consider_maintenance();
  release_answers();
}

// P5: a log disk that hangs is no progress, however well the loop runs.
void VolumeRuntime::watch_sync() {
  if (!syncing_) return;
  sync_age_ += kHousekeeping;
  if (sync_age_ > config_.sync_max)
    services_.fail_stop(fmt::format("a sync of the log of volume {} has not ended for {} ms",
                                    to_string(config_.pair.volume),
                                    sync_age_ / std::chrono::milliseconds(1)));
}

// ---- consistency points -----------------------------------------------------------------------

void VolumeRuntime::consider_checkpoint() {
  if (checkpointing_ || maintaining_ || store_ == nullptr || !core_.may_execute()) return;
  const bool changed = commands_since_checkpoint_ > 0 || bytes_since_checkpoint_ > 0;
  const bool due =
      services_.now() - last_checkpoint_ >= config_.checkpoint_interval ||
      bytes_since_checkpoint_ >= std::min(config_.checkpoint_log_bytes, tight_checkpoint_bytes()) ||
      execute_time_ >= config_.replay_max ||
      (freed_ && services_.now() - last_checkpoint_ >= kMaintenancePeriod);
  const bool upkeep =
      services_.now() - last_checkpoint_ >= kMaintenancePeriod && store_->wants_checkpoint();
  if (!checkpoint_wanted_ && !upkeep && !room_watch_.wants_point() && !(changed && due)) return;
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
