// The cases of the POSIX suite and the world that each one runs in.
//
// Owns: the types Context, Case and CaseList, and the explicit list of all cases. A case gets a
// fresh, empty directory of its own, runs in a process of its own (so it may change credentials,
// limits, signals and its working directory), and is removed with its directory afterwards.
// The suite knows nothing of pairfs: any directory of any filesystem will do.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "test/posix/suite/actor.h"
#include "test/posix/suite/check.h"
#include "test/posix/suite/files.h"

namespace pairfs::posix {

// What a running case knows about where it runs.
class Context {
 public:
  Context(Path here, std::string there, bool strict)
      : here_(std::move(here)), there_(std::move(there)), strict_(strict) {}

  // A name in the case's own directory.
  Path operator/(std::string_view name) const { return here_ / name; }
  const Path& dir() const { return here_; }
  // The same directory through the second mount; skips the case if there is none.
  Path there() const;

  // Skips the case unless it runs as root.
  void need_root() const;
  // The filesystem cannot do what the case is about: skipped, or failed with --strict.
  [[noreturn]] void unsupported(const std::string& what) const;
  // statfs says FUSE.
  bool is_fuse() const;

 private:
  Path here_;
  std::string there_;  // empty without a second mount
  bool strict_;
};

struct Case {
  std::string group;  // the file it is in, e.g. "rename"
  std::string name;   // a sentence
  std::function<void(Context&)> run;
  int timeout_s = 60;
};

// Collects the cases of one group.
class CaseList {
 public:
  void group(std::string name) { group_ = std::move(name); }
  void add(std::string name, std::function<void(Context&)> run, int timeout_s = 60) {
    cases_.push_back({group_, std::move(name), std::move(run), timeout_s});
  }
  const std::vector<Case>& cases() const { return cases_; }

 private:
  std::string group_;
  std::vector<Case> cases_;
};

// Every case there is, in the order in which they run.
std::vector<Case> all_cases();

}  // namespace pairfs::posix
