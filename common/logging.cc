#include "common/logging.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "common/config.h"

namespace pairfs {
namespace {

constexpr size_t kPrintableMaxBytes = 256;

spdlog::level::level_enum library_level(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return spdlog::level::debug;
    case LogLevel::kInfo:
      return spdlog::level::info;
    case LogLevel::kWarn:
      return spdlog::level::warn;
    case LogLevel::kError:
      break;
  }
  return spdlog::level::err;
}

}  // namespace

LogSettings read_log_settings(Config& config) {
  LogSettings settings;
  settings.file = config.string("log.file", "");
  settings.level = config.choice("log.level", "info", {"debug", "info", "warn", "error"});
  return settings;
}

bool start_logging(const LogSettings& settings, std::string* why) {
  spdlog::sink_ptr sink;
  if (settings.file.empty()) {
    sink = std::make_shared<spdlog::sinks::stderr_sink_mt>();
  } else {
    // spdlog would make it readable for everyone.
    const int fd = ::open(settings.file.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
      *why = fmt::format("cannot open the log file {}: {}", settings.file, std::strerror(errno));
      return false;
    }
    ::close(fd);
    try {
      sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(settings.file);
    } catch (const spdlog::spdlog_ex& error) {
      *why = fmt::format("cannot open the log file {}: {}", settings.file, error.what());
      return false;
    }
  }
  auto logger = std::make_shared<spdlog::logger>("pairfs", std::move(sink));
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%fZ %l %v", spdlog::pattern_time_type::utc);
  logger->set_level(spdlog::level::from_str(settings.level));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
  return true;
}

bool log_enabled(LogLevel level) { return spdlog::should_log(library_level(level)); }

void write_log(LogLevel level, const char* event, fmt::string_view format, fmt::format_args args) {
  if (!log_enabled(level)) return;
  spdlog::log(library_level(level), "{} {}", event, fmt::vformat(format, args));
}

void silence_logging(bool silent) {
  spdlog::set_level(silent ? spdlog::level::off : spdlog::level::debug);
}

std::string printable(BytesView bytes) {
  std::string out;
  for (const char c : bytes.substr(0, kPrintableMaxBytes)) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      out.push_back(c);
    } else {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  if (bytes.size() > kPrintableMaxBytes) out += "...";
  return out;
}

}  // namespace pairfs
