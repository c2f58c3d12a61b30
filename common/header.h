// The fixed header in front of every message, and its bytes. Little-endian, 128 bytes in version
// 1. A router reads this and nothing else. Byte by byte: docs/protocol.md.
#pragma once

#include <array>
#include <optional>

#include "common/types.h"

namespace pairfs {

inline constexpr uint16_t kProtocolVersion = 1;
inline constexpr size_t kHeaderBytes = 128;

enum HeaderFlag : uint16_t {
  kFlagReply = 1,        // an answer; `status` is valid
  kFlagHasBulkCrc = 2,   // bulk_crc is valid
  kFlagRetry = 4,        // a request sent again
  kFlagWriteBehind = 8,  // of a Write: the session would answer such writes itself (kGrantWriter)
};
inline constexpr uint16_t kKnownFlags =
    kFlagReply | kFlagHasBulkCrc | kFlagRetry | kFlagWriteBehind;

// Of a reply: what became of the request. kOutcome carries the errno in `error`; the rest are not
// outcomes: the command was not executed (or its outcome cannot be told yet).
enum class ReplyStatus : uint16_t {
  kOutcome = 0,         // error == 0: the body is the command's Reply
  kNotExecutor = 1,     // not executed here: read the map again, then retry
  kBusy = 2,            // not executed: retry after a pause
  kUnknownSession = 3,  // EXPIRED: the session is unknown or expired on this volume
  kBadRequest = 4,      // refused as malformed; a programmer's mistake at the sender
};

// What a reply lets the session hold (docs/protocol.md, leases).
enum LeaseGrant : uint32_t {
  kGrantFirst = 1,  // the inode that the command names; of a rename, both directories
  kGrantEntry = 2,  // the inode that the reply's entry, or each listed one with attributes, names
  kGrantFirstAcl = 4,      // the former may have an access ACL
  kGrantEntryAcl = 8,      // one of the latter may
  kLeaseChangesTold = 16,  // of a mutation: `changed` is complete
  // Of a Write: until the lease goes back or ends, nobody else sees or changes the file, and the
  // session may answer its writes of it before they are executed. A Write's answer without it ends
  // that.
  kGrantWriter = 32,
};

// Of one session: bytes that it answered and that are not executed.
inline constexpr uint64_t kWriteBehindBytes = 8 << 20;

struct MessageHeader {
  uint16_t op = 0;
  uint16_t flags = 0;
  ReplyStatus status = ReplyStatus::kOutcome;
  Slice slice = 0;
  VolumeId volume;    // filled by the router
  int32_t error = 0;  // errno of a reply
  uint64_t cluster_id = 0;
  Epoch epoch = 0;  // of the volume, as the sender knows it; filled by the router
  Incarnation sender = 0;
  Incarnation receiver = 0;  // 0: whoever is there
  RequestId request;
  uint64_t trace_id = 0;
  uint32_t body_length = 0;
  uint32_t bulk_length = 0;
  uint32_t bulk_crc = 0;
  // Of a reply:
  uint32_t lease_ms = 0;  // the session's leases on the volume run on for so long; 0: not longer
  uint32_t lease_grants = 0;  // LeaseGrant
  uint64_t changed[2] = {};   // inodes that the command changed and does not name; 0: none

  // The 128 bytes; the crc in them covers header and body.
  std::array<char, kHeaderBytes> encode(BytesView body) const;
};

enum class HeaderError { kTooShort, kBadLength, kBadVersion, kBadFlags, kBadCrc, kBadBody };
const char* to_string(HeaderError error);

struct ParsedHead {
  MessageHeader header;
  BytesView body;  // a view into what was parsed
};
// Takes a head frame (header and body together) apart. Nothing of it may be used on an error.
std::optional<ParsedHead> parse_head(BytesView frame, HeaderError* error);

// Header and body in one frame.
Bytes make_head(MessageHeader header, BytesView body);

}  // namespace pairfs
