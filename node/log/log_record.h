// One record of a volume's command log, and its bytes: a 128-byte header, the command's body, its
// bulk data. The same bytes are on both nodes' disks and on the partner link. Byte by byte:
// docs/log_format.md. No I/O here.
#pragma once

#include <optional>

#include "common/types.h"

namespace pairfs {

inline constexpr size_t kRecordHeaderBytes = 128;
inline constexpr uint16_t kSemanticsVersion = 2;  // of what replaying a command does
inline constexpr uint32_t kRecordBodyMaxBytes = 16 << 20;

struct LogRecord {
  VolumeId volume;
  uint64_t cluster_id = 0;
  Epoch epoch = 0;
  Sequence sequence = 0;
  uint16_t op = 0;
  Slice slice = 0;
  RequestId request;
  int32_t error = 0;          // the outcome's errno
  uint32_t outcome_crc = 0;   // of errno and reply; a replay must give the same
  uint32_t chain_crc = 0;     // of the previous record's chain crc, then all above and the payload
  Sequence held_through = 0;  // what the writer knew its partner to hold
  Sequence synced_through = 0;  // what the writer knew to be on stable storage at both nodes
  SharedBytes body;
  SharedBytes bulk;

  size_t encoded_bytes() const { return kRecordHeaderBytes + body.size() + bulk.size(); }
};

// Sets record.chain_crc as the successor of a record whose chain crc is `previous`; returns the
// header's bytes.
Bytes seal_record(LogRecord& record, uint32_t previous);

enum class RecordError { kEnd, kTorn, kBadHeader, kBadPayload, kBadChain, kForeign };
const char* to_string(RecordError error);

// Length of body and bulk that follow a header; nullopt when it is no header at all. kEnd (all
// zeros) and damage are told apart by `error`.
struct RecordLengths {
  uint32_t body = 0;
  uint32_t bulk = 0;
};
std::optional<RecordLengths> peek_record(BytesView header, RecordError* error);

// Takes apart one record at the start of `bytes`, whose owner is kept alive by the result's body
// and bulk. Checks every crc but not the chain.
std::optional<LogRecord> parse_record(const SharedBytes& bytes, RecordError* error);

// The chain crc that the record must carry after `previous`.
uint32_t expected_chain(BytesView header, uint32_t previous);

}  // namespace pairfs
