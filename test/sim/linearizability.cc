#include "test/sim/linearizability.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>

namespace pairfs::sim {
namespace {

// The state after the operation; nullopt: it would have got another answer.
std::optional<uint64_t> apply(const Operation& operation, uint64_t state) {
  const bool known = operation.returned.has_value();
  switch (operation.what) {
    case Operation::What::kWrite:
      return operation.argument;
    case Operation::What::kRead:
      return !known || operation.result == state ? std::optional(state) : std::nullopt;
    case Operation::What::kAdd: {
      const uint64_t sum = state + operation.argument;
      return !known || operation.result == sum ? std::optional(sum) : std::nullopt;
    }
    case Operation::What::kSwapIf: {
      const bool fits = state == operation.argument >> 32;
      if (known && operation.result != (fits ? 1 : 0)) return std::nullopt;
      return fits ? operation.argument & 0xffffffff : state;
    }
  }
  return std::nullopt;
}

std::string text(const Operation& o) {
  static constexpr const char* kNames[] = {"write", "read", "add", "swap-if"};
  const auto seconds = [](Instant at) {
    return static_cast<double>(at.time_since_epoch().count()) / 1e9 - 1000;
  };
  return fmt::format("client {} {}({:x}) = {} [{:.6f}, {}]", o.client,
                     kNames[static_cast<int>(o.what)], o.argument,
                     o.returned ? fmt::format("{:x}", o.result) : "?", seconds(o.called),
                     o.returned ? fmt::format("{:.6f}", seconds(*o.returned)) : "never");
}

class Search {
 public:
  Search(std::vector<Operation> history, uint64_t initial)
      : history_(std::move(history)), done_(history_.size(), '0'), initial_(initial) {}

  std::string run() {
    for (const Operation& o : history_) left_ += o.returned.has_value() ? 1 : 0;
    if (visit(initial_)) return "";
    std::string out = fmt::format(
        "no order explains these answers; {} of {} operations fit, then:", best_, history_.size());
    for (const Operation& o : best_candidates_) out += "\n    " + text(o);
    return out;
  }

 private:
  bool visit(uint64_t state) {
    if (left_ == 0) return true;
    if (!seen_.insert({done_, state}).second) return false;
    // Everything that was called before the first return among those that are left could be next.
    Instant limit = Instant::max();
    std::vector<size_t> next;
    for (size_t i = first_; i < history_.size(); ++i) {
      if (done_[i] == '1') continue;
      if (history_[i].called > limit) break;
      next.push_back(i);
      if (history_[i].returned) limit = std::min(limit, *history_[i].returned);
    }
    const size_t fitted = static_cast<size_t>(std::count(done_.begin(), done_.end(), '1'));
    if (fitted >= best_) {
      best_ = fitted;
      best_candidates_.clear();
      for (const size_t i : next) best_candidates_.push_back(history_[i]);
    }
    for (const size_t i : next) {
      const Operation& operation = history_[i];
      if (operation.called > limit) continue;
      const auto after = apply(operation, state);
      if (!after) continue;
      const size_t first = first_;
      done_[i] = '1';
      if (operation.returned) --left_;
      while (first_ < history_.size() && done_[first_] == '1') ++first_;
      if (visit(*after)) return true;
      first_ = first;
      done_[i] = '0';
      if (operation.returned) ++left_;
    }
    return false;
  }

  const std::vector<Operation> history_;  // by time of the call
  std::string done_;
  const uint64_t initial_;
  size_t first_ = 0, left_ = 0, best_ = 0;
  std::vector<Operation> best_candidates_;
  std::set<std::pair<std::string, uint64_t>> seen_;
};

}  // namespace

std::string check_linearizable(const std::vector<Operation>& history, uint64_t initial) {
  std::vector<Operation> sorted = history;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const Operation& a, const Operation& b) { return a.called < b.called; });
  return Search(std::move(sorted), initial).run();
}

}  // namespace pairfs::sim
