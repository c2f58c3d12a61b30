// Volumes and who executes them, for commands that ask executors. One thread.
#pragma once

#include "cli/gather.h"
#include "cli/problem.h"

namespace pairfs::cli {

struct VolumeAt {
  std::string id;  // "1.0"
  VolumeId volume;
  std::string executor;  // node; empty: nobody
};

// The volume of that id, or all of them when `id` is empty. Refused: no such volume; failed: no
// map.
Outcome<std::vector<VolumeAt>> executors_of(const Picture& picture, const std::string& id);
// What its executor says of the volume's RAID group; null when it says nothing.
nlohmann::json raid_of(const Picture& picture, const VolumeAt& volume);
// Asks the volume's executor, also a new one after a takeover, to change elements.
Trouble ask_executor(const Reach& reach, const std::string& volume, nlohmann::json arguments,
                     const std::string& verb = "elements", nlohmann::json* answer = nullptr,
                     Duration limit = std::chrono::seconds(10));
// "1.0-e2: 12 of 80 MiB, 14 MiB/s, 5 s left".
std::string progress_text(const nlohmann::json& progress);

}  // namespace pairfs::cli
