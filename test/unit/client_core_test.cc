#include <fcntl.h>

#include <doctest/doctest.h>

#include <set>

#include "client_driver.h"

namespace pairfs::test {
namespace {

constexpr InodeRef kFile{make_inode_id(1, 9), 3};
constexpr InodeRef kOther{make_inode_id(kSliceCount - 1, 9), 3};  // on the other volume

MakeDirectory make_directory(InodeRef parent) {
  MakeDirectory command;
  command.parent = parent;
  command.name = BytesView("d");
  return command;
}
Open open_of(InodeRef inode) {
  Open command;
  command.inode = inode;
  return command;
}
Bytes created(InodeRef inode) {
  EntryReply reply;
  reply.attributes.inode = inode;
  return encode(reply);
}

TEST_CASE("a first command learns the map, opens a session on its volume, and then goes out") {
  ClientDriver driver;
  const Ticket ticket = driver.core.submit(make_directory(kFile), driver.now);
  driver.give_map();
  const auto open = driver.expect(OpenSession::kOp);
  CHECK(open.header.cluster_id == ClientDriver::kClusterId);
  CHECK(slot_index(open.header.request.slot) == 0);
  CHECK(driver.silent());
  driver.answer(open, encode(Empty{}));
  const auto command = driver.expect(MakeDirectory::kOp);
  CHECK(command.header.slice == 1);
  CHECK(command.header.request.session == open.header.request.session);
  CHECK(command.header.request.slot >= 1);
  driver.answer(command, encode(EntryReply{}));
  CHECK(driver.outcome(ticket) == 0);
}

TEST_CASE("a silent router is left for the next one, with the same request id") {
  ClientDriver driver(2);
  driver.open_session();
  const Ticket ticket = driver.core.submit(make_directory(kFile), driver.now);
  const auto first = driver.expect(MakeDirectory::kOp);
  driver.advance(250ms);
  const auto second = driver.expect(MakeDirectory::kOp);
  CHECK(second.router != first.router);
  CHECK(second.header.request == first.header.request);
  CHECK((second.header.flags & kFlagRetry) != 0);
  driver.answer(second, {}, {.error = EEXIST});
  CHECK(driver.outcome(ticket) == EEXIST);
  driver.answer(first, encode(EntryReply{}));  // late, and ignored
  CHECK(driver.core.counters().dropped_replies == 1);
}

TEST_CASE("a lost link sends what was under way over another router at once") {
  ClientDriver driver(2);
  driver.open_session();
  driver.core.submit(make_directory(kFile), driver.now);
  const auto first = driver.expect(MakeDirectory::kOp);
  driver.core.link_changed(first.router, false, driver.now);
  CHECK(driver.expect(MakeDirectory::kOp).router != first.router);
}

TEST_CASE("without any link a request waits, and goes out when a link is there") {
  ClientDriver driver;
  driver.open_session();
  driver.core.link_changed(0, false, driver.now);
  driver.core.submit(make_directory(kFile), driver.now);
  driver.advance(5s);
  CHECK(driver.silent());
  driver.core.link_changed(0, true, driver.now);
  driver.expect(MakeDirectory::kOp);
}

TEST_CASE("busy pauses for 1 ms, doubling to 50 ms") {
  ClientDriver driver;
  driver.open_session();
  driver.core.submit(make_directory(kFile), driver.now);
  auto sent = driver.expect(MakeDirectory::kOp);
  for (const Duration pause : {1ms, 2ms, 4ms, 8ms, 16ms, 32ms, 50ms, 50ms}) {
    driver.refuse(sent, ReplyStatus::kBusy);
    driver.advance(pause - 1us);
    CHECK(driver.silent());
    driver.advance(1us);
    sent = driver.expect(MakeDirectory::kOp);
  }
}

TEST_CASE("with a retry limit a request ends with EIO, and its slot is used again") {
  ClientDriver driver(1, 2s);
  driver.open_session();
  const Ticket ticket = driver.core.submit(make_directory(kFile), driver.now);
  const auto first = driver.expect(MakeDirectory::kOp);
  for (int i = 0; i < 20; ++i) driver.advance(100ms);
  CHECK(driver.outcome(ticket) == EIO);
  while (driver.next()) {
  }
  driver.core.submit(make_directory(kFile), driver.now);
  const auto second = driver.expect(MakeDirectory::kOp);
  CHECK(second.header.request.slot == first.header.request.slot);
  CHECK(second.header.request.sequence > first.header.request.sequence);
}

TEST_CASE("a volume whose slots are all taken delays no other volume") {
  ClientDriver driver;
  driver.open_session();
  std::set<uint32_t> slots;
  for (uint32_t i = 1; i < kSlotsPerSession; ++i) {
    driver.core.submit(make_directory(kFile), driver.now);
    slots.insert(driver.expect(MakeDirectory::kOp).header.request.slot);
  }
  CHECK(slots.size() == kSlotsPerSession - 1);
  driver.core.submit(make_directory(kFile), driver.now);
  CHECK(driver.silent());
  driver.core.submit(make_directory(kOther), driver.now);
  driver.answer(driver.expect(OpenSession::kOp), encode(Empty{}));
  driver.expect(MakeDirectory::kOp);
  driver.core.submit(GetAttributes{kFile}, driver.now);  // reads need no slot
  driver.expect(GetAttributes::kOp);
}

TEST_CASE("a freed slot goes to the command that waits for one") {
  ClientDriver driver;
  driver.open_session();
  std::vector<ClientDriver::Sent> sent;
  for (uint32_t i = 1; i < kSlotsPerSession; ++i) {
    driver.core.submit(make_directory(kFile), driver.now);
    sent.push_back(driver.expect(MakeDirectory::kOp));
  }
  const Ticket waiting = driver.core.submit(make_directory(kFile), driver.now);
  driver.answer(sent[6], encode(EntryReply{}));
  const auto last = driver.expect(MakeDirectory::kOp);
  CHECK(last.header.request.slot == sent[6].header.request.slot);
  driver.answer(last, encode(EntryReply{}));
  CHECK(driver.outcome(waiting) == 0);
}

TEST_CASE("a mutation that met an expired session is sent again in a new one") {
  ClientDriver driver;
  driver.open_session();
  const Ticket ticket = driver.core.submit(make_directory(kFile), driver.now);
  const auto first = driver.expect(MakeDirectory::kOp);
  driver.refuse(first, ReplyStatus::kUnknownSession);
  const auto open = driver.expect(OpenSession::kOp);
  CHECK(open.header.request.session != first.header.request.session);
  driver.answer(open, encode(Empty{}));
  driver.answer(driver.expect(DeclareOpens::kOp), encode(OpenInodesReply{}));
  const auto second = driver.expect(MakeDirectory::kOp);
  CHECK(second.header.request.session == open.header.request.session);
  driver.answer(second, encode(EntryReply{}));
  CHECK(driver.outcome(ticket) == 0);
}

TEST_CASE("a mutation that may have been executed before its session expired ends with EIO") {
  ClientDriver driver;
  driver.open_session();
  const Ticket ticket = driver.core.submit(make_directory(kFile), driver.now);
  driver.expect(MakeDirectory::kOp);
  driver.advance(250ms);
  driver.refuse(driver.expect(MakeDirectory::kOp), ReplyStatus::kUnknownSession);
  CHECK(driver.outcome(ticket) == EIO);
}

TEST_CASE("after a long silence the session is checked before a mutation is risked on it") {
  ClientDriver driver;
  driver.open_session();
  driver.now += 10h;  // the machine slept
  const Ticket ticket = driver.core.submit(make_directory(kFile), driver.now);
  const auto renew = driver.expect_renewal();
  CHECK(driver.silent());
  driver.refuse(renew, ReplyStatus::kUnknownSession);
  driver.answer(driver.expect(OpenSession::kOp), encode(Empty{}));
  driver.answer(driver.expect(DeclareOpens::kOp), encode(OpenInodesReply{}));
  driver.answer(driver.expect(MakeDirectory::kOp), encode(EntryReply{}));
  CHECK(driver.outcome(ticket) == 0);
}

TEST_CASE("a session is renewed every 10 s") {
  ClientDriver driver;
  driver.open_session();
  driver.advance(9s);
  CHECK(driver.silent());
  CHECK(driver.core.next_wake() <= driver.now + 1s);
  driver.advance(1s);
  driver.answer(driver.expect_renewal(), encode(Empty{}));
  driver.advance(9s);
  CHECK(driver.silent());
}

TEST_CASE(
    "a new executor is told what is open, once no open is under way, and opens wait for that") {
  ClientDriver driver;
  driver.open_session();
  driver.core.submit(open_of(kFile), driver.now);
  driver.answer(driver.expect(Open::kOp), encode(AttributesReply{}));
  driver.core.submit(open_of({make_inode_id(1, 10), 3}), driver.now);
  const auto second = driver.expect(Open::kOp);
  driver.core.submit(GetAttributes{kFile}, driver.now);
  driver.answer(driver.expect(GetAttributes::kOp), encode(AttributesReply{}), {.epoch = 2});
  CHECK(driver.silent());
  driver.answer(second, encode(AttributesReply{}), {.epoch = 2});
  const auto declare = driver.expect(DeclareOpens::kOp);
  const auto body = decode<DeclareOpens>(declare.body);
  REQUIRE(body);
  CHECK(body->inodes.size() == 3);
  CHECK(body->inodes[0] == InodeRef{0, 2});  // the epoch whose executor it is for
  driver.core.submit(open_of({make_inode_id(1, 11), 3}), driver.now);
  CHECK(driver.silent());
  driver.answer(declare, encode(OpenInodesReply{}), {.epoch = 2});
  driver.expect(Open::kOp);
}

TEST_CASE("the last handle's end is one Close for all opens") {
  ClientDriver driver;
  driver.open_session();
  for (int i = 0; i < 3; ++i) {
    driver.core.submit(open_of(kFile), driver.now);
    driver.answer(driver.expect(Open::kOp), encode(AttributesReply{}));
  }
  driver.core.release(kFile, driver.now);
  driver.core.release(kFile, driver.now);
  CHECK(driver.silent());
  driver.core.release(kFile, driver.now);
  const auto close = decode<Close>(driver.expect(Close::kOp).body);
  REQUIRE(close);
  CHECK(close->count == 3);
}

TEST_CASE("a created file is open, and is declared and closed as such") {
  ClientDriver driver;
  driver.open_session();
  CreateFile create;
  create.parent = kRootInode;
  create.name = BytesView("f");
  driver.core.submit(create, driver.now);
  driver.answer(driver.expect(CreateFile::kOp), created(kFile));
  driver.core.release(kFile, driver.now);
  driver.expect(Close::kOp);
}

TEST_CASE("an inode that a new session's declaration does not find makes its handles dead") {
  ClientDriver driver;
  driver.open_session();
  const Ticket ticket = driver.core.submit(open_of(kFile), driver.now);
  driver.answer(driver.expect(Open::kOp), encode(AttributesReply{}));
  (void)ticket;
  const uint64_t serial = driver.core.take_completions().back().open_serial;
  CHECK(!driver.core.handle_lost(kFile, serial));
  driver.advance(10s);
  driver.refuse(driver.expect_renewal(), ReplyStatus::kUnknownSession);
  driver.answer(driver.expect(OpenSession::kOp), encode(Empty{}));
  OpenInodesReply gone;
  gone.unknown.push_back(kFile);
  driver.answer(driver.expect(DeclareOpens::kOp), encode(gone));
  CHECK(driver.core.handle_lost(kFile, serial));
}

TEST_CASE("a cancelled lock is cancelled at the executor by its request id") {
  ClientDriver driver;
  driver.open_session();
  SetLock lock;
  lock.inode = kFile;
  lock.range.type = F_WRLCK;
  lock.range.owner = 7;
  lock.wait = true;
  const Ticket ticket = driver.core.submit(lock, driver.now);
  const auto sent = driver.expect(SetLock::kOp);
  CHECK(driver.core.may_hold_locks(kFile, 7, false));
  driver.core.cancel_lock(ticket, driver.now);
  const auto cancel = driver.expect(CancelLock::kOp);
  const auto body = decode<CancelLock>(cancel.body);
  REQUIRE(body);
  CHECK(body->slot == sent.header.request.slot);
  CHECK(body->sequence == sent.header.request.sequence);
  CHECK(cancel.header.request.slot != body->slot);
  driver.answer(sent, {}, {.error = EINTR});
  CHECK(driver.outcome(ticket) == EINTR);
}

TEST_CASE("many waiting locks leave slots for the command that frees them") {
  ClientDriver driver;
  driver.open_session();
  SetLock lock;
  lock.inode = kFile;
  lock.range.type = F_WRLCK;
  lock.wait = true;
  unsigned waiting = 0;
  for (uint64_t owner = 1; owner <= 100; ++owner) {
    lock.range.owner = owner;
    driver.core.submit(lock, driver.now);
    const auto sent = driver.expect(SetLock::kOp);
    if (decode<SetLock>(sent.body)->wait)
      ++waiting;
    else
      driver.answer(sent, {}, {.error = EAGAIN});
  }
  CHECK(waiting < kSlotsPerSession / 2);
  driver.core.submit(make_directory(kFile), driver.now);
  driver.expect(MakeDirectory::kOp);
  driver.advance(50ms);
  driver.expect(SetLock::kOp);  // they ask again
}

TEST_CASE("with a retry limit a waiting lock outlives its limit, but not a silent executor") {
  ClientDriver driver(1, 4s);
  driver.open_session();
  SetLock lock;
  lock.inode = {9, 1};
  lock.range.type = F_WRLCK;
  lock.wait = true;
  const Ticket ticket = driver.core.submit(lock, driver.now);
  // Somebody else holds it: the executor says nothing to the lock, but renews the session.
  for (int i = 0; i < 40; ++i) {
    driver.advance(500ms);
    while (const auto sent = driver.next())
      if (sent->header.op == RenewSession::kOp) driver.answer(*sent, encode(Empty{}));
  }
  CHECK(!driver.outcome(ticket));
  // Now it is silent.
  for (int i = 0; i < 14 && !driver.outcome(ticket); ++i) driver.advance(500ms);
  CHECK(driver.outcome(ticket) == EIO);
}

TEST_CASE("a preferred router that did not help is tried again, later each time that it does not") {
  ClientDriver driver(1);
  driver.open_session();
  const size_t preferred = driver.core.add_router(true);
  driver.core.link_changed(preferred, true, driver.now);
  const auto first_try = [&] {
    driver.core.submit(GetAttributes{kRootInode}, driver.now);
    return driver.expect(GetAttributes::kOp);
  };
  const auto times_out_at_preferred = [&] {
    CHECK(first_try().router == preferred);
    driver.advance(300ms);
    const auto again = driver.expect(GetAttributes::kOp);
    CHECK(again.router == 0);
    driver.answer(again, encode(Empty{}));
  };
  times_out_at_preferred();
  driver.advance(600ms);
  driver.answer(first_try(), encode(Empty{}));  // not yet
  driver.advance(400ms);
  times_out_at_preferred();
  driver.advance(1s);
  const auto between = first_try();
  CHECK(between.router == 0);
  driver.answer(between, encode(Empty{}));
  driver.advance(1s);
  const auto helped = first_try();
  CHECK(helped.router == preferred);
  driver.answer(helped, encode(Empty{}));
  // It counts from the start again.
  times_out_at_preferred();
  driver.advance(1s);
  CHECK(first_try().router == preferred);
}

TEST_CASE("a session that is opened by way of another slice is asked for with a new request id") {
  ClientDriver driver;
  driver.core.submit(GetAttributes{kRootInode}, driver.now);
  driver.give_map();
  driver.advance(2s);  // the map may be read again
  while (driver.next()) {
  }
  driver.core.submit(GetAttributes{kFile}, driver.now);
  driver.advance(2s);
  const auto first = driver.expect(OpenSession::kOp);
  CHECK(first.header.slice == 0);
  driver.refuse(first, ReplyStatus::kNotExecutor);
  ClusterMap map;
  map.cluster_id = ClientDriver::kClusterId;
  map.slices.push_back({0, 1, VolumeId{1, 1}});
  map.slices.push_back({1, kSliceCount / 2 - 1, VolumeId{1, 0}});
  map.slices.push_back({kSliceCount / 2, kSliceCount / 2, VolumeId{1, 1}});
  MapReadReply reply;
  reply.map_version = 2;
  reply.entries.push_back({kClusterKey, 2, encode(map)});
  driver.answer(driver.expect(MapRead::kOp), encode(reply));
  CHECK(driver.expect(OpenSession::kOp).header.slice == 0);  // of the volume that got the slice
  driver.advance(60ms);
  const auto second = driver.expect(OpenSession::kOp);
  CHECK(second.header.slice == 1);
  CHECK(second.header.request.slot == first.header.request.slot);
  CHECK(second.header.request.session == first.header.request.session);
  CHECK(second.header.request.sequence > first.header.request.sequence);
  driver.answer(first, encode(Empty{}));  // late, and ignored
  CHECK(driver.silent());
  driver.answer(second, encode(Empty{}));
  driver.expect(GetAttributes::kOp);
}

TEST_CASE("unmounting closes every session") {
  ClientDriver driver;
  driver.open_session();
  driver.core.close_sessions(driver.now);
  const auto close = driver.expect(CloseSession::kOp);
  CHECK(!driver.core.sessions_ended());
  driver.answer(close, encode(Empty{}));
  CHECK(driver.core.sessions_ended());
  CHECK(driver.outcome(driver.core.submit(make_directory(kFile), driver.now)) == EIO);
}

TEST_CASE("damaged and foreign messages are dropped") {
  ClientDriver driver;
  driver.open_session();
  driver.core.submit(GetAttributes{kFile}, driver.now);
  const auto sent = driver.expect(GetAttributes::kOp);
  MessageHeader header = sent.header;
  header.flags = kFlagReply;
  Bytes damaged = make_head(header, encode(AttributesReply{}));
  damaged[damaged.size() / 2] ^= 1;
  driver.core.message_received(SharedBytes::from(damaged), {}, driver.now);
  driver.core.message_received(SharedBytes::from("short"), {}, driver.now);
  header.op = Lookup::kOp;
  driver.core.message_received(SharedBytes::from(make_head(header, {})), {}, driver.now);
  CHECK(driver.core.counters().dropped_replies == 3);
  CHECK(driver.core.take_completions().empty());
}

}  // namespace
}  // namespace pairfs::test
