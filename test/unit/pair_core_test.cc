// PairCore step by step, where a simulated world comes by only now and then.
#include <doctest/doctest.h>

#include <algorithm>

#include "node/pair/pair_core.h"

namespace pairfs {
namespace {

using Kind = LinkMessage::Kind;
using std::chrono::milliseconds;

struct FakeLog final : LogView {
  std::vector<Epoch> epochs;  // of record 1, 2, ...; its number is its chain crc
  Sequence synced_through = 0;

  LogSummary log_summary() const override {
    LogSummary s;
    s.last = epochs.size();
    s.last_chain = static_cast<uint32_t>(s.last);
    s.last_epoch = epochs.empty() ? 0 : epochs.back();
    return s;
  }
  std::optional<uint32_t> chain_at(Sequence s) const override {
    return s > epochs.size() ? std::nullopt : std::optional(static_cast<uint32_t>(s));
  }
  uint64_t record_bytes(Sequence) const override { return 200; }
  bool has_epoch(Epoch epoch) const override {
    return std::find(epochs.begin(), epochs.end(), epoch) != epochs.end();
  }
  Sequence synced() const override { return synced_through; }
  bool kept_apart() const override { return false; }
};

// The executor of a volume, whose partner the test plays.
struct Executor {
  static constexpr Incarnation kSelf = 1, kPartner = 2;
  const VolumeId volume{1, 0};
  Instant now{std::chrono::seconds(100)};
  FakeLog log;
  PairCore core{{volume, {"1a", kSelf}, "1b", true, {}, {}, {}}, log, now};

  PairEffects step(const PairEvent& event) {
    PairEffects effects = core.step(event, now += milliseconds(1));
    for (const PairEffect& effect : effects)
      if (const auto* append = std::get_if<pair_effect::AppendEpoch>(&effect))
        log.epochs.push_back(append->epoch);
    return effects;
  }
  PairEffects sync() {
    log.synced_through = log.epochs.size();
    return step(pair_event::Synced{});
  }
  LinkMessage from_partner(Kind kind, Sequence last) const {
    LinkMessage m;
    m.kind = static_cast<uint8_t>(kind);
    m.volume = volume;
    m.epoch = core.epoch();
    m.sender = kPartner;
    m.receiver = kSelf;
    m.reset = kind == Kind::kJoin;
    m.held = m.log.last = last;
    m.log.last_chain = static_cast<uint32_t>(last);
    return m;
  }
  PairEffects hears(LinkMessage message) { return step(pair_event::Received{message, false}); }
  PairEffects partner_holds(Sequence held, Sequence synced) {
    LinkMessage m = from_partner(Kind::kHeld, held);
    m.synced_through = synced;
    return hears(m);
  }
  VolumeRecord record(Epoch epoch, bool solo) const {
    return {epoch, {"1a", kSelf}, {"1b", kPartner}, solo, false};
  }

  void serve_alone() {
    step(pair_event::Record{record(1, true), 1});
    step(pair_event::Opened{true});
    step(pair_event::Appended{});
    sync();
    REQUIRE(core.may_execute());
    step(pair_event::LinkUp{});
    hears(from_partner(Kind::kHello, 0));
  }
  void close_pairing() {
    serve_alone();
    hears(from_partner(Kind::kJoin, 0));
    REQUIRE(core.record_epoch() == 2);
    step(pair_event::Appended{});
    sync();
  }
};

template <class E>
const E* find(const PairEffects& effects) {
  for (const PairEffect& effect : effects)
    if (const E* found = std::get_if<E>(&effect)) return found;
  return nullptr;
}

const LinkMessage* sent(const PairEffects& effects, Kind kind) {
  for (const PairEffect& effect : effects)
    if (const auto* send = std::get_if<pair_effect::Send>(&effect))
      if (send->message.kind == static_cast<uint8_t>(kind)) return &send->message;
  return nullptr;
}

TEST_CASE("a joiner that asks again while its pairing closes is answered, and the pairing ends") {
  Executor executor;
  executor.close_pairing();
  CHECK(find<pair_effect::Swap>(executor.partner_holds(2, 0)) == nullptr);
  // It stood still, and takes no records before it is accepted anew.
  const PairEffects effects = executor.hears(executor.from_partner(Kind::kJoin, 2));
  const LinkMessage* accept = sent(effects, Kind::kAccept);
  REQUIRE(accept != nullptr);
  CHECK(accept->log.base == 2);
  CHECK_FALSE(accept->reset);
  const PairEffects held = executor.partner_holds(2, 2);
  REQUIRE(find<pair_effect::Swap>(held) != nullptr);
  CHECK_FALSE(find<pair_effect::Swap>(held)->record.solo);
}

TEST_CASE("a consistency point is confirmed once both logs have its record synced, asked at once") {
  Executor executor;
  executor.close_pairing();
  executor.partner_holds(2, 2);
  executor.step(pair_event::Swapped{true, true, executor.record(2, false), 2});
  REQUIRE_FALSE(executor.core.solo());
  executor.log.epochs.push_back(2);
  const PairEffects logged = executor.step(pair_event::Confirmable{3, 2});
  CHECK(find<pair_effect::Sync>(logged) != nullptr);
  const LinkMessage* records = sent(logged, Kind::kRecords);
  REQUIRE(records != nullptr);
  CHECK(records->sync_wanted == 3);
  CHECK(executor.core.confirming());
  CHECK(find<pair_effect::Confirm>(executor.partner_holds(3, 2)) == nullptr);
  CHECK(find<pair_effect::Confirm>(executor.sync()) == nullptr);
  CHECK(find<pair_effect::Confirm>(executor.partner_holds(3, 3)) != nullptr);
  CHECK_FALSE(executor.core.confirming());
}

TEST_CASE(
    "what a life answered alone is kept, unless the record says that it was half of a pair since") {
  const Instant now{std::chrono::seconds(100)};
  FakeLog log;
  log.epochs = {1, 2, 3, 4};
  const VolumeRecord alone{3, {"1a", 7}, {"1b", 2}, true, false};
  const auto diverged_at = [&](const VolumeRecord& record) {
    PairCore core({{1, 0}, {"1a", 9}, "1b", true, {}, {}, alone}, log, now);
    core.step(pair_event::Record{record, 8}, now);
    return core.diverged();
  };
  CHECK(diverged_at({4, {"1b", 2}, {"1a", 0}, true, false}));
  CHECK(diverged_at({5, {"1b", 2}, {"1a", 6}, true, false}));
  // It died before it heard of its own swap, and its partner took over from it.
  CHECK_FALSE(diverged_at({5, {"1b", 2}, {"1a", 7}, true, false}));
}

TEST_CASE("an operator's record does not call the partner that served alone its half") {
  const Instant now{std::chrono::seconds(100)};
  FakeLog log;
  log.epochs = {1, 2};
  PairCore core({{1, 0}, {"1b", 5}, "1a", false, {}, {}, {}}, log, now);
  core.step(pair_event::Record{{3, {"1a", 7}, {"1b", 2}, true, false}, 8}, now);
  core.step(pair_event::LinkUp{}, now + milliseconds(500));
  LinkMessage hello;
  hello.kind = static_cast<uint8_t>(Kind::kHello);
  hello.volume = {1, 0};
  hello.sender = 7;
  core.step(pair_event::Received{hello, false}, now + milliseconds(501));
  const PairEffects effects = core.step(pair_event::StartAlone{}, now + milliseconds(502));
  REQUIRE(find<pair_effect::Swap>(effects) != nullptr);
  CHECK(find<pair_effect::Swap>(effects)->record.logger.incarnation == 0);
}

}  // namespace
}  // namespace pairfs
