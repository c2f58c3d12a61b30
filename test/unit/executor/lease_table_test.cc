#include "node/executor/lease_table.h"

#include <doctest/doctest.h>

using namespace pairfs;
using namespace std::chrono_literals;

namespace {

constexpr SessionId kA = 1, kB = 2, kC = 3;
constexpr uint64_t kFile = make_inode_id(7, 5), kOther = make_inode_id(8, 6);

struct Table {
  LeaseTable table{3, kLeaseTerm};
  Instant now{1000s};
  Table() { hear(); }
  void hear() {
    for (const SessionId session : {kA, kB, kC}) table.heard(session, now);
  }
  bool grant(SessionId session, uint64_t inode = kFile) { return table.grant(session, inode, now); }
  std::vector<LeaseTable::Number> change(SessionId by, uint64_t inode = kFile) {
    table.change(inode, by, now);
    return waits(by, inode);
  }
  std::vector<LeaseTable::Number> waits(SessionId asker, uint64_t inode = kFile) {
    std::vector<LeaseTable::Number> out;
    table.add_waits(inode, asker, out);
    return out;
  }
  bool waited(const std::vector<LeaseTable::Number>& numbers) {
    for (const auto number : numbers)
      if (table.is_waited_for(number)) return true;
    return false;
  }
};

}  // namespace

TEST_CASE("a change waits for every other holder, and recalls none from its own session") {
  Table t;
  CHECK(t.grant(kA));
  CHECK(t.grant(kB));
  const auto waits = t.change(kA);
  REQUIRE(waits.size() == 1);
  const auto recalls = t.table.take_recalls(t.now);
  REQUIRE(recalls.size() == 1);
  CHECK(recalls[0].session == kB);
  CHECK(recalls[0].inode_id == kFile);
  CHECK_FALSE(t.table.given_back(kA, recalls[0].number));  // somebody else's answer
  CHECK(t.waited(waits));
  CHECK(t.table.given_back(kB, recalls[0].number));
  CHECK_FALSE(t.waited(waits));
  CHECK_FALSE(t.table.given_back(kB, recalls[0].number));
  CHECK(t.grant(kA));  // it holds it still
}

TEST_CASE("who looks at a changed inode waits too, but not for its own recall") {
  Table t;
  t.grant(kB);
  t.change(kA);
  CHECK(t.waits(kC).size() == 1);
  CHECK(t.waits(kB).empty());
  CHECK(t.waits(kC, kOther).empty());
}

TEST_CASE("what is wanted back is granted to nobody, and for a while not after that") {
  Table t;
  t.grant(kB);
  t.change(kA);
  CHECK_FALSE(t.grant(kC));
  CHECK_FALSE(t.grant(kB));
  t.table.given_back(kB, t.table.take_recalls(t.now)[0].number);
  CHECK_FALSE(t.grant(kC));
  t.now += LeaseTable::kContended;
  CHECK(t.grant(kC));
}

TEST_CASE("a silent holder is waited out for a term and a margin, no shorter and no longer") {
  Table t;
  t.grant(kB);
  const auto waits = t.change(kA);
  t.now += kLeaseTerm;
  t.table.heard(kA, t.now);
  t.table.take_recalls(t.now);
  CHECK(t.waited(waits));
  t.now += lease_margin(kLeaseTerm);
  t.table.take_recalls(t.now);
  CHECK_FALSE(t.waited(waits));
}

TEST_CASE("a holder that is heard is renewed, and may change its mind about no recall for long") {
  Table t;
  t.grant(kB);
  const auto waits = t.change(kA);
  const Instant begun = t.now;
  // Alive, but it never answers.
  while (t.waited(waits)) {
    t.now += 100ms;
    const bool renewed = t.table.heard(kB, t.now);
    // Once what it kept has run out, it begins anew.
    CHECK(renewed == (t.now - begun <= LeaseTable::kPatience || !t.waited(waits)));
    t.table.take_recalls(t.now);
    REQUIRE(t.now - begun < 60s);
  }
  CHECK(t.now - begun >= kLeaseTerm);
  CHECK(t.now - begun <= LeaseTable::kPatience + kLeaseTerm + lease_margin(kLeaseTerm) + 200ms);
}

TEST_CASE("a recall is sent again until it is answered") {
  Table t;
  t.grant(kB);
  t.change(kA);
  const auto first = t.table.take_recalls(t.now);
  CHECK(t.table.take_recalls(t.now).empty());
  t.now += LeaseTable::kRecallAgain;
  const auto second = t.table.take_recalls(t.now);
  REQUIRE(second.size() == 1);
  CHECK(second[0].number == first[0].number);
}

TEST_CASE("a late answer to an earlier recall gives nothing back") {
  Table t;
  t.grant(kB);
  t.change(kA);
  const auto first = t.table.take_recalls(t.now)[0].number;
  t.table.given_back(kB, first);
  t.now += LeaseTable::kContended;
  t.hear();
  REQUIRE(t.grant(kB));
  const auto waits = t.change(kA);
  CHECK_FALSE(t.table.given_back(kB, first));
  CHECK(t.waited(waits));
}

TEST_CASE("a session that comes back after its term holds nothing, though nobody wanted it") {
  Table t;
  t.grant(kB);
  t.now += kLeaseTerm + lease_margin(kLeaseTerm);
  t.hear();
  CHECK(t.table.leases() == 0);
  CHECK(t.change(kA).empty());
}

TEST_CASE("a session that ends holds up nobody") {
  Table t;
  t.grant(kB);
  const auto waits = t.change(kA);
  t.table.forget(kB);
  CHECK_FALSE(t.waited(waits));
  CHECK(t.table.leases() == 0);
}

TEST_CASE("what earlier executors granted is waited for, until each session said that it is gone") {
  LeaseTable table(4, kLeaseTerm);
  Instant now{1000s};
  table.begin({kA, kB}, now);
  std::vector<LeaseTable::Number> waits;
  table.add_unknown_waits(kA, waits);
  REQUIRE(waits.size() == 1);              // for B; A knows what it holds
  CHECK(table.take_recalls(now).empty());  // where B is shows when it is heard
  table.heard(kB, now);
  const auto recalls = table.take_recalls(now);
  REQUIRE(recalls.size() == 1);
  CHECK(recalls[0].session == kB);
  CHECK(recalls[0].inode_id == 0);
  CHECK(table.given_back(kB, recalls[0].number));
  CHECK_FALSE(table.is_waited_for(waits[0]));
  CHECK(table.has_unknown());  // A
  now += kLeaseTerm + lease_margin(kLeaseTerm);
  table.take_recalls(now);
  CHECK_FALSE(table.has_unknown());
}

TEST_CASE("recalls of different epochs have different numbers") {
  LeaseTable before(4, kLeaseTerm), after(5, kLeaseTerm);
  before.begin({kA}, Instant{});
  after.begin({kA}, Instant{});
  std::vector<LeaseTable::Number> numbers;
  before.add_unknown_waits(0, numbers);
  after.add_unknown_waits(0, numbers);
  CHECK(numbers[0] != numbers[1]);
}

TEST_CASE("a slice that is to move gives its leases back, and gets none") {
  Table t;
  t.grant(kA);
  t.grant(kB, kOther);
  t.table.withdraw(7, t.now);
  CHECK(t.table.may_be_held(7));
  const auto recalls = t.table.take_recalls(t.now);
  REQUIRE(recalls.size() == 1);
  CHECK(recalls[0].inode_id == kFile);
  t.table.given_back(kA, recalls[0].number);
  CHECK_FALSE(t.table.may_be_held(7));
  CHECK(t.table.may_be_held(8));
  CHECK_FALSE(t.grant(kA));
  t.table.allow(7);
  CHECK(t.grant(kA));
}

TEST_CASE("a session that holds very much is asked for its oldest") {
  Table t;
  for (uint64_t i = 1; i <= LeaseTable::kPerSessionMax; ++i)
    REQUIRE(t.grant(kA, make_inode_id(9, i)));
  CHECK(t.table.take_recalls(t.now).empty());
  CHECK(t.grant(kA, kFile));
  const auto recalls = t.table.take_recalls(t.now);
  REQUIRE_FALSE(recalls.empty());
  for (const auto& recall : recalls) CHECK((recall.inode_id & 0xffff) <= 64);
}
