// Writes that the client answers before they are executed: order, errors, giving back.
#include <doctest/doctest.h>

#include <sys/stat.h>

#include "test/unit/client_driver.h"

using namespace pairfs;
using namespace std::chrono_literals;
using test::ClientDriver;

namespace {
constexpr InodeRef kFile{make_inode_id(0, 5), 1};
constexpr InodeRef kOther{make_inode_id(0, 6), 1};

struct Writer {
  ClientDriver driver;
  SessionId session = 0;

  Writer() : driver(1, std::nullopt, true) {
    driver.open_session();
    become_writer();
  }

  void answer(const ClientDriver::Sent& sent, BytesView body, uint32_t grants, int error = 0) {
    MessageHeader header = sent.header;
    header.flags = kFlagReply;
    header.epoch = 1;
    header.error = error;
    header.lease_ms = 10'000;
    header.lease_grants = grants;
    header.bulk_length = 0;
    driver.core.message_received(SharedBytes::from(make_head(header, body)), {}, driver.now);
  }
  void executed(const ClientDriver::Sent& sent, int error = 0,
                uint32_t grants = kGrantFirst | kGrantWriter | kLeaseChangesTold) {
    CountReply reply;
    reply.count = 4;
    reply.attributes.inode = kFile;
    reply.attributes.mode = S_IFREG | 0644;
    answer(sent, encode(reply), grants, error);
  }
  void become_writer() {
    const Ticket ticket =
        driver.core.submit(Write{.inode = kFile}, driver.now, SharedBytes::from(Bytes("data")));
    const auto sent = driver.expect(Write::kOp);
    CHECK((sent.header.flags & kFlagWriteBehind) != 0);
    session = sent.header.request.session;
    executed(sent);
    CHECK(driver.outcome(ticket) == 0);
  }
  bool may_write(uint64_t offset = 0, InodeRef inode = kFile) {
    return driver.core.may_write_behind({.inode = inode, .offset_bytes = offset}, 4, driver.now);
  }
  void write(uint64_t offset, const char* data = "data") {
    REQUIRE(may_write(offset));
    driver.core.write_behind({.inode = kFile, .offset_bytes = offset}, driver.now,
                             SharedBytes::from(Bytes(data)));
  }
  void recall(uint64_t number, uint64_t inode_id) {
    MessageHeader header;
    header.op = Recall::kOp;
    header.flags = kFlagReply;
    header.volume = {1, 0};
    header.epoch = 1;
    header.request.session = session;
    header.request.slot = kUnslotted;
    Recall body;
    body.numbers = {number};
    body.inode_ids = {inode_id};
    driver.core.message_received(SharedBytes::from(make_head(header, encode(body))), {},
                                 driver.now);
  }
};
}  // namespace

TEST_CASE("only a writer answers writes itself, and only plain ones") {
  Writer writer;
  CHECK(writer.may_write());
  CHECK_FALSE(writer.may_write(0, kOther));
  ClientCore& core = writer.driver.core;
  CHECK_FALSE(core.may_write_behind({.inode = kFile, .append = true}, 4, writer.driver.now));
  CHECK_FALSE(core.may_write_behind({.inode = kFile, .sync = true}, 4, writer.driver.now));
  CHECK_FALSE(core.may_write_behind({.inode = kFile}, 4, writer.driver.now + 11s));
  // A write's answer without the bit ends it.
  writer.write(0);
  writer.executed(writer.driver.expect(Write::kOp), 0, kGrantFirst | kLeaseChangesTold);
  CHECK_FALSE(writer.may_write());
}

TEST_CASE("writes that overlap keep their order, others go at once, and all else waits") {
  Writer writer;
  ClientDriver& driver = writer.driver;
  writer.write(0);
  writer.write(100);
  const auto first = driver.expect(Write::kOp), second = driver.expect(Write::kOp);
  writer.write(2);
  const Ticket question = driver.core.submit(GetAttributes{kFile}, driver.now);
  writer.write(200);  // behind the question, which would wait for ever else
  driver.core.submit(GetAttributes{kOther}, driver.now);
  CHECK(driver.expect(GetAttributes::kOp).header.op == GetAttributes::kOp);
  CHECK(driver.silent());
  writer.executed(second);
  CHECK(driver.silent());
  writer.executed(first);
  const auto third = driver.expect(Write::kOp);
  CHECK(driver.silent());
  writer.executed(third);
  const auto asked = driver.expect(GetAttributes::kOp);
  const auto fourth = driver.expect(Write::kOp);
  CHECK(driver.silent());
  AttributesReply reply;
  reply.attributes.inode = kFile;
  writer.answer(asked, encode(reply), 0);
  CHECK(driver.outcome(question) == 0);
  CHECK(driver.core.has_writes_behind(kFile));
  writer.executed(fourth);
  CHECK_FALSE(driver.core.has_writes_behind());
}

TEST_CASE("a file is given back when all that was answered is executed") {
  Writer writer;
  ClientDriver& driver = writer.driver;
  writer.write(0);
  const auto sent = driver.expect(Write::kOp);
  writer.recall(7, kFile.id);
  writer.recall(7, kFile.id);  // asked for again
  CHECK_FALSE(writer.may_write());
  CHECK(driver.silent());
  writer.recall(8, kOther.id);
  CHECK(decode<GiveBack>(driver.expect(GiveBack::kOp).body)->numbers == std::vector<uint64_t>{8});
  writer.recall(9, 0);  // all that earlier executors granted
  CHECK(driver.silent());
  writer.executed(sent);
  CHECK(decode<GiveBack>(driver.expect(GiveBack::kOp).body)->numbers == std::vector<uint64_t>{7});
  CHECK(decode<GiveBack>(driver.expect(GiveBack::kOp).body)->numbers == std::vector<uint64_t>{9});
  CHECK(driver.silent());
}

TEST_CASE("a write that fails behind its answer is told of once, and ends the writing behind") {
  Writer writer;
  writer.write(0);
  writer.write(100);
  writer.executed(writer.driver.expect(Write::kOp), ENOSPC);
  CHECK_FALSE(writer.may_write());
  writer.executed(writer.driver.expect(Write::kOp), EIO);
  CHECK(writer.driver.core.take_write_error(kFile) == ENOSPC);
  CHECK(writer.driver.core.take_write_error(kFile) == 0);
}

TEST_CASE("a name's attributes that may be older than an answered write are asked for again") {
  Writer writer;
  ClientDriver& driver = writer.driver;
  const Ticket ticket = driver.core.submit(Lookup{kRootInode, Name("f"), {}}, driver.now);
  const auto early = driver.expect(Lookup::kOp);
  writer.write(0);
  const auto sent = driver.expect(Write::kOp);
  EntryReply old;
  old.attributes.inode = kFile;
  writer.answer(early, encode(old), 0);
  CHECK_FALSE(driver.outcome(ticket));
  CHECK(driver.silent());
  writer.executed(sent);
  const auto again = driver.expect(Lookup::kOp);
  EntryReply fresh = old;
  fresh.attributes.size_bytes = 4;
  writer.answer(again, encode(fresh), 0);
  CHECK(driver.outcome(ticket) == 0);
}

TEST_CASE("who has closed a file is not its writer any more, nor who opens it again") {
  Writer writer;
  ClientDriver& driver = writer.driver;
  const auto open = [&] {
    driver.core.submit(Open{.inode = kFile}, driver.now);
    AttributesReply reply;
    reply.attributes.inode = kFile;
    writer.answer(driver.expect(Open::kOp), encode(reply), 0);
  };
  open();
  CHECK_FALSE(writer.may_write());
  writer.become_writer();
  CHECK(writer.may_write());
  driver.core.release(kFile, driver.now);
  CHECK_FALSE(writer.may_write());
  // The executor has ended it, too; an answer on its way from before that does not revive it.
  writer.answer(driver.expect(Close::kOp), encode(Empty{}), 0);
  writer.become_writer();
  open();
  CHECK_FALSE(writer.may_write());
}

TEST_CASE("a writer that is far behind says so") {
  Writer writer;
  uint64_t offset = 0;
  for (; !writer.driver.core.is_far_behind(); offset += 4) writer.write(offset);
  CHECK(offset / 4 <= kSlotsPerSession / 2);
  writer.executed(writer.driver.expect(Write::kOp));
  CHECK_FALSE(writer.driver.core.is_far_behind());
}
