// What all parts of a simulated world share: time, randomness, the trace, the counters, and the
// first failure. The same seed gives the same run.
#pragma once

#include <fmt/core.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "test/sim/random.h"

namespace pairfs::sim {

class Simulation {
 public:
  Simulation(uint64_t seed, bool tracing) : random(seed), tracing_(tracing) {}

  Random random;

  // ---- time ----
  Instant now() const { return now_; }
  void at(Instant when, std::function<void()> what);
  void after(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  // Runs the next event that is due before `end`; false: there is none, and it is `end` now.
  bool run_next(Instant end);

  // ---- trace ----
  bool tracing() const { return tracing_; }
  // An event that belongs to the run's identity: it counts in the fingerprint.
  template <class... Args>
  void note(fmt::format_string<Args...> format, Args&&... args) {
    add_note(fmt::format(format, std::forward<Args>(args)...));
  }
  // A line for people only.
  template <class... Args>
  void tell(fmt::format_string<Args...> format, Args&&... args) {
    if (tracing_) add_line(fmt::format(format, std::forward<Args>(args)...));
  }
  void mark(uint64_t value) { fingerprint_ = (fingerprint_ ^ value) * 0x100000001b3ULL; }
  uint64_t fingerprint() const { return fingerprint_; }
  const std::vector<std::string>& trace() const { return trace_; }

  // ---- verdict ----
  template <class... Args>
  void fail(fmt::format_string<Args...> format, Args&&... args) {
    add_failure(fmt::format(format, std::forward<Args>(args)...));
  }
  bool failed() const { return !failure_.empty(); }
  const std::string& failure() const { return failure_; }

  void count(const std::string& what, uint64_t by = 1) { counts_[what] += by; }
  const std::map<std::string, uint64_t>& counts() const { return counts_; }

 private:
  struct Event {
    Instant when;
    uint64_t order = 0;
    std::function<void()> what;
  };
  static bool later(const Event& a, const Event& b) {
    return a.when != b.when ? a.when > b.when : a.order > b.order;
  }
  void add_note(const std::string& text);
  void add_line(const std::string& text);
  void add_failure(const std::string& text);

  const bool tracing_;
  Instant now_{std::chrono::seconds(1000)};
  uint64_t order_ = 0;
  std::vector<Event> queue_;  // a heap
  uint64_t fingerprint_ = 0xcbf29ce484222325ULL;
  std::vector<std::string> trace_;
  std::string failure_;
  std::map<std::string, uint64_t> counts_;
};

// A process on a machine with a clock of its own: it lives, freezes, thaws and dies.
class Process {
 public:
  Process(Simulation& simulation, std::string name);
  virtual ~Process() = default;

  const std::string& name() const { return name_; }
  bool alive() const { return alive_; }
  bool frozen() const { return sim.now() < frozen_until_; }
  uint64_t life() const { return life_; }

  // Runs `what` after `delay` in this life only; when frozen then, as soon as it thaws, in the
  // order in which things became due.
  void later(Duration delay, std::function<void()> what);
  void freeze(Duration how_long);
  // Nothing but after_event(), after `delay`; a later call takes the place of an earlier one.
  void wake_in(Duration delay);

  // The machine's clock, which runs a little wrong.
  Instant local_now() const;
  // How long the world takes for `span` of this clock.
  Duration world_time(Duration span) const;
  void set_clock_error(int parts_per_thousand) { clock_error_ = parts_per_thousand; }

 protected:
  void begin_life();
  void end_life();
  // After each thing that `later` ran.
  virtual void after_event() {}
  Simulation& sim;

 private:
  void run(const std::function<void()>& what);
  void thaw(uint64_t life);

  const std::string name_;
  bool alive_ = false;
  uint64_t life_ = 0;
  uint64_t wake_number_ = 0;
  Instant frozen_until_{};
  std::vector<std::function<void()>> deferred_;
  int clock_error_ = 0;
};

}  // namespace pairfs::sim
