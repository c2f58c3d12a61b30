// The commands that begin and end a session on a volume: op codes 80 and 81.
#pragma once

#include "common/commands/replies.h"

namespace pairfs {

struct OpenSession {
  static constexpr uint16_t kOp = 80;
  static constexpr const char* kName = "OpenSession";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  Slice slice = 0;
  CappedBytes<256> host;
  CappedBytes<4096> mount;
  Resolved resolved;
  template <class A>
  void serialize(A& ar) {
    ar(slice, host, mount, resolved);
  }
};
// Ends the session on the volume: its locks go, its orphans are freed.
struct CloseSession {
  static constexpr uint16_t kOp = 81;
  static constexpr const char* kName = "CloseSession";
  static constexpr Kind kKind = Kind::kMutation;
  using Reply = Empty;
  Slice slice = 0;
  template <class A>
  void serialize(A& ar) {
    ar(slice);
  }
};

}  // namespace pairfs
