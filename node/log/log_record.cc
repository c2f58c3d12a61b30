#include "node/log/log_record.h"

#include <algorithm>
#include <cstring>

#include "common/crc32c.h"

namespace pairfs {
namespace {

constexpr uint32_t kMagic = 0x524c4650;  // "PFLR"

enum Offset : size_t {
  kMagicAt = 0,
  kHeaderCrcAt = 4,  // of bytes 8..127
  kBodyLengthAt = 8,
  kBulkLengthAt = 12,
  kClusterAt = 16,
  kVolumeAt = 24,
  kOpAt = 28,
  kSliceAt = 30,
  kEpochAt = 32,
  kSequenceAt = 40,
  kSessionAt = 48,
  kSlotAt = 56,
  kErrorAt = 60,
  kSlotSequenceAt = 64,
  kOutcomeCrcAt = 72,
  kPayloadCrcAt = 76,
  kSemanticsAt = 80,
  kReservedAt = 82,
  kChainCrcAt = 84,  // of the previous chain crc, then bytes 8..83
  kHeldThroughAt = 88,
  kSyncedThroughAt = 96,
  // 104..127 reserved, zero
};

template <class T>
void put(char* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <class T>
T get(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

uint32_t expected_chain(BytesView header, uint32_t previous) {
  char seed[4];
  put<uint32_t>(seed, previous);
  return crc32c(header.substr(kBodyLengthAt, kChainCrcAt - kBodyLengthAt), crc32c({seed, 4}));
}

Bytes seal_record(LogRecord& r, uint32_t previous) {
  Bytes out(kRecordHeaderBytes, '\0');
  char* p = out.data();
  put<uint32_t>(p + kMagicAt, kMagic);
  put<uint32_t>(p + kBodyLengthAt, static_cast<uint32_t>(r.body.size()));
  put<uint32_t>(p + kBulkLengthAt, static_cast<uint32_t>(r.bulk.size()));
  put<uint64_t>(p + kClusterAt, r.cluster_id);
  put<uint32_t>(p + kVolumeAt, r.volume.packed());
  put<uint16_t>(p + kOpAt, r.op);
  put<uint16_t>(p + kSliceAt, r.slice);
  put<uint64_t>(p + kEpochAt, r.epoch);
  put<uint64_t>(p + kSequenceAt, r.sequence);
  put<uint64_t>(p + kSessionAt, r.request.session);
  put<uint32_t>(p + kSlotAt, r.request.slot);
  put<int32_t>(p + kErrorAt, r.error);
  put<uint64_t>(p + kSlotSequenceAt, r.request.sequence);
  put<uint32_t>(p + kOutcomeCrcAt, r.outcome_crc);
  put<uint32_t>(p + kPayloadCrcAt, crc32c(r.bulk.view(), crc32c(r.body.view())));
  put<uint16_t>(p + kSemanticsAt, kSemanticsVersion);
  r.chain_crc = expected_chain(out, previous);
  put<uint32_t>(p + kChainCrcAt, r.chain_crc);
  put<uint64_t>(p + kHeldThroughAt, r.held_through);
  put<uint64_t>(p + kSyncedThroughAt, r.synced_through);
  put<uint32_t>(p + kHeaderCrcAt, crc32c(BytesView(out).substr(kBodyLengthAt)));
  return out;
}

const char* to_string(RecordError error) {
  switch (error) {
    case RecordError::kEnd:
      return "end of log";
    case RecordError::kTorn:
      return "record cut short";
    case RecordError::kBadHeader:
      return "wrong header crc";
    case RecordError::kBadPayload:
      return "wrong payload crc";
    case RecordError::kBadChain:
      return "does not continue the record before it";
    case RecordError::kForeign:
      return "another cluster's, volume's or version's record";
  }
  return "unknown";
}

std::optional<RecordLengths> peek_record(BytesView header, RecordError* error) {
  const auto fail = [&](RecordError e) {
    if (error != nullptr) *error = e;
    return std::nullopt;
  };
  if (header.size() < kRecordHeaderBytes) return fail(RecordError::kTorn);
  header = header.substr(0, kRecordHeaderBytes);
  const char* p = header.data();
  if (get<uint32_t>(p + kMagicAt) != kMagic) {
    const bool zeros = std::all_of(header.begin(), header.end(), [](char c) { return c == 0; });
    return fail(zeros ? RecordError::kEnd : RecordError::kBadHeader);
  }
  if (get<uint32_t>(p + kHeaderCrcAt) != crc32c(header.substr(kBodyLengthAt)))
    return fail(RecordError::kBadHeader);
  if (get<uint16_t>(p + kSemanticsAt) != kSemanticsVersion) return fail(RecordError::kForeign);
  const RecordLengths lengths{get<uint32_t>(p + kBodyLengthAt), get<uint32_t>(p + kBulkLengthAt)};
  if (lengths.body > kRecordBodyMaxBytes || lengths.bulk > kRecordBodyMaxBytes)
    return fail(RecordError::kBadHeader);
  return lengths;
}

std::optional<LogRecord> parse_record(const SharedBytes& bytes, RecordError* error) {
  const auto lengths = peek_record(bytes.view(), error);
  if (!lengths) return std::nullopt;
  const size_t total = kRecordHeaderBytes + lengths->body + lengths->bulk;
  if (bytes.size() < total) {
    if (error != nullptr) *error = RecordError::kTorn;
    return std::nullopt;
  }
  const char* p = bytes.view().data();
  LogRecord r;
  r.cluster_id = get<uint64_t>(p + kClusterAt);
  r.volume = VolumeId::unpack(get<uint32_t>(p + kVolumeAt));
  r.op = get<uint16_t>(p + kOpAt);
  r.slice = get<uint16_t>(p + kSliceAt);
  r.epoch = get<uint64_t>(p + kEpochAt);
  r.sequence = get<uint64_t>(p + kSequenceAt);
  r.request.session = get<uint64_t>(p + kSessionAt);
  r.request.slot = get<uint32_t>(p + kSlotAt);
  r.request.sequence = get<uint64_t>(p + kSlotSequenceAt);
  r.error = get<int32_t>(p + kErrorAt);
  r.outcome_crc = get<uint32_t>(p + kOutcomeCrcAt);
  r.chain_crc = get<uint32_t>(p + kChainCrcAt);
  r.held_through = get<uint64_t>(p + kHeldThroughAt);
  r.synced_through = get<uint64_t>(p + kSyncedThroughAt);
  r.body = bytes.part(kRecordHeaderBytes, lengths->body);
  r.bulk = bytes.part(kRecordHeaderBytes + lengths->body, lengths->bulk);
  if (get<uint32_t>(p + kPayloadCrcAt) != crc32c(r.bulk.view(), crc32c(r.body.view()))) {
    if (error != nullptr) *error = RecordError::kBadPayload;
    return std::nullopt;
  }
  return r;
}

}  // namespace pairfs
