#include "test/posix/suite/runner.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <stdexcept>

namespace pairfs::posix {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// Runs in the forked process: the verdict is the exit status, the text goes to `report_fd`.
[[noreturn]] void run_in_child(const Case& one, Context& context, int report_fd) {
  ::setpgid(0, 0);
  ::umask(022);
  int status = 0;
  std::string text;
  try {
    one.run(context);
  } catch (const CaseSkipped& skipped) {
    status = 77;
    text = skipped.what();
  } catch (const std::exception& failed) {
    status = 1;
    text = failed.what();
  }
  if (::write(report_fd, text.data(), text.size()) < 0) status = 1;
  ::_exit(status);
}

// Reads what the child reports until it ends or the time is over.
bool read_report(int fd, double timeout_s, std::string& text) {
  const Clock::time_point start = Clock::now();
  for (;;) {
    const double left = timeout_s - seconds_since(start);
    if (left <= 0) return false;
    pollfd waiting{fd, POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left * 1000) + 1);
    if (ready == 0) return false;
    if (ready < 0) continue;
    char block[1024];
    const ssize_t count = ::read(fd, block, sizeof block);
    if (count <= 0) return true;
    text.append(block, static_cast<size_t>(count));
  }
}

// Waits for the child's end. A killed process that hangs in the filesystem is given up after 5 s.
int wait_for(pid_t pid, bool killed) {
  int status = 0;
  const Clock::time_point start = Clock::now();
  while (killed && seconds_since(start) < 5) {
    if (::waitpid(pid, &status, WNOHANG) == pid) return status;
    ::poll(nullptr, 0, 10);
  }
  if (!killed) ::waitpid(pid, &status, 0);
  return status;
}

CaseResult run_case(const Case& one, Context context, int timeout_s) {
  CaseResult result{one.group, one.name, Verdict::passed, "", 0};
  const Clock::time_point start = Clock::now();
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  std::fflush(nullptr);
  const pid_t pid = ::fork();
  if (pid < 0) throw std::runtime_error("fork failed");
  if (pid == 0) run_in_child(one, context, fds[1]);
  ::close(fds[1]);
  const bool in_time = read_report(fds[0], timeout_s, result.text);
  ::close(fds[0]);
  if (!in_time) ::kill(pid, SIGKILL);
  const int status = wait_for(pid, !in_time);
  ::kill(-pid, SIGKILL);
  result.seconds = seconds_since(start);
  if (!in_time) {
    result.verdict = Verdict::failed;
    result.text = "did not end within " + std::to_string(timeout_s) + " s";
  } else if (WIFSIGNALED(status)) {
    result.verdict = Verdict::failed;
    result.text = "killed by signal " + std::to_string(WTERMSIG(status)) + " " + result.text;
  } else if (WEXITSTATUS(status) == 77) {
    result.verdict = Verdict::skipped;
  } else if (WEXITSTATUS(status) != 0) {
    result.verdict = Verdict::failed;
  }
  return result;
}

void print(std::FILE* out, const CaseResult& result) {
  if (out == nullptr) return;
  const char* word = result.verdict == Verdict::passed   ? "ok  "
                     : result.verdict == Verdict::failed ? "FAIL"
                                                         : "skip";
  std::fprintf(out, "%s %s: %s (%.2f s)\n", word, result.group.c_str(), result.name.c_str(),
               result.seconds);
  if (!result.text.empty()) std::fprintf(out, "     %s\n", result.text.c_str());
  std::fflush(out);
}

void count(Report& report, CaseResult result) {
  if (result.verdict == Verdict::passed) ++report.passed;
  if (result.verdict == Verdict::failed) ++report.failed;
  if (result.verdict == Verdict::skipped) ++report.skipped;
  report.results.push_back(std::move(result));
}

bool contains_any(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    if (text.find(part) != std::string::npos) return true;
  }
  return false;
}

}  // namespace

bool selected(const RunOptions& options, const Case& one) {
  const std::string full = one.group + ": " + one.name;
  if (contains_any(full, options.without)) return false;
  return options.filters.empty() || contains_any(full, options.filters);
}

Report run_suite(const RunOptions& options, const std::vector<Case>& cases, std::FILE* progress) {
  namespace fs = std::filesystem;
  const std::string top = "posix-suite-" + std::to_string(::getpid());
  const fs::path base = fs::absolute(options.dir) / top;
  if (::mkdir(base.c_str(), 0755) != 0 || ::chmod(base.c_str(), 0755) != 0) {
    throw std::runtime_error(base.string() + ": cannot be made: " + errno_name(errno));
  }
  Report report;
  int number = 0;
  for (const Case& one : cases) {
    if (!selected(options, one)) continue;
    const std::string name = std::to_string(++number);
    const fs::path here = base / name;
    std::string there;
    if (!options.second.empty()) there = fs::absolute(options.second) / top / name;
    if (::mkdir(here.c_str(), 0755) != 0 || ::chmod(here.c_str(), 0755) != 0) {
      count(report, {one.group, one.name, Verdict::failed, "its directory cannot be made", 0});
      print(progress, report.results.back());
      continue;
    }
    CaseResult result = run_case(one, Context(here.string(), there, options.strict),
                                 one.timeout_s * options.timeout_factor);
    std::error_code error;
    const bool keep = options.keep && result.verdict == Verdict::failed;
    if (!keep) fs::remove_all(here, error);
    if (error && result.verdict == Verdict::passed) {
      result.verdict = Verdict::failed;
      result.text = "what it made cannot be removed: " + error.message();
    }
    print(progress, result);
    count(report, std::move(result));
  }
  std::error_code ignored;
  if (!options.keep || report.failed == 0) fs::remove_all(base, ignored);
  return report;
}

std::string report_json(const Report& report) {
  nlohmann::json cases = nlohmann::json::array();
  for (const CaseResult& result : report.results) {
    const char* verdict = result.verdict == Verdict::passed   ? "passed"
                          : result.verdict == Verdict::failed ? "failed"
                                                              : "skipped";
    cases.push_back({{"group", result.group},
                     {"name", result.name},
                     {"verdict", verdict},
                     {"text", result.text},
                     {"seconds", result.seconds}});
  }
  const nlohmann::json whole = {{"passed", report.passed},
                                {"failed", report.failed},
                                {"skipped", report.skipped},
                                {"cases", cases}};
  return whole.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace pairfs::posix
