// Where a command is executed: on the volume of this slice. The client writes it into the message
// header, the router maps it to a volume, the executor checks it. A command that names two inodes
// goes to the parent directory that gains a name.
#pragma once

#include "common/commands.h"

namespace pairfs {

// Slots carry the volume that the client counts them for, so that a request keeps its id when its
// slice moves to a volume on which the session uses slots as well.
constexpr uint32_t make_slot(VolumeId volume, uint32_t slot) {
  return uint32_t{volume.pair} << 16 | (uint32_t{volume.index} & 0xff) << 8 | slot;
}
constexpr uint32_t slot_index(uint32_t slot) { return slot & 0xff; }

template <class C>
Slice slice_of(const C& command) {
  if constexpr (requires { command.new_parent; }) {
    return command.new_parent.slice();
  } else if constexpr (requires { command.parent; }) {
    return command.parent.slice();
  } else if constexpr (requires { command.inode; }) {
    return command.inode.slice();
  } else if constexpr (requires { command.slice; }) {
    return command.slice;
  } else {
    return 0;  // nodes only: they name the volume itself
  }
}

// The volume that a command between nodes names itself; 0.0: it goes to whoever has its slice.
template <class C>
VolumeId volume_of(const C& command) {
  if constexpr (requires { command.volume; })
    return command.volume;
  else
    return {};
}

}  // namespace pairfs
