// One volume's executor on a memory store, for tests: sends commands as a client would, keeps the
// log as a node would, and can replay it into an empty store.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "common/codec.h"
#include "common/command_slice.h"
#include "node/executor/check_volume.h"
#include "node/executor/digest.h"
#include "node/executor/executor.h"
#include "node/store/memory_store.h"

namespace pairfs::test {

inline ClusterMap map_of_one_volume() {
  ClusterMap map;
  map.slices.push_back({0, kSliceCount, {1, 0}});
  return map;
}

struct LogRecord {
  CommandInput input;
  Sequence sequence = 0;
  uint32_t outcome_crc = 0;
};

inline Credentials root() { return {}; }
inline Credentials user(uint32_t uid, uint32_t gid, std::vector<uint32_t> groups = {}) {
  return {uid, gid, {std::move(groups)}};
}

template <class C>
struct Answer {
  ReplyStatus status = ReplyStatus::kOutcome;
  int error = 0;
  typename C::Reply reply;
  Bytes data;  // of a Read
  bool waiting = false;
  bool logged = false;
};

class VolumeHarness {
 public:
  static constexpr SessionId kClient = 77;

  explicit VolumeHarness(ClusterMap map = map_of_one_volume(), VolumeId volume = {1, 0}) {
    config.volume = volume;
    config.epoch = 1;
    config.transactions = true;
    config.map = std::move(map);
    store = open_memory_store(disk, 1, {});
    executor = make_executor(config, *store);
    slices = config.map.slices_of(volume);
    executor->format(++sequence, wall, slices);
    executor->begin_serving(now);
    if (!slices.empty()) open_session(kClient);
  }

  void open_session(SessionId session) {
    const OpenSession open{.slice = slices.front(), .host = "host", .mount = "/mnt"};
    REQUIRE(send(open, session).error == 0);
  }

  Executed execute(const CommandInput& input) {
    Executed out = executor->execute(input, sequence + 1, wall, now);
    if (out.logged) {
      ++sequence;
      CommandInput logged = input;
      logged.body = SharedBytes::from(out.resolved_body);
      log.push_back({std::move(logged), sequence, out.outcome_crc});
    }
    CHECK(store->applied_sequence() == sequence);
    return out;
  }

  template <class C>
  CommandInput input_of(const C& command, const RequestId& request, BytesView bulk = {}) {
    return {C::kOp,
            request,
            slice_of(command),
            SharedBytes::from(encode(command)),
            SharedBytes::from(Bytes(bulk)),
            volume_of(command)};
  }

  template <class C>
  Answer<C> send_as(const C& command, const RequestId& request, BytesView bulk = {}) {
    const Executed out = execute(input_of(command, request, bulk));
    Answer<C> answer;
    answer.status = out.status;
    answer.error = out.error;
    answer.waiting = out.waiting;
    answer.logged = out.logged;
    if (out.status == ReplyStatus::kOutcome && out.error == 0 && !out.waiting &&
        C::kKind != Kind::kInternal) {
      auto reply = decode<typename C::Reply>(out.reply);
      REQUIRE(reply);
      answer.reply = std::move(*reply);
    }
    if (out.read) answer.data = Bytes(out.read->run()->view());
    return answer;
  }

  // As a new request of the session.
  template <class C>
  Answer<C> send(const C& command, SessionId session = kClient, BytesView bulk = {}) {
    RequestId request{session, C::kKind == Kind::kRead ? kUnslotted : 5, ++request_number};
    if (C::kKind == Kind::kInternal) request = {0, kUnslotted, 0};
    return send_as(command, request, bulk);
  }

  // Runs what the executor itself wants to be done, until nothing is left.
  void run_follow_ups() {
    for (auto inputs = executor->take_follow_ups(now); !inputs.empty();
         inputs = executor->take_follow_ups(now))
      for (const auto& input : inputs) execute(input);
  }

  // Every session answers its recalls.
  void answer_recalls() {
    const auto owned = executor->owned_slices();
    for (const auto& recall : executor->take_recalls(now)) {
      if (owned.empty()) continue;
      GiveBack back;
      back.slice = owned.front();
      back.numbers.push_back(recall.number);
      CHECK(send(back, recall.session).error == 0);
    }
  }

  void check_sound() {
    for (const auto& problem : check_volume(*store)) CHECK(problem == "");
  }

  // Checks the rows, replays the log into an empty store and compares outcomes and state. Gives
  // the new store's executor the place of the old one when `take_over`.
  void check_replay(bool take_over = false) {
    check_sound();
    replay_log(take_over, true);
  }

  // Both nodes lose power: what no sync has reached is gone, from some point on.
  void lose_power(uint64_t random) {
    size_t kept = log.size();
    while (kept > 0 && log[kept - 1].sequence > synced) --kept;
    kept += random % (log.size() - kept + 1);
    log.resize(kept);
    sequence = log.empty() ? 1 : log.back().sequence;
    replay_log(true, false);
  }

  void replay_log(bool take_over, bool compare) {
    auto other_disk = std::make_unique<MemoryDisk>();
    auto other_store = open_memory_store(*other_disk, 1, {});
    auto other = make_executor(config, *other_store);
    other->format(1, format_time, slices);
    for (const LogRecord& record : log) {
      const Executed out = other->replay(record.input, record.sequence);
      CHECK(out.status == ReplyStatus::kOutcome);
      CHECK(out.outcome_crc == record.outcome_crc);
    }
    if (compare) CHECK(*digest(*other_store) == *digest(*store));
    if (!take_over) return;
    executor = std::move(other);
    store = std::move(other_store);
    spare_disks.push_back(std::move(other_disk));
    executor->begin_serving(now);
  }

  MemoryDisk disk;
  std::vector<std::unique_ptr<MemoryDisk>> spare_disks;
  ExecutorConfig config;
  std::vector<Slice> slices;  // from the start
  std::unique_ptr<VolumeStore> store;
  std::unique_ptr<Executor> executor;
  Sequence sequence = 0;
  Sequence synced = 0;  // what a power loss of both nodes leaves, as far as the owner says it
  uint64_t request_number = 0;
  Timestamp wall{1'700'000'000, 0};
  Timestamp format_time = wall;
  Instant now{std::chrono::seconds(1000)};
  std::vector<LogRecord> log;

  // ---- short forms ----
  InodeRef make_file(BytesView name, InodeRef parent = kRootInode, Credentials who = {},
                     uint32_t mode = 0644) {
    const auto answer = send(MakeNode{.parent = parent,
                                      .name = Name(name),
                                      .mode = S_IFREG | mode,
                                      .credentials = std::move(who)});
    REQUIRE(answer.error == 0);
    return answer.reply.attributes.inode;
  }
  InodeRef make_directory(BytesView name, InodeRef parent = kRootInode, Credentials who = {},
                          uint32_t mode = 0755) {
    const auto answer = send(MakeDirectory{
        .parent = parent, .name = Name(name), .mode = mode, .credentials = std::move(who)});
    REQUIRE(answer.error == 0);
    return answer.reply.attributes.inode;
  }
  int lookup_error(BytesView name, InodeRef parent = kRootInode, Credentials who = {}) {
    return send(Lookup{parent, Name(name), std::move(who)}).error;
  }
  Attributes attributes(InodeRef inode) {
    const auto answer = send(GetAttributes{inode});
    REQUIRE(answer.error == 0);
    return answer.reply.attributes;
  }
  int write(InodeRef inode, uint64_t offset, BytesView bytes) {
    return send(Write{.inode = inode, .offset_bytes = offset}, kClient, bytes).error;
  }
  Bytes read(InodeRef inode, uint64_t offset, uint32_t length) {
    return send(Read{.inode = inode, .offset_bytes = offset, .length_bytes = length}).data;
  }
  int unlink(BytesView name, InodeRef parent = kRootInode, Credentials who = {}) {
    return send(Unlink{.parent = parent, .name = Name(name), .credentials = std::move(who)}).error;
  }
  int remove_directory(BytesView name, InodeRef parent = kRootInode, Credentials who = {}) {
    return send(
               RemoveDirectory{.parent = parent, .name = Name(name), .credentials = std::move(who)})
        .error;
  }
  int rename(InodeRef parent, BytesView name, InodeRef new_parent, BytesView new_name,
             uint32_t flags = 0, Credentials who = {}) {
    return send(Rename{parent, Name(name), new_parent, Name(new_name), flags, std::move(who), {}})
        .error;
  }
  int open(InodeRef inode, uint32_t flags, Credentials who = {}, SessionId session = kClient) {
    return send(Open{inode, flags, std::move(who)}, session).error;
  }
  int close(InodeRef inode, SessionId session = kClient) {
    return send(Close{inode, 1}, session).error;
  }
};

}  // namespace pairfs::test
