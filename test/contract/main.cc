#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <cstdlib>
#include <spdlog/spdlog.h>

// The injected faults are logged as what they are; that is noise here.
int main(int count, char** arguments) {
  spdlog::set_level(std::getenv("PAIRFS_TEST_LOG") != nullptr ? spdlog::level::debug : spdlog::level::off);
  return doctest::Context(count, arguments).run();
}
