// The protocol of a mount: commands in, messages to routers out, replies in, outcomes out. Owns
// sessions and slots per volume, retries, the choice of router, the declaration of open inodes to
// a new executor, the client's copy of the cluster map, and what may be answered under leases.
//
// No clock, thread, socket or file: the shell passes events with the time and afterwards takes the
// effects (take_sends, take_completions) and calls wake() at next_wake(). One thread. The same
// events give the same effects.
//
// Promises. A command is executed at most once, and its outcome is the one of that execution, over
// any number of retries, routers and takeovers; only a mutation whose session expired while it was
// under way ends with EIO instead, as its outcome cannot be known. A volume that does not answer
// delays nothing that goes to another volume. The messages: docs/protocol.md.
#pragma once

#include <array>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <unordered_map>
#include <vector>

#include "common/cluster_map.h"
#include "common/codec.h"
#include "common/command_slice.h"
#include "common/commands.h"
#include "common/header.h"
#include "common/messages.h"
#include "fuse/client_timing.h"
#include "fuse/held_locks.h"
#include "fuse/lease_cache.h"
#include "fuse/open_table.h"
#include "fuse/volume_channel.h"

namespace pairfs {

class ClientCore {
 public:
  struct Settings {
    Incarnation incarnation = 0;
    uint64_t random_seed = 0;  // of session ids
    Bytes host;                // for people: where this mount is
    Bytes mount;
    size_t routers = 1;
    // After this time a request ends with EIO; nullopt: retried for ever. A lock may wait longer
    // for its holder, but not for a silent executor.
    std::optional<Duration> retry_limit;
    bool cache = true;          // answers under leases
    bool write_behind = false;  // asks to be let to answer writes before they are executed
  };
  struct Send {
    size_t router;  // index
    SharedBytes head;
    SharedBytes bulk;
  };
  struct Completion {
    Ticket ticket = 0;
    int error = 0;  // errno; 0: body is the command's Reply
    SharedBytes body;
    SharedBytes bulk;          // of a Read
    uint64_t open_serial = 0;  // Open, CreateFile: for handle_lost
  };
  struct Counters {
    uint64_t sent = 0, resent = 0, busy = 0, not_executor = 0, dropped_replies = 0;
    uint64_t sessions_lost = 0, refused = 0;
  };

  explicit ClientCore(Settings settings);

  // ---- commands ----
  // `bulk`: a Write's data. retry_limit: overrides the setting, when shorter. The outcome comes
  // through take_completions(), never from within this call.
  template <class C>
  Ticket submit(const C& command, Instant now, SharedBytes bulk = {},
                std::optional<Duration> retry_limit = std::nullopt, bool behind = false) {
    Request request;
    request.op = C::kOp;
    request.mutation = C::kKind != Kind::kRead;
    request.slice = slice_of(command);
    request.bulk = std::move(bulk);
    request.behind = behind;
    note_about(command, request);
    if (settings_.cache) request.note = cache_.begin(command);
    note_submitted(command, request);
    if (request.body.empty()) request.body = encode(command);
    return start(std::move(request), now, retry_limit);
  }
  // The answer to a read under a lease, if it is known here; else submit() it.
  template <class C>
  std::optional<CachedAnswer<C>> answer(const C& command, Instant now) {
    if constexpr (requires { cache_.answer(command, now); }) {
      if (!settings_.cache || closing_) return std::nullopt;
      auto known = cache_.answer(command, now);
      if (!known) fetch_missing(now);
      return known;
    } else {
      return std::nullopt;
    }
  }
  // ---- writes that are answered before they are executed (client_writes.cc) ----
  // True: write_behind() may be called for it, and the write then be answered with success: at
  // once, or while is_far_behind(), once that has ended.
  bool may_write_behind(const Write& command, size_t bytes, Instant now) const;
  bool is_far_behind() const;
  // Its completion concerns nobody; a failure comes through take_write_error().
  Ticket write_behind(const Write& command, Instant now, SharedBytes bulk);
  // Some are not executed yet.
  bool has_writes_behind(InodeRef inode) const {
    const auto found = behind_.find(inode.id);
    return found != behind_.end() && found->second.answered > 0;
  }
  bool has_writes_behind() const { return behind_count_ > 0; }
  // errno of the first that failed since the last call; 0: none.
  int take_write_error(InodeRef inode);

  // One handle of the inode, which Open or CreateFile gave, is gone; the executor is told when it
  // was the last one.
  void release(InodeRef inode, Instant now);
  // True: the request was never sent, is forgotten, and has no completion. False: it goes on.
  bool drop_if_unsent(Ticket ticket, Instant now);
  // Ends a SetLock that waits: it completes with EINTR, or with success when it was granted first.
  void cancel_lock(Ticket ticket, Instant now);

  // Whether the owner may hold locks on the inode (HeldLocks).
  bool may_hold_locks(InodeRef inode, uint64_t owner, bool whole_file) const {
    return locks_.may_hold(inode, owner, whole_file);
  }
  // True: the session that this handle or its locks rest on has expired; I/O on it is EIO.
  bool handle_lost(InodeRef inode, uint64_t open_serial) const {
    return opens_.is_lost(inode, open_serial);
  }
  // Unmount: ends all sessions. No submit() afterwards. Done when sessions_ended().
  void close_sessions(Instant now);
  bool sessions_ended() const;

  // ---- routers ----
  // One more, not connected yet; the result is its index. `preferred`: used whenever it is
  // connected, and again some time after it did not help.
  size_t add_router(bool preferred);

  // ---- events ----
  void link_changed(size_t router, bool connected, Instant now);
  void message_received(const SharedBytes& head, const SharedBytes& bulk, Instant now);
  void wake(Instant now);
  Instant next_wake() const;  // Instant::max(): nothing is timed

  // ---- effects ----
  std::vector<Send> take_sends() { return std::exchange(sends_, {}); }
  std::vector<Completion> take_completions() { return std::exchange(completions_, {}); }

  // nullopt until a router answered.
  const std::optional<ClusterMap>& map() const { return map_; }
  uint64_t map_version() const { return map_version_; }  // 0: not known
  const Counters& counters() const { return counters_; }
  const LeaseCache& cache() const { return cache_; }
  size_t outstanding() const { return requests_.size(); }

 private:
  enum class Role {
    kUser,
    kClose,
    kOpenSession,
    kRenew,
    kDeclare,
    kCloseSession,
    kCancel,
    kMap,
    kGiveBack
  };
  enum class State { kQueued, kNoLink, kSent, kPausing };
  struct Request {
    Ticket ticket = 0;
    Role role = Role::kUser;
    State state = State::kQueued;
    uint16_t op = 0;
    bool mutation = false;
    bool changes_opens = false;  // Open, CreateFile, Close
    bool waiting_lock = false;   // a SetLock that may wait at the executor
    bool polling_lock = false;   // a SetLock that waits here, by asking again and again
    bool cancelled = false;
    bool no_map_needed = false;
    Slice slice = 0;
    std::optional<InodeRef> inode;  // of Open, SetLock and Role::kClose
    Bytes body;
    SharedBytes bulk;
    uint32_t bulk_crc = 0;

    std::array<uint64_t, 2> about{};          // the files that it names; 0: none
    uint64_t write_begin = 0, write_end = 0;  // of a Write that does not append
    bool behind = false;                      // of a Write: its caller has been answered

    bool assigned = false;  // `id` is valid: the request has been or is being sent
    VolumeId volume;
    RequestId id;
    size_t router = 0;
    unsigned sends = 0;
    Instant sent_at{};
    Instant first_sent{};
    LeaseCache::Note note;  // of Role::kUser
    Instant submitted_at{};
    Instant give_up = Instant::max();
    Instant due = Instant::max();    // when fire() is wanted
    Instant timer = Instant::max();  // the earlier of the two
    Duration timeout{};
    Duration pause{};
  };

  // client_core.cc
  template <class C>
  void note_submitted(const C&, Request&) {}
  void note_submitted(const Open& command, Request& request);
  void note_submitted(const CreateFile& command, Request& request);
  void note_submitted(const SetLock& command, Request& request);
  Ticket start(Request request, Instant now, std::optional<Duration> retry_limit);
  Ticket start_internal(Role role, Slice slice, uint16_t op, Bytes body, Instant now,
                        std::optional<InodeRef> inode = std::nullopt);
  void dispatch(Request& request, Instant now);
  void assign(Request& request, uint32_t slot);
  void renumber(Request& request);
  void unassign(Request& request, Instant now);
  void transmit(Request& request, Instant now);
  void flush(std::deque<Ticket>& queue, Instant now);
  std::optional<size_t> choose_router() const;
  void leave_router(size_t router, Instant now);
  void set_timer(Request& request, Instant at);
  void fire(Request& request, Instant now);
  bool lock_may_wait_on(Request& request, Instant now);
  void refresh(Instant now);
  void give_up(Request& request, Instant now);
  // `header`: of the reply; nullptr: the outcome is the client's own.
  void user_outcome(Request& request, int error, SharedBytes body, SharedBytes bulk, Instant now,
                    const MessageHeader* header = nullptr);
  void end(Request& request, Instant now);
  Request* find(Ticket ticket);

  // client_replies.cc
  void take_message(const SharedBytes& head, const SharedBytes& bulk, Instant now);
  void outcome(Request& request, const MessageHeader& header, SharedBytes body, SharedBytes bulk,
               Instant now);
  void pause(Request& request, Instant now);
  void session_unknown(Request& request, Instant now);
  void session_unknown_elsewhere(Request& request, VolumeId volume, Instant now);
  void learn(const Request& request, Epoch epoch, Instant now);
  void learn_epoch(VolumeId volume, Epoch epoch, bool told, Instant now);
  void renew_leases(const Request& request, const MessageHeader& header, Instant now);
  void pushed(const MessageHeader& header, BytesView body, Instant now);
  void recalled(const MessageHeader& header, const Recall& recall, Instant now);
  void note_outcome(const Request& request, const MessageHeader* header, int error, BytesView body);
  void fetch_missing(Instant now);

  // client_writes.cc
  struct Range {
    Ticket ticket = 0;
    uint64_t begin = 0, end = 0;  // octets of the file
  };
  // Of a file with writes that were answered and are not executed.
  struct Behind {
    VolumeId volume;
    unsigned answered = 0;                            // those writes
    std::vector<Range> under_way;                     // writes that were sent
    std::deque<Ticket> waiting;                       // what must not pass them, oldest first
    std::set<std::pair<Epoch, uint64_t>> give_backs;  // numbers of recalls to be answered then
  };
  struct UnknownGiveBack {
    VolumeId volume;
    Epoch epoch = 0;
    uint64_t number = 0;
  };
  static constexpr size_t kRecentWritesMax = 4096;
  template <class C>
  static void note_about(const C& command, Request& request) {
    if constexpr (requires { command.inode; }) request.about[0] = command.inode.id;
    if constexpr (std::is_same_v<C, CopyRange>) request.about[1] = command.source.id;
    if constexpr (std::is_same_v<C, Write>) {
      if (command.append) return;
      request.write_begin = command.offset_bytes;
      request.write_end = command.offset_bytes + request.bulk.size();
    }
  }
  bool may_pass_writes(const Request& request, const Behind& behind) const;
  bool waits_for_writes(Request& request);
  bool waits_for_writes_elsewhere(Request& request, uint64_t but);
  void note_write_begins(const Request& request);
  void write_ended(const Request& request, int error, Instant now);
  void pass_ended_writes(Instant now);
  bool may_miss_write(const Request& request, uint64_t inode_id) const;
  bool look_again_after_writes(Request& request, BytesView body, Instant now);
  SharedBytes without_old_attributes(const Request& request, SharedBytes body) const;
  bool answers_writes_of(VolumeId volume) const;
  void give_back(VolumeId volume, Epoch epoch, const std::vector<uint64_t>& numbers, Instant now);
  void send_waiting_give_backs(Behind& behind, Instant now);
  bool give_back_later(VolumeId volume, Epoch epoch, uint64_t inode_id, uint64_t number);

  // client_sessions.cc
  VolumeChannel& channel_of(const Request& request) { return channels_[request.volume]; }
  void open_session(VolumeId volume, Instant now);
  void session_opened(VolumeId volume, Instant now);
  void session_lost(VolumeId volume, Instant now);
  void renew(VolumeId volume, Instant now);
  void session_renewed(VolumeId volume, Instant now);
  void declare_if_due(VolumeId volume, Instant now);
  void declared(VolumeId volume, BytesView reply, Instant now);
  void send_close(InodeRef inode, uint32_t count, Instant now);
  void read_map(Instant now);
  bool take_map(BytesView body, Instant now);
  bool follow_volume(Request& request, Instant now);
  void slices_moved(const ClusterMap& before, Instant now);
  // nullopt: no slice is there any more.
  std::optional<Slice> slice_of_volume(VolumeId volume) const;

  Settings settings_;
  std::mt19937_64 random_;
  SessionId session_ = 0;
  std::optional<ClusterMap> map_;
  uint64_t map_version_ = 0;
  Ticket map_request_ = 0;
  Instant next_map_read_{};
  Instant next_refresh_{};  // of the map

  std::map<Ticket, Request> requests_;
  std::unordered_map<uint64_t, Ticket> by_sequence_;  // assigned requests
  std::set<std::pair<Instant, Ticket>> timers_;
  std::map<VolumeId, VolumeChannel> channels_;
  std::deque<Ticket> for_map_;
  std::deque<Ticket> for_link_;
  OpenTable opens_;
  HeldLocks locks_;
  LeaseCache cache_;

  std::unordered_map<uint64_t, Behind> behind_;
  uint64_t behind_bytes_ = 0;
  unsigned behind_count_ = 0;  // of these writes
  std::unordered_map<uint64_t, int> write_errors_;
  // When the newest write of a file was executed that had been answered before.
  std::unordered_map<uint64_t, Instant> recent_writes_;
  std::vector<uint64_t> ended_writes_;  // files whose queues are to be looked at
  std::vector<UnknownGiveBack> unknown_give_backs_;

  std::vector<bool> connected_;
  size_t current_router_ = 0;
  std::optional<size_t> preferred_router_;
  Instant prefer_again_{};  // when it is tried again after it did not help
  Duration prefer_pause_ = kPreferPauseFirst;
  Ticket next_ticket_ = 1;
  uint64_t next_sequence_ = 1;
  unsigned waiting_locks_ = 0;  // requests with waiting_lock
  bool closing_ = false;

  std::vector<Send> sends_;
  std::vector<Completion> completions_;
  Counters counters_;
};

}  // namespace pairfs
