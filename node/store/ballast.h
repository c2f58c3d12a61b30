// A file on each element that holds nothing. When a disk has become full in spite of the reserve,
// since somebody else filled it, the files go, so that there is room for the consistency point that
// makes deletions count and gives space back. They are made again when there is plenty.
//
// Worker, one at a time, as all that writes to the elements.
#pragma once

#include <vector>

#include "node/store/raid_group.h"

namespace pairfs {

class Ballast {
 public:
  explicit Ballast(RaidGroup& group) : group_(group), known_(group.size()) {}

  // Makes what is missing where there is plenty of room.
  void keep();
  // True when there was any: now there is more room than before.
  bool release();

 private:
  RaidGroup& group_;
  std::vector<Element*> known_;  // elements that have one
};

}  // namespace pairfs
