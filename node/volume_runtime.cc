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
constexpr Duration kReopenMin = std::chrono::milliseconds(500),
                   kReopenMax = std::chrono::seconds(8);
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
        reach_differs_since_ = returned_since_ = Instant::max();
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
  slices_waiting_.clear();
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
      reopen_if_elements_returned();
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

}  // namespace pairfs
