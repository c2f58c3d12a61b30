// How much room volumes have whose elements may share filesystems with each other, as all those of
// a cluster on one machine do: each filesystem's room is counted once. Arithmetic only.
#pragma once

#include <vector>

#include "common/capped.h"

namespace pairfs {

// A filesystem that elements of a volume lie on.
struct FilesystemShare {
  uint64_t id = 0;        // equal: the same filesystem, whoever says it
  uint32_t elements = 0;  // of the volume
  uint64_t available_bytes = 0;
  template <class A>
  void serialize(A& ar) {
    ar(id, elements, available_bytes);
  }
};

struct VolumeSpace {
  uint64_t used_bytes = 0;      // by what it keeps: usable bytes, without copies and parity
  uint64_t withheld_bytes = 0;  // usable bytes that are available, but promised or kept back
  uint64_t garbage_bytes = 0;   // usable bytes that the cleaner will make available
  uint32_t data_columns = 0;    // as many elements' bytes are usable
  CappedList<FilesystemShare, 64> filesystems;
  template <class A>
  void serialize(A& ar) {
    ar(used_bytes, withheld_bytes, garbage_bytes, data_columns, filesystems);
  }
};

struct SpaceSum {
  uint64_t used_bytes = 0;
  uint64_t available_bytes = 0;
  // Grows and shrinks with what others keep on the same filesystems.
  uint64_t capacity_bytes() const { return used_bytes + available_bytes; }
};
// Each volume gets of a filesystem what its share of the elements there is.
SpaceSum sum_space(const std::vector<VolumeSpace>& volumes);

}  // namespace pairfs
