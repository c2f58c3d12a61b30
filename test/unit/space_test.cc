#include <doctest/doctest.h>

#include "common/space.h"

namespace pairfs {
namespace {

constexpr uint64_t kMib = 1 << 20;

VolumeSpace on(std::vector<FilesystemShare> filesystems, uint32_t data_columns, uint64_t used = 0,
               uint64_t withheld = 0) {
  VolumeSpace space;
  space.used_bytes = used;
  space.withheld_bytes = withheld;
  space.data_columns = data_columns;
  space.filesystems = std::move(filesystems);
  return space;
}

}  // namespace

TEST_CASE("Volumes on one filesystem count its room once") {
  const VolumeSpace volume = on({{7, 4, 400 * kMib}}, 3, 10 * kMib);
  CHECK(sum_space({volume}).available_bytes == 300 * kMib);
  const SpaceSum both = sum_space({volume, volume, volume, volume});
  CHECK(both.available_bytes == 300 * kMib);
  CHECK(both.used_bytes == 40 * kMib);
  CHECK(both.capacity_bytes() == 340 * kMib);
}

TEST_CASE("Elements on disks of their own: the smallest says how much fits") {
  const VolumeSpace even = on({{1, 1, 100 * kMib}, {2, 1, 100 * kMib}, {3, 1, 100 * kMib}}, 2);
  CHECK(sum_space({even}).available_bytes == 200 * kMib);
  const VolumeSpace uneven = on({{1, 1, 100 * kMib}, {2, 1, 30 * kMib}, {3, 1, 100 * kMib}}, 2);
  CHECK(sum_space({uneven}).available_bytes == 60 * kMib);
  const VolumeSpace elsewhere = on({{4, 1, 50 * kMib}}, 1);
  CHECK(sum_space({even, elsewhere}).available_bytes == 250 * kMib);
}

TEST_CASE("What is promised is not available, garbage will be, and nothing is less than nothing") {
  VolumeSpace volume = on({{1, 2, 100 * kMib}}, 1, 0, 20 * kMib);
  CHECK(sum_space({volume}).available_bytes == 30 * kMib);
  volume.withheld_bytes = 90 * kMib;
  CHECK(sum_space({volume}).available_bytes == 0);
  volume.garbage_bytes = 5 * kMib;
  CHECK(sum_space({volume}).available_bytes == 5 * kMib);
  CHECK(sum_space({}).capacity_bytes() == 0);
  CHECK(sum_space({on({}, 3)}).available_bytes == 0);
}

}  // namespace pairfs
