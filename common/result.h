// Result<T>: the outcome of a file operation, a value or a POSIX errno. It is the only kind of
// error that travels on the wire. Broken peers and disks have enums of their own.
#pragma once

#include <cerrno>
#include <utility>
#include <variant>

#include "common/ensure.h"

namespace pairfs {

// A POSIX errno as a type, so that it cannot be taken for a count. Zero never occurs.
struct Errno {
  int value;
  friend bool operator==(Errno, Errno) = default;
};

struct Done {};  // the value of an operation that returns nothing

template <class T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}  // NOLINT: implicit
  Result(Errno error) : state_(std::in_place_index<1>, error) {          // NOLINT: implicit
    ENSURE(error.value > 0, "errno {}", error.value);
  }

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  // The errno, 0 when ok.
  int error() const { return ok() ? 0 : std::get<1>(state_).value; }
  Errno failure() const { return std::get<1>(state_); }
  T& operator*() { return std::get<0>(state_); }
  const T& operator*() const { return std::get<0>(state_); }
  T* operator->() { return &std::get<0>(state_); }
  const T* operator->() const { return &std::get<0>(state_); }

 private:
  std::variant<T, Errno> state_;
};

using Status = Result<Done>;
inline Status success() { return Status(Done{}); }

}  // namespace pairfs

// Runs an expression that gives a Result; returns its errno from here when it failed.
#define PAIRFS_TRY(expression)                                                            \
  do {                                                                                    \
    if (auto try_result_ = (expression); !try_result_.ok()) return try_result_.failure(); \
  } while (false)

#define PAIRFS_CONCAT_(a, b) a##b
#define PAIRFS_CONCAT(a, b) PAIRFS_CONCAT_(a, b)
// PAIRFS_ASSIGN(auto value, expression): the same, and binds the value.
#define PAIRFS_ASSIGN(declaration, expression)            \
  auto PAIRFS_CONCAT(assigned_, __LINE__) = (expression); \
  if (!PAIRFS_CONCAT(assigned_, __LINE__).ok())           \
    return PAIRFS_CONCAT(assigned_, __LINE__).failure();  \
  declaration = std::move(*PAIRFS_CONCAT(assigned_, __LINE__))
