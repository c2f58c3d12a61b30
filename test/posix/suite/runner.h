// Runs cases one after the other and reports.
//
// Owns: the directories and processes of the running case. Each case runs in a forked process
// (its own process group) with a time limit, so a crash or a hang is that case's failure only.
#pragma once

#include <cstdio>
#include <string>
#include <vector>

#include "test/posix/suite/suite.h"

namespace pairfs::posix {

struct RunOptions {
  std::string dir;                   // an existing directory on the filesystem under test
  std::string second;                // the same directory through a second mount, or empty
  std::vector<std::string> filters;  // run cases whose "group: name" contains one; all if empty
  std::vector<std::string> without;  // leave out cases whose "group: name" contains one
  bool strict = false;               // what the filesystem does not support is a failure
  bool keep = false;                 // leave the directories of failed cases behind
  int timeout_factor = 1;            // multiplies every case's time limit
};

enum class Verdict { passed, failed, skipped };

struct CaseResult {
  std::string group;
  std::string name;
  Verdict verdict = Verdict::passed;
  std::string text;  // why failed or skipped
  double seconds = 0;
};

struct Report {
  std::vector<CaseResult> results;
  int passed = 0;
  int failed = 0;
  int skipped = 0;
};

// True if the options select this case.
bool selected(const RunOptions& options, const Case& one);

// Runs the selected cases; writes one line per case to `progress` unless it is null.
// Throws std::runtime_error if `options.dir` cannot be written to.
Report run_suite(const RunOptions& options, const std::vector<Case>& cases, std::FILE* progress);

// {"passed", "failed", "skipped", "cases": [{"group", "name", "verdict", "text", "seconds"}]}
std::string report_json(const Report& report);

}  // namespace pairfs::posix
