#include "test/contract/store_contract.h"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>

#include "test/contract/store_model.h"

namespace pairfs::test {
namespace {

// One store with its model, and the last consistency point of each.
class Subject {
 public:
  Subject(StoreWorld& world, uint64_t seed) : world_(world), random_(seed) { reopen(); }

  void reopen() {
    store_.reset();
    std::string why;
    store_ = world_.open(++epoch_, token_, &why);
    REQUIRE_MESSAGE(store_ != nullptr, why);
    model_ = durable_;
    frozen_.reset();
    check_equal(*store_, model_, random_, true);
  }
  void crash() { store_.reset(); }
  // An opening that may not live to the end, of which nothing may stay.
  void try_to_open() {
    std::string why;
    (void)world_.open(++epoch_, token_, &why);
  }
  void change() {
    Changes changes = random_changes(random_);
    model_.apply(changes, model_.sequence + 1);
    store_->apply(std::move(changes), model_.sequence);
  }
  void freeze() {
    checkpoint_ = store_->freeze();
    frozen_ = model_;
  }
  bool frozen() const { return frozen_.has_value(); }
  const std::shared_ptr<Checkpoint>& checkpoint() const { return checkpoint_; }
  bool run_and_finish(bool confirm) { return finish(checkpoint_->run(), confirm); }
  bool finish(Result<Bytes> token, bool confirm) {
    if (token.ok()) {
      token_ = *token;
      durable_ = *frozen_;
    }
    store_->finish(checkpoint_, token.ok());
    if (token.ok() && confirm) store_->confirm(token_);
    frozen_.reset();
    return token.ok();
  }
  // The process dies after run() but before finish(): the token may or may not have got out.
  void run_and_forget(bool token_got_out) {
    auto token = checkpoint_->run();
    if (token.ok() && token_got_out) {
      token_ = *token;
      durable_ = *frozen_;
    }
  }
  void check(bool thorough) { check_equal(*store_, model_, random_, thorough); }

  Random& random() { return random_; }
  VolumeStore& store() { return *store_; }
  std::unique_ptr<VolumeStore> take_store() { return std::move(store_); }
  const Bytes& token() const { return token_; }
  Epoch epoch() const { return epoch_; }

 private:
  StoreWorld& world_;
  Random random_;
  Epoch epoch_ = 0;
  std::unique_ptr<VolumeStore> store_;
  std::shared_ptr<Checkpoint> checkpoint_;
  Bytes token_;
  StoreModel model_;
  StoreModel durable_;
  std::optional<StoreModel> frozen_;
};

}  // namespace

void check_random_histories(const MakeWorld& make_world, int histories, int steps) {
  for (int history = 0; history < histories; ++history) {
    const uint64_t seed = seed_or(1000 + static_cast<uint64_t>(history));
    CAPTURE(seed);
    auto world = make_world();
    Subject subject(*world, seed);
    Random& random = subject.random();
    for (int step = 0; step < steps; ++step) {
      subject.change();
      subject.check(false);
      const uint64_t event = random() % 100;
      if (event < 6 && !subject.frozen()) {
        subject.freeze();
      } else if (event < 14 && subject.frozen()) {
        const bool broken = random() % 5 == 0;
        if (broken) world->fail_next_checkpoint(random());
        subject.run_and_finish(random() % 4 != 0);
        world->stop_failing();
        subject.check(event < 8);
      } else if (event < 16) {
        if (subject.frozen() && random() % 2 == 0) {
          if (random() % 2 == 0) world->fail_next_checkpoint(random());
          if (random() % 2 == 0) world->stop_machine(random());
          subject.run_and_forget(random() % 2 == 0);
        }
        subject.crash();
        world->stop_failing();
        world->lose_power();
        if (random() % 4 == 0) {  // the next process does not get far
          world->stop_machine(random());
          subject.try_to_open();
          world->stop_failing();
          world->lose_power();
        }
        subject.reopen();
      }
    }
    subject.check(true);
  }
}

void check_reads_during_checkpoint(const MakeWorld& make_world) {
  auto world = make_world();
  Subject subject(*world, seed_or(7));
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 40; ++i) subject.change();
    subject.freeze();
    std::atomic<bool> done = false;
    auto checkpoint = subject.checkpoint();
    Result<Bytes> token = Errno{EIO};
    std::thread worker([&] {
      token = checkpoint->run();
      done = true;
    });
    for (int i = 0; !done || i < 10; ++i) {
      if (i < 1000) subject.change();
      subject.check(i % 16 == 0);
    }
    worker.join();
    subject.finish(std::move(token), true);
    subject.check(true);
  }
}

void check_failed_checkpoint_changes_nothing(const MakeWorld& make_world) {
  for (uint64_t draw = 0; draw < 40; ++draw) {
    CAPTURE(draw);
    auto world = make_world();
    Subject subject(*world, seed_or(70 + draw));
    for (int i = 0; i < 30; ++i) subject.change();
    subject.freeze();
    REQUIRE(subject.run_and_finish(true));
    for (int i = 0; i < 30; ++i) subject.change();
    subject.freeze();
    for (int i = 0; i < 10; ++i) subject.change();
    world->fail_next_checkpoint(draw);
    subject.run_and_finish(true);
    world->stop_failing();
    subject.check(true);
    for (int i = 0; i < 10; ++i) subject.change();
    subject.freeze();
    REQUIRE(subject.run_and_finish(true));
    subject.check(true);
    world->lose_power();
    subject.reopen();
  }
}

void check_deposed_store_does_no_harm(const MakeWorld& make_world) {
  auto world = make_world();
  Subject subject(*world, seed_or(99));
  for (int i = 0; i < 40; ++i) subject.change();
  subject.freeze();
  REQUIRE(subject.run_and_finish(true));
  for (int i = 0; i < 10; ++i) subject.change();
  auto zombie = subject.take_store();
  subject.reopen();
  Random zombie_random(5);
  for (int round = 0; round < 5; ++round) {
    for (int i = 0; i < 20; ++i) {
      zombie->apply(random_changes(zombie_random), zombie->applied_sequence() + 1);
    }
    auto late = zombie->freeze();
    zombie->finish(late, late->run().ok());
    subject.check(true);
    for (int i = 0; i < 20; ++i) subject.change();
    subject.freeze();
    REQUIRE(subject.run_and_finish(round % 2 == 0));
    subject.check(true);
    world->lose_power();
    subject.reopen();
  }
  std::string why;
  CHECK(world->open(subject.epoch() - 1, subject.token(), &why) == nullptr);
  CHECK(why != "");
}

}  // namespace pairfs::test
