#include "common/test_switch.h"

namespace pairfs::test_switch {

Mutant mutant = Mutant::none;
uint64_t reached[static_cast<int>(Reached::kCount)];

}  // namespace pairfs::test_switch
