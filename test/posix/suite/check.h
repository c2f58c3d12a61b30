// How a case says what it expects.
//
// Owns: the macros CHECK, EQUAL, OK and FAILS and the two exceptions that end a case early. A case
// is ordinary code that makes system calls; the first expectation that does not hold throws
// CaseFailed, and the runner (or the parent of a forked child) reports its text. Nothing is kept
// between expectations, so any process or thread may use them.
#pragma once

#include <cerrno>
#include <sstream>
#include <stdexcept>
#include <string>

namespace pairfs::posix {

// Ends the case as failed; what() is one line: place, expectation, what was found.
struct CaseFailed : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Ends the case as skipped; what() is the reason.
struct CaseSkipped : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// "ENOENT" for 2; "errno 4242" for a number without a name.
std::string errno_name(int number);

[[noreturn]] void fail(const char* file, int line, const std::string& text);
[[noreturn]] void skip(const std::string& reason);

template <typename T>
std::string shown(const T& value) {
  std::ostringstream out;
  if constexpr (std::is_convertible_v<const T&, std::string>) {
    const std::string text = value;
    out << '"' << (text.size() > 80 ? text.substr(0, 80) + "..." : text) << '"';
  } else {
    out << value;
  }
  return out.str();
}

// The result of a system call that must succeed; `result` is what it returned.
template <typename T>
T ok(const char* file, int line, const char* call, T result) {
  if (result == static_cast<T>(-1)) {
    fail(file, line, std::string(call) + " failed with " + errno_name(errno));
  }
  return result;
}

// A system call that must fail with `wanted`.
void fails(const char* file, int line, const char* call, int wanted, long result, int got);

template <typename A, typename B>
void equal(const char* file, int line, const char* text, const A& got, const B& wanted) {
  if (!(got == wanted)) {
    fail(file, line, std::string(text) + ": expected " + shown(wanted) + ", got " + shown(got));
  }
}

}  // namespace pairfs::posix

#define CHECK(condition) \
  ((condition) ? (void)0 : ::pairfs::posix::fail(__FILE__, __LINE__, "does not hold: " #condition))
#define EQUAL(got, wanted) ::pairfs::posix::equal(__FILE__, __LINE__, #got, (got), (wanted))
#define OK(call) ::pairfs::posix::ok(__FILE__, __LINE__, #call, (call))
#define FAILS(wanted, call)                                                           \
  do {                                                                                \
    errno = 0;                                                                        \
    const long check_result = (call);                                                 \
    ::pairfs::posix::fails(__FILE__, __LINE__, #call, (wanted), check_result, errno); \
  } while (false)
