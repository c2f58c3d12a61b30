// pairfs selftest: checks a mounted filesystem from the outside, pairfs or any other, with the
// cases of test/posix. It works in a directory of its own, which it removes again.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/commands.h"
#include "cli/files.h"
#include "test/posix/suite/runner.h"

namespace pairfs::cli {
namespace {

struct SelftestRequest {
  posix::RunOptions options;
  bool json = false, list = false;
};

// What a FUSE server is not asked about: the README says so.
const char* const kKnownLimits[] = {"special: permissions and owner of special files",
                                    "where hard links are protected"};

const char* section_of(const std::string& group) {
  if (group == "two mounts") return "coherence of two mounts";
  if (group == "lock" || group == "waiting lock") return "locks";
  if (group == "integrity") return "data integrity";
  return "POSIX behaviour";
}
const char* const kSections[] = {"POSIX behaviour", "locks", "coherence of two mounts",
                                 "data integrity"};

Trouble check_directory(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return refused("{}: {}; name a directory on the filesystem to test", path,
                   std::strerror(errno));
  if (!S_ISDIR(status.st_mode)) return refused("{} is not a directory", path);
  if (::access(path.c_str(), W_OK | X_OK) != 0)
    return refused("{} cannot be written to: {}", path, std::strerror(errno));
  return std::nullopt;
}

// What is made in one must be seen in the other.
Trouble check_second(const std::string& path, const std::string& second) {
  if (Trouble trouble = check_directory(second)) return trouble;
  const std::string name = fmt::format("/.pairfs-selftest-{}", ::getpid());
  if (::mkdir((path + name).c_str(), 0700) != 0)
    return refused("{} cannot be written to: {}", path, std::strerror(errno));
  bool seen = false;
  for (int i = 0; i < 100 && !seen; ++i) {
    struct stat status {};
    seen = ::lstat((second + name).c_str(), &status) == 0;
    if (!seen) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ::rmdir((path + name).c_str());
  if (seen) return std::nullopt;
  return refused(
      "{} does not show what is made in {}; name the same directory through another mount", second,
      path);
}

struct Count {
  int passed = 0, failed = 0, skipped = 0;
};

std::map<std::string, Count> count_sections(const posix::Report& report) {
  std::map<std::string, Count> counts;
  for (const posix::CaseResult& result : report.results) {
    Count& count = counts[section_of(result.group)];
    if (result.verdict == posix::Verdict::passed) ++count.passed;
    if (result.verdict == posix::Verdict::failed) ++count.failed;
    if (result.verdict == posix::Verdict::skipped) ++count.skipped;
  }
  return counts;
}

void print_json(const SelftestRequest& request, const posix::Report& report, double seconds) {
  nlohmann::json whole = nlohmann::json::parse(report_json(report));
  whole["path"] = request.options.dir;
  whole["second"] = request.options.second;
  whole["seconds"] = seconds;
  for (const auto& [section, count] : count_sections(report))
    whole["sections"][section] = {
        {"passed", count.passed}, {"failed", count.failed}, {"skipped", count.skipped}};
  say(whole.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

void print_text(const SelftestRequest& request, const posix::Report& report, double seconds) {
  const auto list = [&](posix::Verdict verdict, const char* title) {
    bool first = true;
    for (const posix::CaseResult& result : report.results) {
      if (result.verdict != verdict) continue;
      if (std::exchange(first, false)) say(fmt::format("\n{}:", title));
      say(fmt::format("  {}: {}\n      {}", result.group, result.name, result.text));
    }
  };
  list(posix::Verdict::skipped, "Skipped");
  list(posix::Verdict::failed, "Failed");
  say("");
  const auto counts = count_sections(report);
  for (const char* section : kSections) {
    const auto at = counts.find(section);
    if (at == counts.end()) continue;
    say(fmt::format("{:<26}{:>4} passed{:>4} failed{:>4} skipped", section, at->second.passed,
                    at->second.failed, at->second.skipped));
  }
  say(fmt::format("\n{} {} in {:.0f} s", request.options.dir,
                  report.failed == 0 ? "passed everything that could be tried"
                                     : "is not what it should be: see what failed above",
                  seconds));
}

int selftest(SelftestRequest& request) {
  posix::RunOptions& options = request.options;
  const std::vector<posix::Case> cases = posix::all_cases();
  if (request.list) {
    for (const posix::Case& one : cases)
      if (selected(options, one)) say(fmt::format("{}: {}", one.group, one.name));
    return kExitFine;
  }
  if (options.dir.empty()) return report(refused("name a directory to test: pairfs selftest PATH"));
  if (Trouble trouble = check_directory(options.dir)) return report(*trouble);
  if (!options.second.empty())
    if (Trouble trouble = check_second(options.dir, options.second)) return report(*trouble);
  struct statvfs space {};
  constexpr uint64_t kNeededBytes = 256 << 20;
  if (::statvfs(options.dir.c_str(), &space) == 0 &&
      uint64_t{space.f_bavail} * space.f_frsize < kNeededBytes)
    return report(refused("{} has less than 256 MiB free, which the test needs", options.dir));
  for (const char* limit : kKnownLimits) options.without.push_back(limit);
  const auto begin = std::chrono::steady_clock::now();
  try {
    const posix::Report outcome = run_suite(options, cases, request.json ? stderr : stdout);
    if (outcome.results.empty())
      return report(refused("no case is selected; pairfs selftest --list names them"));
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    if (request.json)
      print_json(request, outcome, seconds);
    else
      print_text(request, outcome, seconds);
    return outcome.failed == 0 ? kExitFine : kExitFailed;
  } catch (const std::exception& error) {  // of the suite, which cannot make its directory
    return report(refused("{}", error.what()));
  }
}

}  // namespace

void add_selftest(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("selftest", "Check a mounted filesystem");
  auto request = std::make_shared<SelftestRequest>();
  posix::RunOptions& options = request->options;
  command->add_option("PATH", options.dir, "A directory on it, in which it makes one of its own");
  command->add_option("--second", options.second, "The same directory through a second mount")
      ->type_name("PATH");
  command->add_flag("--json", request->json, "The report as JSON; progress on stderr");
  command->add_option("--filter", options.filters, "Only cases whose \"group: name\" contains this")
      ->type_name("TEXT")
      ->allow_extra_args(false);
  command->add_flag("--strict", options.strict, "What is not supported is a failure, not skipped");
  command->add_flag("--keep", options.keep, "Leave the files of failed cases behind");
  command->add_option("--timeout-factor", options.timeout_factor, "Multiplies every time limit")
      ->check(CLI::Range(1, 1000));
  command->add_flag("--list", request->list, "Print the names of the cases and stop");
  command->footer(
      "Checks POSIX behaviour, locks, data integrity and, with --second, the coherence of two "
      "mounts.\n"
      "As root it tries everything; as another user what needs root is skipped.\n"
      "Exit codes: 0 all passed, 1 something failed, 2 wrong usage.\n\n"
      "Examples:\n"
      "  pairfs selftest /mnt/files\n"
      "  pairfs selftest /mnt/a --second /mnt/b --json\n"
      "  pairfs selftest /mnt/files --filter integrity");
  command->callback([=, &exit_code] { exit_code = selftest(*request); });
}

}  // namespace pairfs::cli
