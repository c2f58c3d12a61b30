// Where a command is executed: on the volume of this slice. The client writes it into the message
// header, the router maps it to a volume, the executor checks it. A command that names two inodes
// goes to the parent directory that gains a name.
#pragma once

#include "common/commands.h"

namespace pairfs {

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

}  // namespace pairfs
