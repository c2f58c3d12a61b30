// A drill's timeline: the nodes' history of role changes since a moment, in milliseconds. One
// thread.
#pragma once

#include "cli/events.h"

namespace pairfs::cli {

int64_t wall_clock_ns();  // CLOCK_REALTIME

// What became of the volume since `since_ns`, until its first answer at the node `taker`, in the
// order of time: a list of {at_ms, step, what, node}. `step` is one of handing_over, detected,
// drained, swapped, opened, replayed, serving, first_answer; other changes are left out.
nlohmann::ordered_json timeline_of(const Picture& picture, VolumeId volume,
                                   const std::string& taker, int64_t since_ns);

}  // namespace pairfs::cli
