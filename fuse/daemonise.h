// Going to the background once the work can go on without its starter: the parent process waits,
// and exits when the child has said "ready" (0) or why not (a sentence on stderr, exit code 2).
#pragma once

#include <string>

namespace pairfs {

class StartReport {
 public:
  // With `background` it forks and returns in the child only, in a session of its own. Call before
  // any thread exists.
  explicit StartReport(bool background);
  ~StartReport();  // without a word before: the start failed
  StartReport(const StartReport&) = delete;
  StartReport& operator=(const StartReport&) = delete;

  // In the background, stdin, stdout and stderr are /dev/null from here on.
  void ready();
  void failed(const std::string& sentence);

 private:
  void tell(const std::string& text);
  int fd_ = -1;  // -1: in the foreground, or told
};

}  // namespace pairfs
