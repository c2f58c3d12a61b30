#include "node/ring_link.h"

#include <fmt/core.h>

#include "common/crc32c.h"
#include "common/logging.h"
#include "common/test_switch.h"

namespace pairfs {
namespace {
constexpr Duration kTryAgain = std::chrono::milliseconds(100);
constexpr Duration kOpenAgain = std::chrono::seconds(10);  // after a disk was full, say

// Those after `last`.
SharedBytes records_behind(const SharedBytes& records, Sequence last) {
  size_t at = 0;
  while (at < records.size()) {
    const auto record = parse_record(records.part(at, records.size() - at), nullptr);
    if (!record || record->sequence > last) break;
    at += record->encoded_bytes();
  }
  return records.part(at, records.size() - at);
}
}  // namespace

uint64_t RingLink::boot() const {
  const uint64_t high = crc32c(config_.boot_id);
  return high << 32 | crc32c("ring", crc32c(config_.boot_id));
}

void RingLink::recover(CommandLog& log) {
  if (config_.place == nullptr || log.summary().damaged) return;
  const auto ring = LogRingReader::recover(config_.place->own(config_.volume), config_.cluster_id,
                                           config_.volume, boot());
  if (ring == nullptr) return;
  const Sequence before = log.last();
  // The log may have the first of them already, or be of a history that went on without them.
  ring->drain([&](const SharedBytes& records) {
    log.append_encoded(records_behind(records, log.last()));
    return true;
  });
  if (log.last() == before) return;
  PAIRFS_REACHED(ring_recovered);
  log_info("ring.recovered", "volume={} records={}", to_string(config_.volume),
           log.last() - before);
}

bool RingLink::take(CommandLog& log) {
  if (reader_ == nullptr) return false;
  const Sequence before = log.last();
  if (!reader_->drain([&](const SharedBytes& records) { return log.append_encoded(records); }))
    throw LogFailure(fmt::format("the ring of volume {} does not continue its log at record {}",
                                 to_string(config_.volume), log.last()));
  return log.last() != before;
}

void RingLink::serve(const std::optional<RingTerms>& wanted, CommandLog& log, Instant now) {
  if (config_.place == nullptr || (reader_ == nullptr && !wanted)) return;
  if (reader_ != nullptr && wanted && reader_->terms() == *wanted) return;
  if (reader_ != nullptr) {
    reader_->close();
    take(log);
    reader_.reset();
    PAIRFS_REACHED(ring_closed);
  }
  if (!wanted || log.summary().damaged) return;
  if (now < open_at_) return;
  if (auto memory = config_.place->make(config_.volume))
    reader_ = std::make_unique<LogRingReader>(std::move(memory), *wanted, boot());
  else
    open_at_ = now + kOpenAgain;
}

bool RingLink::copy(const RingTerms& terms, const std::vector<BytesView>& records, Instant now) {
  if (config_.place == nullptr) return false;
  if (writer_ != nullptr && (writer_->terms() != terms || !writer_->open())) writer_.reset();
  if (writer_ == nullptr) {
    if (now < attach_at_) return false;
    attach_at_ = now + kTryAgain;
    writer_ = LogRingWriter::attach(config_.place->partner(config_.volume), terms);
    if (writer_ == nullptr) return false;
    asked_taker_ = false;
  }
  if (!writer_->publish(records)) return false;
  ++copied_;
  PAIRFS_REACHED(ring_copied);
  return true;
}

bool RingLink::wants_taker() {
  if (writer_ == nullptr) return false;
  const bool crowded = writer_->waiting_bytes() > writer_->capacity_bytes() / 4;
  return !std::exchange(asked_taker_, crowded) && crowded;
}

}  // namespace pairfs
