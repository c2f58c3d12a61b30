// The daemon's log: one line per event, on stderr or in a file:
//   2026-01-31T12:00:00.123456Z info router.ready endpoint=tcp://127.0.0.1:7400
// Events are named noun.verb; what belongs to them follows as key=value. error: someone must act;
// warn: degraded; info: a state changed; debug: per command. Never file contents. Bytes that came
// from a peer go through printable().
//
// start_logging once, from main; the log_* functions from any thread after it.
#pragma once

#include <fmt/core.h>

#include <string>

#include "common/types.h"

namespace pairfs {

class Config;

struct LogSettings {
  std::string file;            // empty: stderr
  std::string level = "info";  // debug, info, warn or error
};
// The keys log.file and log.level.
LogSettings read_log_settings(Config& config);

// False: `why` is a sentence. The file is appended to and made with mode 0600.
bool start_logging(const LogSettings& settings, std::string* why);

enum class LogLevel { kDebug, kInfo, kWarn, kError };
// For the functions below. Only logging.cc includes the logging library, which is slow to compile.
bool log_enabled(LogLevel level);
void write_log(LogLevel level, const char* event, fmt::string_view format, fmt::format_args args);

template <class... Args>
void log_error(const char* event, fmt::format_string<Args...> format = "", Args&&... args) {
  write_log(LogLevel::kError, event, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_warn(const char* event, fmt::format_string<Args...> format = "", Args&&... args) {
  write_log(LogLevel::kWarn, event, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_info(const char* event, fmt::format_string<Args...> format = "", Args&&... args) {
  write_log(LogLevel::kInfo, event, format, fmt::make_format_args(args...));
}
template <class... Args>
void log_debug(const char* event, fmt::format_string<Args...> format = "", Args&&... args) {
  if (log_enabled(LogLevel::kDebug))
    write_log(LogLevel::kDebug, event, format, fmt::make_format_args(args...));
}
// For tests, whose bad input is meant: nothing is logged any more, or everything.
void silence_logging(bool silent = true);

// Octets for a log line: what is not printable ASCII becomes \xNN; cut after 256 octets.
std::string printable(BytesView bytes);

// Lets one event through per period, and counts the others, so that a peer cannot fill the log.
class LogLimiter {
 public:
  explicit LogLimiter(Duration period) : period_(period) {}
  // True when the event may be logged; `suppressed` is how many were not since the last one.
  bool allow(Instant now, uint64_t* suppressed) {
    if (started_ && now - last_ < period_) {
      ++suppressed_;
      return false;
    }
    started_ = true;
    last_ = now;
    *suppressed = suppressed_;
    suppressed_ = 0;
    return true;
  }

 private:
  Duration period_;
  Instant last_{};
  bool started_ = false;
  uint64_t suppressed_ = 0;
};

}  // namespace pairfs
