// Dispatch of commands: who may ask, exactly-once by slot, resolving, one atomic apply.
#include "node/executor/executor.h"

#include "common/codec.h"
#include "common/command_slice.h"
#include "common/crc32c.h"
#include "common/row_codec.h"
#include "common/test_switch.h"
#include "node/executor/inodes.h"
#include "node/executor/lease_grants.h"
#include "node/executor/operations/declared.h"
#include "node/executor/operations/operations.h"
#include "node/executor/slice_giver.h"

namespace pairfs {

namespace {

template <class C>
concept Resolves = requires(C command) {
  command.resolved;
};
// Reads that touch the session's state, so it must exist.
template <class C>
inline constexpr bool kNeedsSession =
    std::is_same_v<C, Open> || std::is_same_v<C, Close> || std::is_same_v<C, DeclareOpens> ||
    std::is_same_v<C, RenewSession> || std::is_same_v<C, GiveBack>;

uint32_t crc_of_outcome(int error, BytesView reply) {
  const auto octets = static_cast<uint32_t>(error);
  return crc32c(reply, crc32c({reinterpret_cast<const char*>(&octets), sizeof octets}));
}

template <class C>
CommandInput internal_input(const C& command) {
  return {.op = C::kOp,
          .request = {0, kUnslotted, 0},
          .slice = slice_of(command),
          .body = SharedBytes::from(encode(command))};
}

class VolumeExecutor final : public Executor {
 public:
  VolumeExecutor(const ExecutorConfig& config, VolumeStore& store)
      : config_(config), store_(store), givers_(config_, store, state_) {
    state_.leases = LeaseTable(config.epoch, config.lease_term);
    load();
  }

  Executed execute(const CommandInput& input, Sequence sequence, Timestamp wall_clock,
                   Instant now) override {
    Executed out;
    out.status = ReplyStatus::kBadRequest;
    visit_command_type(input.op, [&]<class C>(std::type_identity<C>) {
      auto command = decode<C>(input.body.view());
      if (!command) return;
      out.status = admit_request(input, *command, now, out);
      if (out.status != ReplyStatus::kOutcome || answered_) return;
      Transaction tx(store_);
      Context context{tx, state_, config_, input, false, wall_clock, now, out};
      state_.seen.clear();
      if constexpr (Resolves<C>) {
        command->resolved = {};
        command->resolved.now = state_.next_time(wall_clock);
      }
      perform(context, *command, sequence);
    });
    return out;
  }

  Executed replay(const CommandInput& input, Sequence sequence) override {
    Executed out;
    out.status = ReplyStatus::kBadRequest;
    visit_command_type(input.op, [&]<class C>(std::type_identity<C>) {
      if constexpr (C::kKind != Kind::kRead) {
        auto command = decode<C>(input.body.view());
        if (!command) return;
        out.status = ReplyStatus::kOutcome;
        Transaction tx(store_);
        Context context{tx, state_, config_, input, true, {}, {}, out};
        state_.seen.clear();
        perform(context, *command, sequence);
      }
    });
    return out;
  }

  std::vector<CommandInput> take_follow_ups(Instant now) override;
  std::vector<CommandInput> take_granted() override { return state_.locks.take_granted(); }
  void begin_serving(Instant now) override;
  void format(Sequence sequence, Timestamp now, const std::vector<Slice>& slices) override;
  std::vector<SessionStatus> sessions() const override;
  void set_volume_uses(std::vector<VolumeUse> uses) override { state_.uses = std::move(uses); }
  void set_log_room(uint64_t bytes) override { state_.log_room_bytes = bytes; }
  void set_cluster(const ClusterMap& map, const ClusterPolicy& policy) override {
    state_.cluster = map;
    state_.policy = policy;
  }
  OpenTransactions open_transactions() const override;
  bool owns(Slice slice) const override { return state_.slices.owns(slice); }
  std::vector<Slice> owned_slices() const override { return state_.slices.owned(); }
  uint64_t slices_version() const override { return state_.slices.version(); }
  void give_slice(Slice slice, VolumeId to) override { givers_.begin(slice, to); }
  SliceEffects step_slices(Instant now) override { return givers_.step(now); }
  void slice_answered(uint64_t tag, ReplyStatus status, int error, const Bytes& reply,
                      Instant now) override {
    givers_.answered(tag, status, error, reply, now);
  }
  void slice_fetched(uint64_t tag, Result<SharedBytes> data, Instant now) override {
    givers_.fetched(tag, std::move(data), now);
  }
  SliceProgress slice_progress() const override { return givers_.progress(); }
  std::vector<LeaseTable::Recall> take_recalls(Instant now) override {
    return state_.leases.take_recalls(now);
  }
  Instant recalls_wake() const override { return state_.leases.next_wake(); }
  std::vector<uint64_t> unanswered_changes() const override {
    std::vector<uint64_t> inodes = state_.leases.recalled_inodes();
    if (state_.leases.has_unknown() && !PAIRFS_MUTANT(unanswered_not_noted))
      inodes.insert(inodes.end(), state_.changed_before.begin(), state_.changed_before.end());
    std::sort(inodes.begin(), inodes.end());
    inodes.erase(std::unique(inodes.begin(), inodes.end()), inodes.end());
    return inodes;
  }
  bool is_waited_for(LeaseTable::Number recall) const override {
    return state_.leases.is_waited_for(recall);
  }

 private:
  void load();

  // Who asks, and whether it was asked before. Sets answered_ when `out` already has the answer.
  template <class C>
  ReplyStatus admit_request(const CommandInput& input, const C& command, Instant now,
                            Executed& out) {
    answered_ = false;
    const RequestId& request = input.request;
    if constexpr (C::kKind == Kind::kInternal) {
      if (request.session != 0) return ReplyStatus::kBadRequest;
      const VolumeId volume = volume_of(command);
      if (volume != VolumeId{} && volume != config_.volume) return ReplyStatus::kNotExecutor;
      if (
          requires { command.slice; } || requires { command.inode; }) {
        // A decision may still end what has begun in a slice that is about to go, and looks itself
        // whether the slice is gone.
        constexpr bool kEnds = requires { command.participants; };
        if (!kEnds && !state_.slices.owns(slice_of(command))) return ReplyStatus::kNotExecutor;
        if (kEnds ? state_.slices.is_sealed(slice_of(command))
                  : state_.slices.is_frozen(slice_of(command)))
          return ReplyStatus::kBusy;
      }
      return ReplyStatus::kOutcome;
    }
    if (!state_.slices.owns(slice_of(command))) return ReplyStatus::kNotExecutor;
    if (state_.slices.is_frozen(slice_of(command))) return ReplyStatus::kBusy;
    Session* session = state_.sessions.find(request.session);
    if (session != nullptr) {
      session->heard = now;
      if (state_.leases.heard(session->id, now))
        out.lease_ms = static_cast<uint32_t>(config_.lease_term / std::chrono::milliseconds(1));
    }
    if constexpr (C::kKind == Kind::kRead) {
      if (kNeedsSession<C> && session == nullptr) return ReplyStatus::kUnknownSession;
      return ReplyStatus::kOutcome;
    } else {
      if (session == nullptr) {
        const bool opens = std::is_same_v<C, OpenSession> && request.session != 0 &&
                           !state_.sessions.is_expired(request.session);
        if (!opens && !PAIRFS_MUTANT(unknown_session_executed)) return ReplyStatus::kUnknownSession;
      }
      if (slot_index(request.slot) >= kSlotsPerSession || request.sequence == 0)
        return ReplyStatus::kBadRequest;
      if (session == nullptr) return ReplyStatus::kOutcome;
      const auto slot = session->slots.find(request.slot);
      if (slot == session->slots.end()) return ReplyStatus::kOutcome;
      const ReplyRow& last = slot->second;
      if (request.sequence > last.sequence) return ReplyStatus::kOutcome;
      if (request.sequence < last.sequence || last.number_only()) {
        PAIRFS_REACHED(stale_slot_dropped);
        return PAIRFS_MUTANT(lower_sequence_executed) ? ReplyStatus::kOutcome : ReplyStatus::kBusy;
      }
      PAIRFS_REACHED(retry_answered_again);
      if (PAIRFS_MUTANT(retry_executed)) return ReplyStatus::kOutcome;
      answer_again(*session, request, command, last, out);
      return ReplyStatus::kOutcome;
    }
  }

  // The same request again: the stored answer. What was never logged is made good: the handle that
  // a CreateFile of an earlier executor opened, the sync that a Write waits for.
  template <class C>
  void answer_again(Session& session, const RequestId& request, const C& command,
                    const ReplyRow& last, Executed& out) {
    answered_ = true;
    out.error = last.error;
    out.reply = last.reply;
    wait_for_earlier_leases(state_, session.id, out);
    if (const auto told = session.told_changes.find(request.slot);
        told != session.told_changes.end() && told->second.sequence == request.sequence) {
      out.lease_grants = told->second.grants & kLeaseChangesTold;
      std::copy_n(told->second.changed, 2, out.changed);
    }
    if constexpr (std::is_same_v<C, Write>) out.needs_sync = command.sync;
    if constexpr (std::is_same_v<C, CreateFile>) {
      if (last.error != 0 || session.counted_creates[request.slot] == request.sequence) return;
      session.counted_creates[request.slot] = request.sequence;
      if (const auto reply = decode<EntryReply>(last.reply); reply && !reply->remote)
        state_.handles.add(session.id, reply->attributes.inode.id);
    }
  }

  template <class C>
  void perform(Context& context, C& command, Sequence sequence) {
    Executed& out = context.out;
    auto result = run(context, command);
    if (result.error() == kCrossVolume && !config_.transactions) result = Errno{EXDEV};
    out.error = result.error();
    if (result)
      out.reply = encode(*result);
    else if (out.error != kCrossVolume)
      out.reply.clear();
    if (out.error >= kNotLogged) return leave(context);
    if constexpr (std::is_same_v<C, Prepare>) note_promised(context, command, result);
    if constexpr (C::kKind == Kind::kRead) {
      note_seen(context);
      if constexpr (!std::is_same_v<C, GiveBack>) grant_leases(context, command, result);
    } else {
      if (context.unlogged) return;
      if (!result) context.tx.drop();
      if (result) note_times(context, command);
      const bool named = note_changed(context, named_inodes(command, result));
      if (!context.replaying) note_seen(context);
      if constexpr (C::kKind == Kind::kMutation) {
        if (!context.replaying) {
          grant_leases(context, command, result);
          if (named) out.lease_grants |= kLeaseChangesTold;
        }
        store_reply(context);
      }
      out.logged = true;
      if (!context.replaying) out.resolved_body = encode(command);
      out.outcome_crc = crc_of_outcome(out.error, out.reply);
      apply(context.tx.take(), sequence);
    }
  }

  void apply(Changes changes, Sequence sequence) {
    givers_.note_changes(changes);
    store_.apply(std::move(changes), sequence);
  }

  // Nothing happened, and nothing is logged.
  void leave(Context& context) {
    Executed& out = context.out;
    // Only what had an effect was logged: in a replay this is a difference.
    if (context.replaying) out.status = ReplyStatus::kBadRequest;
    if (out.error >= kCrossVolume) {
      out.cross_volume = out.waiting = true;
      out.error = 0;
    } else if (out.error >= kHeld) {
      out.status = ReplyStatus::kBusy;
      out.error = 0;
    } else {
      out.error -= kNotLogged;
    }
  }

  template <class C>
  void note_times(Context& context, const C& command) {
    Timestamp given;
    if constexpr (Resolves<C>) given = command.resolved.now;
    if constexpr (std::is_same_v<C, UpdateAtime>) given = command.atime;
    if (given <= state_.high_water) return;
    state_.high_water = given;
    context.tx.put(volume_key(), encode_volume_row({.high_water = given}));
  }

  // A closed session has no slots any more: a second CloseSession is answered as unknown.
  void store_reply(Context& context) {
    const RequestId& request = context.input.request;
    Session* session = state_.sessions.find(request.session);
    if (session == nullptr) return;
    const Executed& out = context.out;
    ReplyRow& row = session->slots[request.slot];
    row = {request.sequence, out.error, out.reply, context.input.slice};
    if (!context.replaying) {
      Session::ToldChanges& told = session->told_changes[request.slot];
      told.sequence = request.sequence;
      told.grants = out.lease_grants;
      std::copy_n(out.changed, 2, told.changed);
    }
    context.tx.put(reply_key(request.session, request.slot), encode_reply_row(row));
  }

  const ExecutorConfig config_;
  VolumeStore& store_;
  VolumeState state_;
  SliceGivers givers_;
  bool answered_ = false;
  Instant sessions_checked_;
};

void VolumeExecutor::load() {
  state_.sessions.load(store_);
  if (PAIRFS_MUTANT(reply_cache_dropped))
    for (const auto& [id, session] : state_.sessions.live())
      for (auto& [slot, row] : state_.sessions.find(id)->slots) row = {};
  state_.handles.load(store_);
  state_.locks.load(store_);
  state_.intents.load(store_);
  if (const auto value = store_.get(volume_key())) {
    const auto row = decode_volume_row(*value);
    ENSURE(row && row->format_version == 1, "volume row");
    state_.high_water = row->high_water;
  }
  state_.slices.load(store_);
  const auto here = [&](uint64_t inode_id) {
    return state_.slices.owns(InodeRef{inode_id}.slice());
  };
  state_.locks.keep_only(here);
  state_.handles.keep_only(here);
  state_.cluster = config_.map;
  state_.policy = config_.policy;
}

void VolumeExecutor::format(Sequence sequence, Timestamp now, const std::vector<Slice>& slices) {
  Transaction tx(store_);
  for (const Slice slice : slices) state_.slices.set(tx, slice, {.state = SliceStateRow::kOwned});
  tx.put(volume_key(), encode_volume_row({.high_water = now}));
  state_.high_water = now;
  if (state_.slices.owns(0)) {
    Inode root;
    root.id = kRootInode.id;
    root.generation = kRootInode.generation;
    root.mode = S_IFDIR | 0755;
    root.nlink = 2;
    root.atime = root.mtime = root.ctime = now;
    root.size_bytes = root.allocated_bytes = kFileBlockBytes;
    root.next_cookie = kFirstCookie;
    root.parent = kRootInode;
    tx.put(inode_key(root.id), encode_inode(root));
    tx.put(slice_counter_key(0), encode_u64(kRootInode.id + 1));
  }
  store_.apply(tx.take(), sequence);
}

void VolumeExecutor::begin_serving(Instant now) {
  for (auto& [id, session] : state_.sessions.live()) {
    session.heard = now;
    session.declared = false;
  }
  std::vector<SessionId> live;
  for (const auto& [id, session] : state_.sessions.live()) live.push_back(id);
  state_.leases.begin(live, now);
  state_.pending_atimes.clear();
  state_.noted_writers.clear();
  state_.wanted_writers.clear();
  state_.earlier_writers.clear();
  if (const auto value = store_.get(writers_key()); value && !PAIRFS_MUTANT(writers_not_noted))
    if (const auto row = decode_writers(*value))
      state_.earlier_writers.insert(row->writers.begin(), row->writers.end());
  givers_.load();
  update_all_declared(state_);
}

std::vector<CommandInput> VolumeExecutor::take_follow_ups(Instant now) {
  constexpr size_t kMostPerCall = 64;
  std::vector<CommandInput> inputs;
  if (now - sessions_checked_ >= std::chrono::milliseconds(500)) {
    sessions_checked_ = now;
    for (const auto& [id, session] : state_.sessions.live())
      if (now - session.heard >= config_.session_timeout && inputs.size() < kMostPerCall) {
        PAIRFS_REACHED(session_expired);
        inputs.push_back(internal_input(ExpireSession{.session = id}));
      }
  }
  for (const uint64_t inode_id : state_.handles.take_free(kMostPerCall, now)) {
    const auto value = store_.get(inode_key(inode_id));
    if (const auto inode = value ? decode_inode(inode_id, *value) : std::nullopt)
      inputs.push_back(internal_input(FreeInode{inode->ref()}));
  }
  if (!state_.wanted_writers.empty()) {
    NoteWriters note;
    const auto add = [&](uint64_t inode_id, SessionId session) {
      if (note.inode_ids.size() == NoteWriters::kMax) return;
      note.inode_ids.push_back(inode_id);
      note.sessions.push_back(session);
    };
    for (const auto& [inode_id, session] : state_.leases.writers()) add(inode_id, session);
    for (const auto& [inode_id, session] : state_.wanted_writers)
      if (state_.leases.writer_of(inode_id) == 0) add(inode_id, session);
    state_.wanted_writers.clear();
    inputs.push_back(internal_input(note));
  }
  auto& atimes = state_.pending_atimes;
  for (size_t i = 0; i < kMostPerCall && !atimes.empty(); ++i) {
    inputs.push_back(internal_input(UpdateAtime{.inode = atimes.begin()->second}));
    atimes.erase(atimes.begin());
  }
  return inputs;
}

std::vector<Executor::SessionStatus> VolumeExecutor::sessions() const {
  std::vector<SessionStatus> status;
  for (const auto& [id, session] : state_.sessions.live())
    status.push_back({id, session.row.host, session.row.mount, "live"});
  return status;
}

OpenTransactions VolumeExecutor::open_transactions() const {
  OpenTransactions open;
  open.held = state_.intents.attempts();
  for (const auto& [id, participants] : state_.intents.decisions())
    open.decided.push_back({id, participants});
  return open;
}

}  // namespace

std::unique_ptr<Executor> make_executor(const ExecutorConfig& config, VolumeStore& store) {
  return std::make_unique<VolumeExecutor>(config, store);
}

}  // namespace pairfs
