// The main of every doctest executable. The product's log lines are off unless PAIRFS_TEST_LOG is
// set, as many tests provoke warnings.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>

#include "common/logging.h"

int main(int argc, char** argv) {
  pairfs::silence_logging(std::getenv("PAIRFS_TEST_LOG") == nullptr);
  return doctest::Context(argc, argv).run();
}
