// What keeps a `pairfs` command from doing what it was asked: one sentence for the person who typed
// it, which says what to do, and the exit code. No exceptions cross a function of cli/.
#pragma once

#include <fmt/core.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace pairfs::cli {

inline constexpr int kExitFine = 0;
inline constexpr int kExitFailed = 1;   // degraded, or tried and failed
inline constexpr int kExitRefused = 2;  // wrong usage: nothing was started, nothing changed

struct Problem {
  int exit_code;
  std::string sentence;
};

template <class... Args>
Problem refused(fmt::format_string<Args...> format, Args&&... args) {
  return {kExitRefused, fmt::format(format, std::forward<Args>(args)...)};
}
template <class... Args>
Problem failed(fmt::format_string<Args...> format, Args&&... args) {
  return {kExitFailed, fmt::format(format, std::forward<Args>(args)...)};
}

// The outcome of a step that has no value; nullopt: done.
using Trouble = std::optional<Problem>;

// A value, or why there is none.
template <class T>
class [[nodiscard]] Outcome {
 public:
  Outcome(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit
  Outcome(Problem problem)
      : state_(std::in_place_index<1>, std::move(problem)) {}  // NOLINT: implicit
  bool ok() const { return state_.index() == 0; }
  T& operator*() { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const Problem& problem() const { return std::get<1>(state_); }

 private:
  std::variant<T, Problem> state_;
};

}  // namespace pairfs::cli
