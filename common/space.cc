#include "common/space.h"

#include <algorithm>
#include <map>

namespace pairfs {

SpaceSum sum_space(const std::vector<VolumeSpace>& volumes) {
  struct Shared {
    uint64_t elements = 0;
    uint64_t available_bytes = ~0ULL;
  };
  std::map<uint64_t, Shared> filesystems;
  for (const VolumeSpace& volume : volumes) {
    for (const FilesystemShare& share : volume.filesystems) {
      Shared& shared = filesystems[share.id];
      shared.elements += share.elements;
      shared.available_bytes = std::min(shared.available_bytes, share.available_bytes);
    }
  }
  SpaceSum sum;
  uint64_t withheld_bytes = 0;
  for (const VolumeSpace& volume : volumes) {
    sum.used_bytes += volume.used_bytes;
    withheld_bytes += volume.withheld_bytes;
    uint64_t per_element = ~0ULL;  // a stripe needs room on all elements
    for (const FilesystemShare& share : volume.filesystems) {
      const Shared& shared = filesystems[share.id];
      if (share.elements > 0)
        per_element = std::min(per_element, shared.available_bytes / shared.elements);
    }
    if (per_element != ~0ULL) sum.available_bytes += per_element * volume.data_columns;
  }
  sum.available_bytes -= std::min(sum.available_bytes, withheld_bytes);
  for (const VolumeSpace& volume : volumes) sum.available_bytes += volume.garbage_bytes;
  return sum;
}

}  // namespace pairfs
