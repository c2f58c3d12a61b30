// What daemons say to each other beside commands: the map store's requests, status, and admin
// requests. Op codes share one number space with the commands (common/commands.h).
#pragma once

#include "common/cluster_map.h"
#include "common/commands.h"

namespace pairfs {

// ---- map store -----------------------------------------------------------------------------
// Asks for the whole map. With wait_ms > 0 the answer waits until the map's version is above
// known_version, or for that long.
struct MapEntry {
  ShortText key;
  uint64_t version = 0;  // of this record: 1 at its creation
  CappedBytes<1 << 22> value;
  template <class A>
  void serialize(A& ar) {
    ar(key, version, value);
  }
};
struct MapRead {
  static constexpr uint16_t kOp = 200;
  uint64_t known_version = 0;
  uint32_t wait_ms = 0;
  template <class A>
  void serialize(A& ar) {
    ar(known_version, wait_ms);
  }
};
struct MapReadReply {
  uint64_t map_version = 0;  // of all records together; entries is empty when it is the known one
  CappedList<MapEntry, 65536> entries;
  template <class A>
  void serialize(A& ar) {
    ar(map_version, entries);
  }
};
// Sets `key` when its version is expected_version (0 = must be absent).
struct MapSwap {
  static constexpr uint16_t kOp = 201;
  ShortText key;
  uint64_t expected_version = 0;
  CappedBytes<1 << 22> value;
  template <class A>
  void serialize(A& ar) {
    ar(key, expected_version, value);
  }
};
struct MapSwapReply {
  bool swapped = false;
  uint64_t map_version = 0;
  MapEntry current;  // as it is now, whoever made it so
  template <class A>
  void serialize(A& ar) {
    ar(swapped, map_version, current);
  }
};

// ---- status and admin: JSON text, since only people and scripts read it ----------------------
struct NodeStatus {  // asks a node or router how it is; answered with AdminReply
  static constexpr uint16_t kOp = 210;
  template <class A>
  void serialize(A&) {}
};
struct RouterStatus {
  static constexpr uint16_t kOp = 211;
  template <class A>
  void serialize(A&) {}
};
struct AdminRequest {
  static constexpr uint16_t kOp = 212;
  ShortText verb;                  // "takeover", "giveback", "sync" ...
  CappedBytes<1 << 20> arguments;  // a JSON object
  template <class A>
  void serialize(A& ar) {
    ar(verb, arguments);
  }
};
struct AdminReply {
  bool ok = false;
  CappedBytes<1 << 24> json;  // an object; {"error": "..."} when not ok
  template <class A>
  void serialize(A& ar) {
    ar(ok, json);
  }
};

// ---- told to clients unasked; may be lost, and is told again --------------------------------
// An executor wants leases back: each number is answered by one GiveBack. Goes by way of a router
// to the session in the header, from the volume and epoch in the header.
struct Recall {
  static constexpr uint16_t kOp = 230;
  CappedList<uint64_t, 4096> numbers;
  CappedList<uint64_t, 4096> inode_ids;  // beside each number; 0: all that an earlier epoch granted
  template <class A>
  void serialize(A& ar) {
    ar(numbers, inode_ids);
  }
};
// A router learned that another executor serves the header's volume since the header's epoch.
struct EpochNotice {
  static constexpr uint16_t kOp = 231;
  template <class A>
  void serialize(A&) {}
};

// ---- partner link: raw bodies, see node/pair/link_messages.h ---------------------------------
inline constexpr uint16_t kLinkOp = 220;

}  // namespace pairfs
