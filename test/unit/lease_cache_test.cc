#include "fuse/lease_cache.h"

#include <doctest/doctest.h>

#include "test/unit/client_driver.h"

using namespace pairfs;
using namespace std::chrono_literals;

namespace {

constexpr VolumeId kVolume{1, 0};
constexpr InodeRef kDirectory{100, 1}, kFile{101, 1};

Attributes file_attributes(uint64_t size = 1) {
  Attributes a;
  a.inode = kFile;
  a.mode = S_IFREG | 0640;
  a.uid = 7;
  a.gid = 8;
  a.size_bytes = size;
  a.atime = {9, 0};
  return a;
}
Attributes directory_attributes(uint32_t mode = 0755) {
  Attributes a = file_attributes();
  a.inode = kDirectory;
  a.mode = S_IFDIR | mode;
  return a;
}
LeaseCache::Grant grant(uint32_t bits) { return {kVolume, bits, {}, true}; }
constexpr uint32_t kBoth = kGrantFirst | kGrantEntry;
const Credentials kUser{50, 50, {}};

struct Cache {
  LeaseCache cache;
  Instant now{100s};
  Cache() { cache.renewed(kVolume, 1, now + 10s, now); }

  void look(const char* name = "f", std::optional<Attributes> found = file_attributes()) {
    const Lookup command{kDirectory, Name(name), {}};
    EntryReply reply;
    if (found) reply.attributes = *found;
    cache.end<Lookup>(cache.begin(command), grant(found ? kBoth : uint32_t{kGrantFirst}),
                      found ? 0 : ENOENT, reply);
  }
  void stat(const Attributes& attributes) {
    cache.end<GetAttributes>(cache.begin(GetAttributes{attributes.inode}), grant(kGrantFirst), 0,
                             {attributes});
  }
  std::optional<int> lookup_error(const char* name = "f", Credentials who = {}) {
    const auto known = cache.answer(Lookup{kDirectory, Name(name), std::move(who)}, now);
    return known ? std::optional(known->error) : std::nullopt;
  }
  std::optional<uint64_t> size() {
    const auto known = cache.answer(GetAttributes{kFile}, now);
    return known ? std::optional(known->reply.attributes.size_bytes) : std::nullopt;
  }
};

}  // namespace

TEST_CASE("names and attributes are answered under a lease, and no longer than it lasts") {
  Cache c;
  CHECK_FALSE(c.lookup_error());
  c.look();
  c.look("absent", std::nullopt);
  CHECK(c.lookup_error() == 0);
  CHECK(c.lookup_error("absent") == ENOENT);
  CHECK_FALSE(c.lookup_error("other"));
  CHECK(c.size() == 1);
  c.now += 10s;
  CHECK_FALSE(c.lookup_error());
  CHECK_FALSE(c.size());
}

TEST_CASE("a renewal that comes too late does not revive what ran out") {
  Cache c;
  c.look();
  c.now += 10s;
  c.cache.renewed(kVolume, 1, c.now + 10s, c.now);
  CHECK_FALSE(c.lookup_error());
  c.look();
  CHECK(c.lookup_error() == 0);
  c.cache.renewed(kVolume, 1, c.now + 15s, c.now);
  c.now += 12s;
  CHECK(c.lookup_error() == 0);
}

TEST_CASE("another epoch's leases are gone") {
  Cache c;
  c.look();
  c.cache.renewed(kVolume, 2, c.now + 10s, c.now);
  CHECK_FALSE(c.lookup_error());
}

TEST_CASE("a recall takes away what is known") {
  Cache c;
  c.look();
  c.cache.recall(kFile.id);
  CHECK_FALSE(c.size());
  CHECK_FALSE(c.lookup_error());  // the name is known, what it stands for is not
  c.look();
  c.cache.recall(kDirectory.id);
  CHECK_FALSE(c.lookup_error());
  CHECK(c.size() == 1);
}

TEST_CASE("a recall that overtakes its grant wins") {
  Cache c;
  const GetAttributes command{kFile};
  const auto asked = c.cache.begin(command);
  c.cache.recall(kFile.id);
  c.cache.end<GetAttributes>(asked, grant(kGrantFirst), 0, {file_attributes()});
  CHECK_FALSE(c.size());
  c.stat(file_attributes(2));
  CHECK(c.size() == 2);
}

TEST_CASE("an answer from before an own change is not believed after it") {
  Cache c;
  const auto before = c.cache.begin(GetAttributes{kFile});
  const auto write = c.cache.begin(Write{.inode = kFile});
  const auto during = c.cache.begin(GetAttributes{kFile});
  CHECK_FALSE(c.size());
  c.cache.end<GetAttributes>(before, grant(kGrantFirst), 0, {file_attributes(1)});
  CHECK_FALSE(c.size());
  c.cache.end<Write>(write, grant(kGrantFirst), 0, {.count = 1, .attributes = file_attributes(2)});
  CHECK(c.size() == 2);  // the change's own answer tells
  c.cache.end<GetAttributes>(during, grant(kGrantFirst), 0, {file_attributes(1)});
  CHECK(c.size() == 2);
}

TEST_CASE("of two own changes at once neither tells the end") {
  Cache c;
  const auto first = c.cache.begin(Write{.inode = kFile});
  const auto second = c.cache.begin(Write{.inode = kFile});
  c.cache.end<Write>(second, grant(kGrantFirst), 0, {.count = 1, .attributes = file_attributes(3)});
  CHECK_FALSE(c.size());
  c.cache.end<Write>(first, grant(kGrantFirst), 0, {.count = 1, .attributes = file_attributes(2)});
  CHECK_FALSE(c.size());
  c.stat(file_attributes(3));
  CHECK(c.size() == 3);
}

TEST_CASE("an own change of a name is known, and the others stay") {
  Cache c;
  c.look();
  const MakeNode make{.parent = kDirectory, .name = Name("n")};
  const auto making = c.cache.begin(make);
  CHECK_FALSE(c.lookup_error("n"));
  CHECK(c.lookup_error() == 0);
  Attributes made = file_attributes();
  made.inode = {200, 1};
  c.cache.end<MakeNode>(making, grant(kBoth), 0, {.attributes = made});
  CHECK(c.lookup_error("n") == 0);
  const Unlink unlink{.parent = kDirectory, .name = Name("n")};
  const auto removing = c.cache.begin(unlink);
  CHECK_FALSE(c.lookup_error("n"));
  auto gone = grant(kGrantFirst);
  gone.changed[0] = 200;
  c.cache.end<Unlink>(removing, gone, 0, {});
  CHECK(c.lookup_error("n") == ENOENT);
  CHECK_FALSE(c.cache.answer(GetAttributes{{200, 1}}, c.now));
}

TEST_CASE("a directory that the mount made is known to be empty, until somebody else looks in") {
  Cache c;
  const auto making = c.cache.begin(MakeDirectory{.parent = {50, 1}, .name = Name("d")});
  c.cache.end<MakeDirectory>(making, grant(kBoth), 0, {.attributes = directory_attributes()});
  CHECK(c.lookup_error("anything") == ENOENT);
  c.cache.recall(kDirectory.id);
  CHECK_FALSE(c.lookup_error("anything"));
  // The recall may come before the answer.
  const auto again = c.cache.begin(MakeDirectory{.parent = {50, 1}, .name = Name("e")});
  c.cache.recall(kDirectory.id);
  c.cache.end<MakeDirectory>(again, grant(kBoth), 0, {.attributes = directory_attributes()});
  CHECK_FALSE(c.lookup_error("anything"));
}

TEST_CASE("a change whose effects nobody knows empties the cache") {
  Cache c;
  c.look();
  const auto removing = c.cache.begin(Unlink{.parent = {300, 1}, .name = Name("x")});
  c.cache.end<Unlink>(removing, {kVolume, 0, {}, false}, 0, {});
  CHECK_FALSE(c.lookup_error());
  CHECK_FALSE(c.size());
}

TEST_CASE("permission is checked as the executor does, and what that needs is asked for") {
  Cache c;
  c.look();
  CHECK_FALSE(c.lookup_error("f", kUser));  // who owns the directory is not known
  const auto missing = c.cache.take_missing();
  CHECK(missing.inode == kDirectory);
  CHECK_FALSE(missing.acl);
  c.stat(directory_attributes(0750));
  CHECK(c.lookup_error("f", kUser) == EACCES);
  CHECK(c.lookup_error("f", {50, 8, {}}) == 0);
  CHECK(c.lookup_error("f", {50, 50, {{8}}}) == 0);
  CHECK(c.cache.answer(Access{kFile, W_OK, kUser}, c.now)->error == EACCES);
  CHECK(c.cache.answer(Access{kFile, R_OK, {50, 8, {}}}, c.now)->error == 0);
}

TEST_CASE("an ACL that may be there is asked for before anyone is let in") {
  Cache c;
  c.look();
  c.cache.end<GetAttributes>(c.cache.begin(GetAttributes{kDirectory}),
                             grant(kGrantFirst | kGrantFirstAcl), 0, {directory_attributes(0755)});
  c.cache.recall(kDirectory.id);
  c.cache.end<GetAttributes>(c.cache.begin(GetAttributes{kDirectory}),
                             grant(kGrantFirst | kGrantFirstAcl), 0, {directory_attributes(0755)});
  c.cache.end<Lookup>(c.cache.begin(Lookup{kDirectory, Name("f"), {}}),
                      grant(kBoth | kGrantFirstAcl), 0, {.attributes = file_attributes()});
  CHECK_FALSE(c.lookup_error("f", kUser));
  CHECK(c.cache.take_missing().acl);
  const Acl acl = {{AclEntry::kUserObj, 7},
                   {AclEntry::kUser, 0, 50},
                   {AclEntry::kGroupObj, 5},
                   {AclEntry::kMask, 5},
                   {AclEntry::kOther, 5}};
  GetXattr command;
  command.inode = kDirectory;
  command.name = BytesView(kAccessAclName);
  c.cache.end<GetXattr>(c.cache.begin(command), grant(kGrantFirst), 0,
                        {XattrValue(encode_acl(acl))});
  CHECK(c.lookup_error("f", kUser) == EACCES);
  CHECK(c.lookup_error("f", {51, 51, {}}) == 0);
}

TEST_CASE("a listing is answered when it is whole, and makes absent names known") {
  Cache c;
  c.stat(directory_attributes());
  const auto page = [&](uint64_t cookie, std::vector<std::pair<const char*, uint64_t>> names,
                        bool end) {
    ReadDirectory command{.inode = kDirectory, .cookie = cookie, .max_bytes = 4096};
    command.update_atime = false;
    DirectoryReply reply;
    for (const auto& [name, at] : names)
      reply.entries.push_back(
          {.name = Name(name), .cookie = at, .inode = {at + 500, 1}, .type = S_IFREG});
    reply.end = end;
    c.cache.end<ReadDirectory>(c.cache.begin(command), grant(kGrantFirst), 0, reply);
  };
  ReadDirectory whole{.inode = kDirectory, .cookie = 0, .max_bytes = 4096};
  page(0, {{".", 1}, {"..", 2}, {"a", 3}}, false);
  CHECK_FALSE(c.cache.answer(whole, c.now));
  CHECK_FALSE(c.lookup_error("zzz"));
  page(3, {{"b", 4}}, true);
  whole.update_atime = false;
  auto known = c.cache.answer(whole, c.now);
  REQUIRE(known);
  CHECK(known->reply.entries.size() == 4);
  CHECK(known->reply.end);
  CHECK(c.lookup_error("zzz") == ENOENT);
  whole.cookie = 3;
  CHECK(c.cache.answer(whole, c.now)->reply.entries.size() == 1);
  whole.with_attributes = true;
  CHECK_FALSE(c.cache.answer(whole, c.now));  // the entries' attributes are not known
  whole.with_attributes = false;
  const auto removing = c.cache.begin(Unlink{.parent = kDirectory, .name = Name("a")});
  CHECK_FALSE(c.cache.answer(whole, c.now));
  c.cache.end<Unlink>(removing, grant(kGrantFirst), 0, {});
  CHECK_FALSE(c.cache.answer(whole, c.now));
  CHECK(c.lookup_error("a") == ENOENT);
}

TEST_CASE("reading moves an access time that is due, so that it is asked for again") {
  Cache c;
  Attributes due = file_attributes();
  due.mtime = {10, 0};  // after atime
  c.stat(due);
  CHECK(c.size() == 1);
  c.cache.end<Read>(c.cache.begin(Read{.inode = kFile}), grant(0), 0, {});
  CHECK_FALSE(c.size());
}

TEST_CASE("an absent attribute is known, but not by what others are told of root's") {
  Cache c;
  c.stat(file_attributes());
  const auto get = [&](const char* name, Credentials who) {
    GetXattr command;
    command.inode = kFile;
    command.name = BytesView(name);
    command.credentials = std::move(who);
    return command;
  };
  c.cache.end<GetXattr>(c.cache.begin(get("trusted.t", kUser)), grant(kGrantFirst), ENODATA, {});
  CHECK_FALSE(c.cache.answer(get("trusted.t", {}), c.now));
  c.cache.end<GetXattr>(c.cache.begin(get("user.u", {})), grant(kGrantFirst), ENODATA, {});
  CHECK(c.cache.answer(get("user.u", {}), c.now)->error == ENODATA);
  CHECK(c.cache.answer(get("user.u", kUser), c.now)->error == EACCES);
}

TEST_CASE("what was used longest ago goes first, and late answers do not bring it back") {
  Cache c;
  const auto late = c.cache.begin(GetAttributes{kFile});
  c.look();
  for (uint64_t i = 0; i < LeaseCache::kItemsMax + 10; ++i) {
    Attributes a = file_attributes();
    a.inode = {1000 + i, 1};
    c.stat(a);
  }
  CHECK(c.cache.items() <= LeaseCache::kItemsMax);
  CHECK_FALSE(c.lookup_error());
  c.cache.end<GetAttributes>(late, grant(kGrantFirst), 0, {file_attributes()});
}

// ---- with the protocol around it ----

using test::ClientDriver;

namespace {
constexpr InodeRef kHere{make_inode_id(0, 5), 1};

void push(ClientDriver& driver, uint16_t op, BytesView body, Epoch epoch, SessionId session) {
  MessageHeader header;
  header.op = op;
  header.flags = kFlagReply;
  header.volume = {1, 0};
  header.epoch = epoch;
  header.request.session = session;
  header.request.slot = kUnslotted;
  driver.core.message_received(SharedBytes::from(make_head(header, body)), {}, driver.now);
}
void answer_with_lease(ClientDriver& driver, const ClientDriver::Sent& sent, BytesView body,
                       Epoch epoch = 1) {
  MessageHeader header = sent.header;
  header.flags = kFlagReply;
  header.epoch = epoch;
  header.lease_ms = 10'000;
  header.lease_grants = kGrantFirst | kGrantEntry;
  driver.core.message_received(SharedBytes::from(make_head(header, body)), {}, driver.now);
}
Attributes here() {
  Attributes a;
  a.inode = kHere;
  a.mode = S_IFREG | 0644;
  return a;
}
SessionId learn(ClientDriver& driver, Epoch epoch = 1) {
  driver.core.submit(GetAttributes{kHere}, driver.now);
  const auto sent = driver.expect(GetAttributes::kOp);
  answer_with_lease(driver, sent, encode(AttributesReply{here()}), epoch);
  return sent.header.request.session;
}
}  // namespace

TEST_CASE(
    "a recall is answered at once, with its number, and nothing is answered from it any more") {
  ClientDriver driver;
  driver.open_session();
  const SessionId session = learn(driver);
  CHECK(driver.core.answer(GetAttributes{kHere}, driver.now));
  Recall recall;
  recall.numbers = {42};
  recall.inode_ids = {kHere.id};
  push(driver, Recall::kOp, encode(recall), 1, session);
  CHECK_FALSE(driver.core.answer(GetAttributes{kHere}, driver.now));
  const auto back = decode<GiveBack>(driver.expect(GiveBack::kOp).body);
  REQUIRE(back);
  CHECK(back->numbers == std::vector<uint64_t>{42});
  // Of what is not held, too: the grant may have been lost.
  recall.numbers = {43};
  push(driver, Recall::kOp, encode(recall), 1, session);
  CHECK(driver.expect(GiveBack::kOp).header.request.session == session);
}

TEST_CASE("recalls of deposed executors and for other sessions are nothing") {
  ClientDriver driver;
  driver.open_session();
  learn(driver, 3);  // which is not kept: it was asked for in the epoch before
  CHECK_FALSE(driver.core.answer(GetAttributes{kHere}, driver.now));
  answer_with_lease(driver, driver.expect(DeclareOpens::kOp), encode(OpenInodesReply{}), 3);
  const SessionId session = learn(driver, 3);
  Recall recall;
  recall.numbers = {42};
  recall.inode_ids = {kHere.id};
  push(driver, Recall::kOp, encode(recall), 2, session);
  push(driver, Recall::kOp, encode(recall), 3, session + 1);
  push(driver, Recall::kOp, "garbage", 3, session);
  while (auto sent = driver.next()) CHECK(sent->header.op != GiveBack::kOp);
  CHECK(driver.core.answer(GetAttributes{kHere}, driver.now));
}

TEST_CASE("a lease counts from the first send, not from the answer") {
  ClientDriver driver;
  driver.open_session();
  driver.core.submit(GetAttributes{kHere}, driver.now);
  const auto first = driver.expect(GetAttributes::kOp);
  driver.advance(4s);
  answer_with_lease(driver, first, encode(AttributesReply{here()}));
  CHECK(driver.core.answer(GetAttributes{kHere}, driver.now));
  driver.now += 5900ms;
  CHECK(driver.core.answer(GetAttributes{kHere}, driver.now));
  driver.now += 200ms;
  CHECK_FALSE(driver.core.answer(GetAttributes{kHere}, driver.now));
}

TEST_CASE("a new epoch ends the leases of the old one, and a notice of it makes the client speak") {
  ClientDriver driver;
  driver.open_session();
  const SessionId session = learn(driver);
  push(driver, EpochNotice::kOp, {}, 2, session);
  driver.expect_renewal();
  CHECK(driver.core.answer(GetAttributes{kHere}, driver.now));  // only an executor's word counts
  Recall all;
  all.numbers = {7};
  all.inode_ids = {0};
  push(driver, Recall::kOp, encode(all), 2, session);
  CHECK_FALSE(driver.core.answer(GetAttributes{kHere}, driver.now));
}

TEST_CASE("leases are renewed well before they run out, though nothing is asked for") {
  ClientDriver driver;
  driver.open_session();
  learn(driver);
  const Instant begun = driver.now;
  while (driver.now - begun < 60s) {
    driver.advance(100ms);
    while (auto sent = driver.next())
      if (sent->header.op == RenewSession::kOp)
        answer_with_lease(driver, *sent, encode(Empty{}));
      else if (sent->header.op == MapRead::kOp)
        driver.answer(*sent, ClientDriver::map_reply());
    REQUIRE(driver.core.answer(GetAttributes{kHere}, driver.now));
  }
}
