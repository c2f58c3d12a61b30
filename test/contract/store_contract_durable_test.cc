#include <doctest/doctest.h>

#include "test/contract/durable_worlds.h"
#include "test/contract/store_contract.h"

namespace pairfs::test {
namespace {

std::unique_ptr<StoreWorld> on_directories() { return std::make_unique<DirectoryWorld>(1, 2); }
MakeWorld simulated(uint8_t level, size_t elements) {
  return [=, seed = uint64_t{0}]() mutable {
    return std::make_unique<SimulatedWorld>(level, elements, ++seed);
  };
}

struct Shape {
  uint8_t level;
  size_t elements;
};
constexpr Shape kShapes[] = {{1, 2}, {0, 3}, {5, 3}, {5, 4}, {6, 5}, {10, 4}};

}  // namespace

TEST_CASE("A store on directories behaves like the model through random histories") {
  check_random_histories(on_directories, 2, 400);
}
TEST_CASE("A store on directories gives the same answers while a consistency point is made") {
  check_reads_during_checkpoint(on_directories);
}
TEST_CASE("A store on disks that lose power behaves like the model through random histories") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    check_random_histories(simulated(shape.level, shape.elements), 6, 500);
  }
}
TEST_CASE("A failed consistency point of a store on disks changes nothing") {
  check_failed_checkpoint_changes_nothing(simulated(1, 2));
}
TEST_CASE("A deposed executor's store does no harm to its successor") {
  check_deposed_store_does_no_harm(on_directories);
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    check_deposed_store_does_no_harm(simulated(shape.level, shape.elements));
  }
}

}  // namespace pairfs::test
