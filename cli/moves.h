// Planned changes of who executes: what is to move for a wish about a node, and asking for it. One
// thread.
#pragma once

#include <string>
#include <vector>

#include "cli/gather.h"

namespace pairfs::cli {

struct Move {
  VolumeId volume;
  std::string from, to;  // node names
};

// With `back`, the node's home volumes that its partner executes; else all that it executes itself.
std::vector<Move> moves_for(const Picture& picture, const std::string& node, bool back);

// Asks the executor to hand the volume over, or with `check` only whether it could.
Trouble ask_hand_over(const Picture& picture, const Move& move, bool check);

// Whether the node that the volume moves to serves it, as the picture has it.
bool has_moved(const Picture& picture, const Move& move);

}  // namespace pairfs::cli
