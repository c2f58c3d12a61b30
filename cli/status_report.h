// The status of a cluster, from what was gathered: as JSON, as a page for people, and as a verdict.
// No I/O, except that the elements of a volume without executor are looked for on this machine.
// Any thread.
#pragma once

#include "cli/gather.h"

namespace pairfs::cli {

// The shape that docs/operating.md describes. Later versions add fields and rename none.
nlohmann::ordered_json report_json(const Picture& picture);

// For people, from the JSON above. Ends with a newline.
std::string report_text(const nlohmann::ordered_json& report);

// True when every router and node is up, every volume paired, every RAID group optimal.
bool is_healthy(const nlohmann::ordered_json& report);

}  // namespace pairfs::cli
