#include "node/store/group_record.h"

#include "node/store/fields.h"

namespace pairfs {
namespace {

constexpr uint8_t kVersion = 1;
constexpr size_t kMembersMax = 64;

void put_name(Bytes* out, const ElementName& name) {
  for (const std::string* text : {&name.id, &name.path, &name.reach}) {
    put_little(out, static_cast<uint16_t>(text->size()));
    *out += *text;
  }
}

ElementName take_name(FieldReader* fields) {
  ElementName name;
  for (std::string* text : {&name.id, &name.path, &name.reach}) {
    *text = fields->take(fields->little<uint16_t>());
  }
  return name;
}

}  // namespace

const char* to_string(MemberState state) {
  switch (state) {
    case MemberState::kOk:
      return "ok";
    case MemberState::kMissing:
      return "missing";
    case MemberState::kFailed:
      return "failed";
    case MemberState::kRebuilding:
      return "rebuilding";
    case MemberState::kStale:
      return "stale";
  }
  return "failed";
}

Bytes encode_group_record(const GroupRecord& record) {
  Bytes out;
  put_little(&out, kVersion);
  put_little(&out, record.change);
  put_little(&out, static_cast<uint8_t>(record.members.size()));
  for (const GroupRecord::Member& member : record.members) {
    put_name(&out, member.name);
    put_little(&out, static_cast<uint8_t>(member.state));
    put_little(&out, member.rebuilt_to);
  }
  put_little(&out, static_cast<uint8_t>(record.spares.size()));
  for (const ElementName& spare : record.spares) put_name(&out, spare);
  put_little(&out, static_cast<uint8_t>(record.scrub));
  put_little(&out, record.scrubbed_to);
  return out;
}

std::optional<GroupRecord> decode_group_record(BytesView bytes) {
  FieldReader fields(bytes);
  if (fields.little<uint8_t>() != kVersion) return std::nullopt;
  GroupRecord record;
  record.change = fields.little<uint64_t>();
  const size_t members = fields.little<uint8_t>();
  if (members > kMembersMax) return std::nullopt;
  for (size_t i = 0; i < members; ++i) {
    GroupRecord::Member member;
    member.name = take_name(&fields);
    const auto state = fields.little<uint8_t>();
    if (state > static_cast<uint8_t>(MemberState::kStale)) return std::nullopt;
    member.state = static_cast<MemberState>(state);
    member.rebuilt_to = fields.little<uint64_t>();
    record.members.push_back(std::move(member));
  }
  const size_t spares = fields.little<uint8_t>();
  if (spares > kMembersMax) return std::nullopt;
  for (size_t i = 0; i < spares; ++i) record.spares.push_back(take_name(&fields));
  const auto scrub = fields.little<uint8_t>();
  if (scrub > static_cast<uint8_t>(ScrubState::kPaused)) return std::nullopt;
  record.scrub = static_cast<ScrubState>(scrub);
  record.scrubbed_to = fields.little<uint64_t>();
  if (!fields.at_end()) return std::nullopt;
  return record;
}

}  // namespace pairfs
