#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <cstdlib>

#include "common/logging.h"

// The injected faults are logged as what they are; that is noise here.
int main(int count, char** arguments) {
  pairfs::silence_logging(std::getenv("PAIRFS_TEST_LOG") == nullptr);
  return doctest::Context(count, arguments).run();
}
