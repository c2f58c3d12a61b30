// pairfs-posix-suite: runs the POSIX cases on a directory of any mounted filesystem.
// Exit code: 0 all passed, 1 some failed, 2 wrong usage.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "test/posix/suite/runner.h"

int main(int argc, char** argv) {
  using namespace pairfs::posix;
  CLI::App app{"Runs many small POSIX cases on a directory, each in a fresh subdirectory"};
  app.footer(
      "Examples:\n"
      "  pairfs-posix-suite /mnt/pairfs\n"
      "  pairfs-posix-suite /mnt/a --second /mnt/b --filter 'rename:'\n"
      "  pairfs-posix-suite --list");
  RunOptions options;
  bool list = false;
  bool json = false;
  app.add_option("dir", options.dir, "a directory on the filesystem under test");
  app.add_option("--second", options.second, "the same directory through a second mount");
  app.add_option("--filter", options.filters, "only cases whose 'group: name' contains this")
      ->allow_extra_args(false);
  app.add_option("--without", options.without, "leave out cases whose 'group: name' contains this")
      ->allow_extra_args(false);
  app.add_option("--timeout-factor", options.timeout_factor, "multiplies every time limit")
      ->check(CLI::Range(1, 1000));
  app.add_flag("--strict", options.strict, "what the filesystem does not support is a failure");
  app.add_flag("--keep", options.keep, "leave the directories of failed cases behind");
  app.add_flag("--list", list, "print the names of the cases and stop");
  app.add_flag("--json", json, "print the results as JSON");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  const std::vector<Case> cases = all_cases();
  if (list) {
    for (const Case& one : cases) {
      if (selected(options, one)) std::printf("%s: %s\n", one.group.c_str(), one.name.c_str());
    }
    return 0;
  }
  if (options.dir.empty()) {
    std::fprintf(stderr, "pairfs-posix-suite: give a directory to test, or --list\n");
    return 2;
  }
  try {
    const Report report = run_suite(options, cases, json ? nullptr : stdout);
    if (json) std::printf("%s\n", report_json(report).c_str());
    if (!json) {
      for (const CaseResult& result : report.results) {
        if (result.verdict != Verdict::failed) continue;
        std::printf("failed: %s: %s\n", result.group.c_str(), result.name.c_str());
      }
      std::printf("%d passed, %d failed, %d skipped\n", report.passed, report.failed,
                  report.skipped);
    }
    return report.failed == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pairfs-posix-suite: %s\n", error.what());
    return 2;
  }
}
