// How every subcommand speaks: say() and report() of commands.h.
#include <cstdio>

#include "cli/commands.h"

namespace pairfs::cli {

int report(const Problem& problem) {
  fmt::print(stderr, "pairfs: {}\n", problem.sentence);
  return problem.exit_code;
}

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

}  // namespace pairfs::cli
