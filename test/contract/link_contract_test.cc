// What the executor may rely on when it is told that its partner holds a record, the same for both
// kinds of link: messages over a socket, and memory that both nodes map.
#include <doctest/doctest.h>

#include <filesystem>
#include <thread>

#include "common/codec.h"
#include "common/commands.h"
#include "common/header.h"
#include "common/map_store.h"
#include "common/transport.h"
#include "node/ring_link.h"
#include "test/support/temporary_directory.h"

namespace pairfs {
namespace {

constexpr uint64_t kCluster = 77;
constexpr VolumeId kVolume{1, 0};
constexpr RingTerms kTerms{kCluster, kVolume, 3, 100, 200};

CommandLogConfig log_config(const std::string& directory, const std::string& boot) {
  return {directory, kCluster, kVolume, 5, boot, 4 << 20};
}

// One executor with its log, and one logger with its own, which can be killed and live again.
class World {
 public:
  World() : executor_log_(log_config(directory_.file("executor"), "boot")) {
    std::filesystem::create_directory(directory_.file("rings"));
  }
  virtual ~World() = default;

  // Appends a record to the executor's log, and offers it to the logger under these terms. True:
  // the executor knows that the logger holds it.
  bool execute(size_t bulk_bytes, const RingTerms& terms = kTerms) {
    LogRecord r;
    r.epoch = terms.epoch;
    r.op = Unlink::kOp;
    r.body = SharedBytes::from("body " + std::to_string(executor_log_.last() + 1));
    r.bulk =
        SharedBytes::from(Bytes(bulk_bytes, static_cast<char>('a' + executor_log_.last() % 26)));
    Bytes head = executor_log_.append(r);
    head += r.body.view();
    return offer(terms, {head, r.bulk.view()});
  }
  // The logger's loop turns once.
  virtual void turn() = 0;
  // From now on it holds on these terms; nullopt: nobody's records.
  virtual void hold(const std::optional<RingTerms>& terms) = 0;
  void kill() {
    die();
    logger_log_.reset();
  }
  void live(const std::string& boot = "boot") {
    logger_log_ = std::make_unique<CommandLog>(log_config(directory_.file("logger"), boot));
    begin(boot);
  }
  CommandLog& logger_log() { return *logger_log_; }
  CommandLog& executor_log() { return executor_log_; }
  // What the logger holds is the executor's history, from the first record through `last`.
  void check_holds_through(Sequence last) {
    REQUIRE(logger_log().last() >= last);
    CHECK(logger_log().chain_at(last) == executor_log().chain_at(last));
    Sequence count = 0;
    logger_log().read(1, [&](const LogRecord& r) {
      ++count;
      return r.sequence == count;
    });
    CHECK(count == logger_log().last());
  }

 protected:
  virtual bool offer(const RingTerms& terms, const std::vector<BytesView>& records) = 0;
  virtual void die() = 0;
  virtual void begin(const std::string& boot) = 0;
  test::TemporaryDirectory directory_;

 private:
  CommandLog executor_log_;
  std::unique_ptr<CommandLog> logger_log_;
};

// Memory: held at once, whatever the logger does meanwhile.
class RingWorld final : public World {
 public:
  RingWorld() {
    live();
    hold(kTerms);
  }
  void turn() override { link_->take(logger_log()); }
  void hold(const std::optional<RingTerms>& terms) override {
    link_->serve(terms, logger_log(), now_ += std::chrono::seconds(1));
  }

 private:
  RingLinkConfig config(const char* node, const char* partner, const std::string& boot) {
    return {open_ring_directory(directory_.file("rings"), node, partner), kCluster, kVolume, boot};
  }
  bool offer(const RingTerms& terms, const std::vector<BytesView>& records) override {
    return executor_.copy(terms, records, now_ += std::chrono::seconds(1));
  }
  void die() override { link_.reset(); }
  void begin(const std::string& boot) override {
    link_ = std::make_unique<RingLink>(config("1b", "1a", boot));
    link_->recover(logger_log());
  }
  Instant now_{};
  RingLink executor_{config("1a", "1b", "boot")};
  std::unique_ptr<RingLink> link_;
};

// Messages: held when the logger's loop has appended them and said so.
class MessageWorld final : public World {
 public:
  MessageWorld() {
    live();
    hold(kTerms);
  }
  void turn() override {
    while (auto message = logger_.receive()) {
      const auto header = parse_head(message->head.view(), nullptr)->header;
      const bool ours = terms_ && header.epoch == terms_->epoch &&
                        header.sender == terms_->executor && header.receiver == terms_->logger;
      if (ours && alive_) logger_log().append_encoded(message->bulk);
      MessageHeader held = header;
      held.flags = kFlagReply;
      held.request.sequence = ours && alive_ ? logger_log().last() : 0;
      logger_.send(message->envelope, SharedBytes::from(make_head(held, {})));
    }
    logger_.work();
  }
  void hold(const std::optional<RingTerms>& terms) override { terms_ = terms; }

 private:
  bool offer(const RingTerms& terms, const std::vector<BytesView>& records) override {
    MessageHeader header;
    header.op = 220;
    header.epoch = terms.epoch;
    header.sender = terms.executor;
    header.receiver = terms.logger;
    Bytes all;
    for (const BytesView piece : records) all += piece;
    const SharedBytes bulk = SharedBytes::from(std::move(all));
    const Instant end = boot_now() + std::chrono::seconds(15);
    while (!executor_.send({}, SharedBytes::from(make_head(header, {})), bulk)) {
      REQUIRE(boot_now() < end);
      logger_.work();
    }
    for (;;) {
      turn();
      if (const auto answer = executor_.receive())
        return parse_head(answer->head.view(), nullptr)->header.request.sequence ==
               executor_log().last();
      REQUIRE(boot_now() < end);
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
  }
  void die() override { alive_ = false; }
  void begin(const std::string&) override { alive_ = true; }
  bool alive_ = false;
  std::optional<RingTerms> terms_;
  Context context_;
  Socket logger_ = Socket::server(context_, "inproc://link");
  Socket executor_ = Socket::client(context_, "inproc://link");
};

}  // namespace

TEST_CASE_TEMPLATE("what is held is in the logger's log, in order and whole", W, RingWorld,
                   MessageWorld) {
  W world;
  for (int i = 0; i < 2000; ++i) {
    REQUIRE(world.execute(static_cast<size_t>(i) % 700));
    if (i % 37 == 0) world.turn();
  }
  world.turn();
  world.check_holds_through(2000);
}

TEST_CASE_TEMPLATE("megabytes pass, many times what fits at once", W, RingWorld, MessageWorld) {
  W world;
  for (int i = 0; i < 40; ++i) {
    REQUIRE(world.execute(1 << 20));
    world.turn();
  }
  world.check_holds_through(40);
}

TEST_CASE_TEMPLATE("what is held survives the death of the logger", W, RingWorld, MessageWorld) {
  W world;
  for (int life = 0; life < 5; ++life) {
    for (int i = 0; i < 50; ++i) {
      REQUIRE(world.execute(100));
      if (i == 20) world.turn();
    }
    const Sequence held = world.executor_log().last();
    world.kill();
    world.live();
    world.check_holds_through(held);
    world.hold(kTerms);
  }
}

TEST_CASE_TEMPLATE("records of another epoch or life are not held", W, RingWorld, MessageWorld) {
  RingTerms other_epoch = kTerms, other_executor = kTerms, other_logger = kTerms;
  ++other_epoch.epoch;
  ++other_executor.executor;
  ++other_logger.logger;
  for (const RingTerms& other : {other_epoch, other_executor, other_logger}) {
    W world;
    REQUIRE(world.execute(10));
    CHECK_FALSE(world.execute(10, other));
    world.turn();
    world.check_holds_through(1);
    CHECK(world.logger_log().last() == 1);
  }
}

TEST_CASE_TEMPLATE("a logger that stops holding has all that was held, and nothing is held after",
                   W, RingWorld, MessageWorld) {
  W world;
  for (int i = 0; i < 10; ++i) REQUIRE(world.execute(10));
  world.hold(std::nullopt);
  world.turn();
  world.check_holds_through(10);
  CHECK_FALSE(world.execute(10));
  world.turn();
  CHECK(world.logger_log().last() == 10);
}

TEST_CASE("a ring without room says so, and goes on when there is") {
  RingWorld world;
  int held = 0;
  while (world.execute(1 << 20)) REQUIRE(++held < 16);
  CHECK(held >= 4);
  world.turn();
  world.check_holds_through(static_cast<Sequence>(held));
}

TEST_CASE("after a start of the machine a ring is nobody's: the disk may know less than it") {
  RingWorld world;
  for (int i = 0; i < 5; ++i) REQUIRE(world.execute(10));
  world.turn();
  for (int i = 0; i < 5; ++i) REQUIRE(world.execute(10));
  world.kill();
  world.live("another boot");
  CHECK(world.logger_log().last() == 5);
}

TEST_CASE("a publication either comes before the closing, or fails") {
  test::TemporaryDirectory directory;
  const auto place = open_ring_directory(directory.path(), "1b", "1b");
  for (int round = 0; round < 200; ++round) {
    LogRingReader reader(place->make(kVolume), kTerms, 1);
    uint64_t published = 0, taken = 0;
    std::atomic<bool> begun = false;
    std::jthread executor([&] {
      const auto writer = LogRingWriter::attach(place->partner(kVolume), kTerms);
      REQUIRE(writer != nullptr);
      begun = true;
      while (writer->publish({"0123456789"})) published += 10;
    });
    const auto take = [&](const SharedBytes& records) {
      taken += records.size();
      return true;
    };
    while (!begun) std::this_thread::yield();
    for (int i = 0; i < round; ++i) reader.drain(take);
    reader.close();
    reader.drain(take);
    executor.join();
    const uint64_t at_close = taken;
    reader.drain(take);
    CHECK(taken == at_close);
    CHECK(taken == published);
  }
}

}  // namespace pairfs
