// The main of every doctest executable. The product's log lines are off unless PAIRFS_TEST_LOG is
// set, as many tests provoke warnings.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <spdlog/spdlog.h>

#include <cstdlib>

int main(int argc, char** argv) {
  spdlog::set_level(std::getenv("PAIRFS_TEST_LOG") != nullptr ? spdlog::level::debug
                                                              : spdlog::level::off);
  return doctest::Context(argc, argv).run();
}
