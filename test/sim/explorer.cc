#include "test/sim/explorer.h"

#include <algorithm>
#include <memory>
#include <unordered_set>

#include "test/sim/pair_model.h"

namespace pairfs::sim {
namespace {

constexpr int kHealStepsMax = 20'000;

class Explorer {
 public:
  explicit Explorer(uint64_t states_max) : states_max_(states_max) {}

  Exploration run(int faults) {
    auto first = std::make_unique<PairModel>(faults);
    while (first->go_on_healthily()) {
    }
    enter(std::move(first), "a healthy pair");
    while (!stack_.empty() && result_.why.empty()) {
      Frame& frame = stack_.back();
      if (frame.next == frame.actions.size()) {
        stack_.pop_back();
        continue;
      }
      const PairModel::Action action = frame.actions[frame.next++];
      auto after = std::make_unique<PairModel>(*frame.state);
      after->perform(action);
      ++result_.steps;
      enter(std::move(after), PairModel::describe(action));
    }
    return std::move(result_);
  }

 private:
  struct Frame {
    std::unique_ptr<PairModel> state;
    std::string how;
    std::vector<PairModel::Action> actions;
    size_t next = 0;
  };

  void enter(std::unique_ptr<PairModel> state, std::string how) {
    if (!seen_.insert(state->fingerprint(true)).second && state->broken().empty()) return;
    ++result_.states;
    Frame frame{std::move(state), std::move(how), {}, 0};
    std::string why = frame.state->broken();
    if (!why.empty()) why += "; " + frame.state->summary();
    if (why.empty()) why = heal(*frame.state);
    frame.actions = frame.state->actions();
    stack_.push_back(std::move(frame));
    if (why.empty() && result_.states > states_max_) why = "there are more states than allowed";
    if (why.empty()) return;
    result_.why = why;
    for (const Frame& each : stack_) result_.path.push_back(each.how);
  }

  // Whether the pair becomes whole from here when nothing fails any more.
  std::string heal(const PairModel& from) {
    PairModel state(from);
    std::vector<uint64_t> passed;
    for (int step = 0; step < kHealStepsMax; ++step) {
      const uint64_t print = state.fingerprint(false);
      if (heals_.contains(print)) break;
      passed.push_back(print);
      if (!state.go_on_healthily()) break;
      if (!state.broken().empty()) return "on the way to health: " + state.broken();
      if (step + 1 == kHealStepsMax)
        return "the pair does not become whole when all has healed: " + state.summary();
    }
    heals_.insert(passed.begin(), passed.end());
    return "";
  }

  const uint64_t states_max_;
  Exploration result_;
  std::vector<Frame> stack_;
  std::unordered_set<uint64_t> seen_, heals_;
};

}  // namespace

Exploration explore(int faults, uint64_t states_max) { return Explorer(states_max).run(faults); }

}  // namespace pairfs::sim
