#include "test/sim/simulation.h"

#include <algorithm>

namespace pairfs::sim {

void Simulation::at(Instant when, std::function<void()> what) {
  queue_.push_back({std::max(when, now_), order_++, std::move(what)});
  std::push_heap(queue_.begin(), queue_.end(), later);
}

bool Simulation::run_next(Instant end) {
  if (queue_.empty() || queue_.front().when >= end) {
    now_ = std::max(now_, end);
    return false;
  }
  std::pop_heap(queue_.begin(), queue_.end(), later);
  const Event event = std::move(queue_.back());
  queue_.pop_back();
  now_ = event.when;
  event.what();
  return true;
}

void Simulation::add_line(const std::string& text) {
  trace_.push_back(fmt::format(
      "{:12.6f} {}", static_cast<double>(now_.time_since_epoch().count()) / 1e9 - 1000, text));
}

void Simulation::add_note(const std::string& text) {
  for (const char c : text) mark(static_cast<uint8_t>(c));
  mark(static_cast<uint64_t>(now_.time_since_epoch().count()));
  if (tracing_) add_line(text);
}

void Simulation::add_failure(const std::string& text) {
  add_note("FAILED: " + text);
  if (failure_.empty()) failure_ = text;
}

Process::Process(Simulation& simulation, std::string name)
    : sim(simulation), name_(std::move(name)) {}

void Process::later(Duration delay, std::function<void()> what) {
  sim.after(delay, [this, life = life_, what = std::move(what)] {
    if (!alive_ || life_ != life) return;
    if (!frozen() && deferred_.empty()) return run(what);
    deferred_.push_back(what);
    if (deferred_.size() == 1) sim.at(frozen_until_, [this, life] { thaw(life); });
  });
}

void Process::wake_in(Duration delay) {
  sim.after(delay, [this, number = ++wake_number_] {
    if (number == wake_number_) later(Duration(0), [] {});
  });
}

void Process::run(const std::function<void()>& what) {
  what();
  if (alive_) after_event();
}

void Process::thaw(uint64_t life) {
  if (!alive_ || life_ != life) return;
  if (frozen()) {
    sim.at(frozen_until_, [this, life] { thaw(life); });
    return;
  }
  sim.note("{} thaws", name_);
  for (size_t i = 0; i < deferred_.size() && alive_ && life_ == life; ++i) {
    const auto what = std::move(deferred_[i]);
    run(what);
  }
  if (life_ == life) deferred_.clear();
}

void Process::freeze(Duration how_long) {
  if (!alive_) return;
  frozen_until_ = std::max(frozen_until_, sim.now() + how_long);
}

void Process::begin_life() {
  alive_ = true;
  ++life_;
  frozen_until_ = {};
  deferred_.clear();
}

void Process::end_life() {
  alive_ = false;
  ++life_;
  frozen_until_ = {};
  deferred_.clear();
}

Instant Process::local_now() const {
  const Duration world = sim.now().time_since_epoch();
  return Instant(world + world / 1000 * clock_error_);
}

Duration Process::world_time(Duration span) const {
  return span * 1000 / (1000 + clock_error_) + std::chrono::microseconds(1);
}

}  // namespace pairfs::sim
