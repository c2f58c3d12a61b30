#include "common/header.h"

#include <cstring>

#include "common/crc32c.h"

namespace pairfs {
namespace {

// Offsets of the fields in the header's bytes.
enum Offset : size_t {
  kLengthAt = 0,
  kVersionAt = 2,
  kCrcAt = 4,  // crc32c of the header with this field zero, then the body
  kOpAt = 8,
  kFlagsAt = 10,
  kStatusAt = 12,
  kSliceAt = 14,
  kVolumeAt = 16,
  kErrorAt = 20,
  kClusterAt = 24,
  kEpochAt = 32,
  kSenderAt = 40,
  kReceiverAt = 48,
  kSessionAt = 56,
  kSlotAt = 64,
  kBodyLengthAt = 68,
  kSequenceAt = 72,
  kTraceAt = 80,
  kBulkLengthAt = 88,
  kBulkCrcAt = 92,
  kLeaseAt = 96,
  kGrantsAt = 100,
  kChangedAt = 104,
  // 120..127 reserved, zero
};

template <class T>
void put(char* at, T value) {
  std::memcpy(at, &value, sizeof value);  // this project runs on little-endian machines only
}
template <class T>
T get(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

std::array<char, kHeaderBytes> MessageHeader::encode(BytesView body) const {
  std::array<char, kHeaderBytes> out{};
  char* p = out.data();
  put<uint16_t>(p + kLengthAt, kHeaderBytes);
  put<uint16_t>(p + kVersionAt, kProtocolVersion);
  put<uint16_t>(p + kOpAt, op);
  put<uint16_t>(p + kFlagsAt, flags);
  put<uint16_t>(p + kStatusAt, static_cast<uint16_t>(status));
  put<uint16_t>(p + kSliceAt, slice);
  put<uint32_t>(p + kVolumeAt, volume.packed());
  put<int32_t>(p + kErrorAt, error);
  put<uint64_t>(p + kClusterAt, cluster_id);
  put<uint64_t>(p + kEpochAt, epoch);
  put<uint64_t>(p + kSenderAt, sender);
  put<uint64_t>(p + kReceiverAt, receiver);
  put<uint64_t>(p + kSessionAt, request.session);
  put<uint32_t>(p + kSlotAt, request.slot);
  put<uint32_t>(p + kBodyLengthAt, static_cast<uint32_t>(body.size()));
  put<uint64_t>(p + kSequenceAt, request.sequence);
  put<uint64_t>(p + kTraceAt, trace_id);
  put<uint32_t>(p + kBulkLengthAt, bulk_length);
  put<uint32_t>(p + kBulkCrcAt, bulk_crc);
  put<uint32_t>(p + kLeaseAt, lease_ms);
  put<uint32_t>(p + kGrantsAt, lease_grants);
  put<uint64_t>(p + kChangedAt, changed[0]);
  put<uint64_t>(p + kChangedAt + sizeof(uint64_t), changed[1]);
  put<uint32_t>(p + kCrcAt, crc32c(body, crc32c({out.data(), out.size()})));
  return out;
}

const char* to_string(HeaderError error) {
  switch (error) {
    case HeaderError::kTooShort:
      return "too short for a header";
    case HeaderError::kBadLength:
      return "wrong header length";
    case HeaderError::kBadVersion:
      return "unknown protocol version";
    case HeaderError::kBadFlags:
      return "unknown flags";
    case HeaderError::kBadCrc:
      return "wrong crc";
    case HeaderError::kBadBody:
      return "wrong body length";
  }
  return "unknown";
}

std::optional<ParsedHead> parse_head(BytesView frame, HeaderError* error) {
  const auto fail = [&](HeaderError e) {
    if (error != nullptr) *error = e;
    return std::nullopt;
  };
  if (frame.size() < kHeaderBytes) return fail(HeaderError::kTooShort);
  const char* p = frame.data();
  if (get<uint16_t>(p + kLengthAt) != kHeaderBytes) return fail(HeaderError::kBadLength);
  if (get<uint16_t>(p + kVersionAt) != kProtocolVersion) return fail(HeaderError::kBadVersion);
  const BytesView body = frame.substr(kHeaderBytes);
  if (get<uint32_t>(p + kBodyLengthAt) != body.size()) return fail(HeaderError::kBadBody);
  std::array<char, kHeaderBytes> clean;
  std::memcpy(clean.data(), p, kHeaderBytes);
  put<uint32_t>(clean.data() + kCrcAt, 0);
  if (get<uint32_t>(p + kCrcAt) != crc32c(body, crc32c({clean.data(), clean.size()})))
    return fail(HeaderError::kBadCrc);
  ParsedHead out;
  MessageHeader& h = out.header;
  h.op = get<uint16_t>(p + kOpAt);
  h.flags = get<uint16_t>(p + kFlagsAt);
  if ((h.flags & ~kKnownFlags) != 0) return fail(HeaderError::kBadFlags);
  h.status = static_cast<ReplyStatus>(get<uint16_t>(p + kStatusAt));
  h.slice = get<uint16_t>(p + kSliceAt);
  h.volume = VolumeId::unpack(get<uint32_t>(p + kVolumeAt));
  h.error = get<int32_t>(p + kErrorAt);
  h.cluster_id = get<uint64_t>(p + kClusterAt);
  h.epoch = get<uint64_t>(p + kEpochAt);
  h.sender = get<uint64_t>(p + kSenderAt);
  h.receiver = get<uint64_t>(p + kReceiverAt);
  h.request.session = get<uint64_t>(p + kSessionAt);
  h.request.slot = get<uint32_t>(p + kSlotAt);
  h.body_length = get<uint32_t>(p + kBodyLengthAt);
  h.request.sequence = get<uint64_t>(p + kSequenceAt);
  h.trace_id = get<uint64_t>(p + kTraceAt);
  h.bulk_length = get<uint32_t>(p + kBulkLengthAt);
  h.bulk_crc = get<uint32_t>(p + kBulkCrcAt);
  h.lease_ms = get<uint32_t>(p + kLeaseAt);
  h.lease_grants = get<uint32_t>(p + kGrantsAt);
  h.changed[0] = get<uint64_t>(p + kChangedAt);
  h.changed[1] = get<uint64_t>(p + kChangedAt + sizeof(uint64_t));
  if (h.slice >= kSliceCount) return fail(HeaderError::kBadBody);
  out.body = body;
  return out;
}

Bytes make_head(MessageHeader header, BytesView body) {
  const auto head = header.encode(body);
  Bytes out;
  out.reserve(head.size() + body.size());
  out.append(head.data(), head.size());
  out.append(body);
  return out;
}

}  // namespace pairfs
