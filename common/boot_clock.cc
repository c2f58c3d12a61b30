#include <time.h>

#include "common/ensure.h"
#include "common/map_store.h"

namespace pairfs {

Instant boot_now() {
  timespec now{};
  ENSURE(::clock_gettime(CLOCK_BOOTTIME, &now) == 0, "clock_gettime");
  return Instant(std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec));
}

}  // namespace pairfs
