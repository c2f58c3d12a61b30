#include "test/posix/suite/check.h"

#include <cstring>

namespace pairfs::posix {

std::string errno_name(int number) {
  const char* name = strerrorname_np(number);
  return name != nullptr ? name : "errno " + std::to_string(number);
}

void fail(const char* file, int line, const std::string& text) {
  const char* slash = std::strrchr(file, '/');
  throw CaseFailed(std::string(slash != nullptr ? slash + 1 : file) + ":" + std::to_string(line) +
                   ": " + text);
}

void skip(const std::string& reason) { throw CaseSkipped(reason); }

void fails(const char* file, int line, const char* call, int wanted, long result, int got) {
  if (result != -1) {
    fail(file, line,
         std::string(call) + ": expected " + errno_name(wanted) + ", but it succeeded with " +
             std::to_string(result));
  }
  if (got != wanted) {
    fail(file, line,
         std::string(call) + ": expected " + errno_name(wanted) + ", got " + errno_name(got));
  }
}

}  // namespace pairfs::posix
