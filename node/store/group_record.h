// What the logs keep about the elements of a volume: who they are, how each is, how far a rebuild
// or a scrub has come. The newest one, by `change`, is in the newest consistency point's token or
// in a later ElementsChanged record. Format: docs/storage_format.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/types.h"

namespace pairfs {

enum class MemberState : uint8_t {
  kOk = 0,
  kMissing = 1,     // it cannot be reached; it is looked for
  kFailed = 2,      // it gave errors, or an operator said so: not used until it is replaced
  kRebuilding = 3,  // it gets what is written, and what it lacks
  kStale = 4,       // it is there, but missed something
};
const char* to_string(MemberState state);

struct ElementName {
  std::string id, path, reach;
  friend bool operator==(const ElementName&, const ElementName&) = default;
};

enum class ScrubState : uint8_t { kIdle = 0, kRunning = 1, kPaused = 2 };

struct GroupRecord {
  struct Member {
    ElementName name;
    MemberState state = MemberState::kOk;
    uint64_t rebuilt_to = 0;  // segments before this one are whole
  };
  uint64_t change = 0;  // counts changes; 0: nothing was ever recorded
  std::vector<Member> members;
  std::vector<ElementName> spares;
  ScrubState scrub = ScrubState::kIdle;
  uint64_t scrubbed_to = 0;  // segments before this one were checked
};
Bytes encode_group_record(const GroupRecord& record);
// nullopt: damaged, or of another version.
std::optional<GroupRecord> decode_group_record(BytesView bytes);

}  // namespace pairfs
