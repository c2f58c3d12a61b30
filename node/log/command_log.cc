#include "node/log/command_log.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>

#include "common/codec.h"
#include "common/commands.h"
#include "common/crc32c.h"
#include "common/ensure.h"
#include "node/log/segment_file.h"

namespace pairfs {
namespace fs = std::filesystem;

CommandLog::CommandLog(CommandLogConfig config) : config_(std::move(config)) {
  std::error_code error;
  fs::create_directories(config_.directory, error);
  if (error)
    throw LogFailure(
        fmt::format("cannot create the log directory {}: {}", config_.directory, error.message()));
  recover();
}

CommandLog::~CommandLog() = default;

void CommandLog::recover() {
  std::map<std::string, std::string> by_name;  // zero-padded names sort by first sequence
  for (const auto& entry : fs::directory_iterator(config_.directory))
    if (entry.path().filename().string().starts_with("segment."))
      by_name[entry.path().filename().string()] = entry.path().string();
  summary_.power_kept = true;
  bool stop = false;
  std::vector<std::string> behind;  // segments after the one with a bad record
  for (const auto& [name, path] : by_name) {
    if (stop) {
      behind.push_back(path);
      continue;
    }
    recover_segment(path, &stop);
  }
  if (stop) settle_bad_record(behind);
  // What was read back may sit in the page cache only; count it as synced after a sync of ours.
  for (const auto& segment : segments_)
    if (::fdatasync(segment->fd) != 0)
      throw LogFailure(fmt::format("cannot sync {}: {}", segment->path, std::strerror(errno)));
  synced_ = summary_.last;
  if (summary_.last < recovered_synced_) summary_.damaged = true;
}

void CommandLog::recover_segment(const std::string& path, bool* stop) {
  auto file = SegmentFile::open(path, config_.cluster_id, config_.volume);
  if (file == nullptr) {  // its head never reached the disk, so no record in it was acknowledged
    fs::remove(path);
    return;
  }
  if (segments_.empty()) {
    summary_.base = summary_.last = file->head.first_sequence - 1;
    summary_.base_chain = summary_.last_chain = file->head.previous_chain;
  } else if (file->head.first_sequence != summary_.last + 1 ||
             file->head.previous_chain != summary_.last_chain) {
    end_offset_ = segments_.back()->size_bytes;  // what misses is between the two
    foreign_ = path;
    *stop = true;
    return;
  }
  if (file->head.boot_id != config_.boot_id) summary_.power_kept = false;
  segments_.push_back(file);
  uint64_t offset = kSegmentHeadBytes;
  // Less than a header's space at a segment's end is never written.
  while (offset + kRecordHeaderBytes <= file->size_bytes) {
    Bytes header = file->read(offset, kRecordHeaderBytes);
    RecordError error = RecordError::kEnd;
    std::optional<LogRecord> record;
    size_t total = 0;
    if (const auto lengths = peek_record(header, &error)) {
      total = kRecordHeaderBytes + lengths->body + lengths->bulk;
      record = parse_record(SharedBytes::from(file->read(offset, total)), &error);
      if (record && (record->sequence != summary_.last + 1 ||
                     record->chain_crc != expected_chain(header, summary_.last_chain))) {
        record.reset();
        error = RecordError::kBadChain;
      }
    }
    if (!record) {
      *stop = error != RecordError::kEnd;
      break;
    }
    recovered_synced_ = std::max(recovered_synced_, std::min(record->synced_through, record->sequence));
    note(*record, offset, total);
    offset += total;
  }
  end_offset_ = offset;
}

// The highest synced_through of any whole record in the file, from `offset` on.
static Sequence highest_synced_claim(const SegmentFile& file, uint64_t offset) {
  const Bytes rest = file.read(offset, file.size_bytes - std::min(offset, file.size_bytes));
  const SharedBytes bytes = SharedBytes::from(rest);
  Sequence highest = 0;
  constexpr char kMagicBytes[] = {'P', 'F', 'L', 'R'};
  for (size_t at = 0; (at = rest.find(kMagicBytes, at, sizeof kMagicBytes)) != Bytes::npos; ++at) {
    RecordError error;
    if (const auto record = parse_record(bytes.part(at, rest.size() - at), &error))
      highest = std::max(highest, std::min(record->synced_through, record->sequence));
  }
  return highest;
}

// A record is bad, and `behind` are the segments after it. A torn tail was never on stable storage
// at both nodes: it is cut, so that nothing behind it is ever read. If anything says that it was,
// this is damage: nothing is cut, and the log is not used until the partner's replaces it.
void CommandLog::settle_bad_record(std::vector<std::string> behind) {
  if (!foreign_.empty()) behind.insert(behind.begin(), foreign_);
  Sequence claimed = highest_synced_claim(*segments_.back(), end_offset_);
  for (const std::string& path : behind)
    if (const auto file = SegmentFile::open(path, config_.cluster_id, config_.volume))
      claimed = std::max(claimed, highest_synced_claim(*file, kSegmentHeadBytes));
  recovered_synced_ = std::max(recovered_synced_, claimed);
  if (summary_.last < recovered_synced_) {
    summary_.damaged = true;
    damaged_behind_ = std::move(behind);
    return;
  }
  segments_.back()->zero_from(end_offset_);
  for (const std::string& path : behind) fs::remove(path);
}

void CommandLog::note(const LogRecord& record, uint64_t offset, size_t length) {
  index_.push_back({record.epoch, record.chain_crc, static_cast<uint32_t>(length), offset,
                    segments_.back()});
  summary_.last = record.sequence;
  summary_.last_chain = record.chain_crc;
  summary_.last_epoch = record.epoch;
  if (record.op == ElementsChanged::kOp) {
    if (auto changed = decode<ElementsChanged>(record.body.view())) elements_ = changed->record;
  }
  if (record.op == ConsistencyPoint::kOp) {
    if (auto point = decode<ConsistencyPoint>(record.body.view()))
      checkpoint_ = {record.sequence, point->sequence, point->store_token};
  }
}

uint64_t CommandLog::bytes() const {
  uint64_t sum = 0;
  for (const auto& segment : segments_) sum += segment->size_bytes;
  return sum;
}

std::optional<uint32_t> CommandLog::chain_at(Sequence sequence) const {
  if (sequence == summary_.base) return summary_.base_chain;
  if (sequence < summary_.base || sequence > summary_.last) return std::nullopt;
  return index_[sequence - summary_.base - 1].chain;
}

bool CommandLog::has_epoch(Epoch epoch) const {
  return std::any_of(index_.begin(), index_.end(),
                     [&](const Index& i) { return i.epoch == epoch; });
}

uint64_t CommandLog::record_bytes(Sequence sequence) const {
  ENSURE(sequence > summary_.base && sequence <= summary_.last, "record {}", sequence);
  return index_[sequence - summary_.base - 1].length;
}

void CommandLog::start_segment() {
  const SegmentHead head{config_.cluster_id, config_.volume,  config_.incarnation,
                         summary_.last + 1,  summary_.last_chain, config_.boot_id};
  const std::string path =
      fmt::format("{}/segment.{:020}", config_.directory, head.first_sequence);
  if (spare_ != nullptr) {  // its head and name are synced with its first records
    spare_->adopt(path, head);
    segments_.push_back(std::move(spare_));
    spare_.reset();
    renamed_ = true;
  } else {
    segments_.push_back(SegmentFile::create(path, head, config_.segment_bytes));
  }
  end_offset_ = kSegmentHeadBytes;
}

bool CommandLog::wants_spare() const {
  return spare_ == nullptr && !segments_.empty() && !summary_.damaged &&
         end_offset_ > segments_.back()->size_bytes / 2;
}

std::function<void()> CommandLog::spare_maker() const {
  return [path = config_.directory + "/spare", size = config_.segment_bytes] {
    try {
      SegmentFile::preallocate(path, size);
    } catch (const LogFailure&) {
      ::unlink(path.c_str());  // a segment is made when it is needed, then, or fails there
    }
  };
}

void CommandLog::take_spare() { spare_ = SegmentFile::open_spare(config_.directory + "/spare"); }

void CommandLog::write_pieces(const BytesView* pieces, size_t count, size_t total) {
  if (segments_.empty() || (end_offset_ + total > segments_.back()->size_bytes &&
                            end_offset_ > kSegmentHeadBytes))
    start_segment();
  segments_.back()->write(end_offset_, pieces, count);
}

Bytes CommandLog::append(LogRecord& record) {
  ENSURE(!summary_.damaged, "append to a damaged log of volume {}", to_string(config_.volume));
  record.sequence = summary_.last + 1;
  record.cluster_id = config_.cluster_id;
  record.volume = config_.volume;
  Bytes header = seal_record(record, summary_.last_chain);
  const BytesView pieces[] = {header, record.body.view(), record.bulk.view()};
  const size_t total = record.encoded_bytes();
  write_pieces(pieces, 3, total);
  note(record, end_offset_, total);
  end_offset_ += total;
  return header;
}

bool CommandLog::append_encoded(const SharedBytes& records) {
  size_t at = 0, run_start = 0;
  // Whole runs go out in one write each; a run ends where a new segment must start.
  std::vector<std::pair<LogRecord, size_t>> run;
  const auto write_run = [&] {
    if (run.empty()) return;
    const BytesView piece = records.view().substr(run_start, at - run_start);
    write_pieces(&piece, 1, piece.size());
    for (auto& [record, length] : run) {
      note(record, end_offset_, length);
      end_offset_ += length;
    }
    run.clear();
    run_start = at;
  };
  Sequence last = summary_.last;
  uint32_t chain = summary_.last_chain;
  bool whole = true;
  while (at < records.size()) {
    RecordError error;
    auto record = parse_record(records.part(at, records.size() - at), &error);
    if (!record || record->sequence != last + 1 || record->volume != config_.volume ||
        record->cluster_id != config_.cluster_id ||
        record->chain_crc != expected_chain(records.view().substr(at), chain)) {
      whole = false;
      break;
    }
    const size_t length = record->encoded_bytes();
    const size_t run_bytes = at - run_start;
    if (!run.empty() && !segments_.empty() &&
        end_offset_ + run_bytes + length > segments_.back()->size_bytes)
      write_run();
    last = record->sequence;
    chain = record->chain_crc;
    run.emplace_back(std::move(*record), length);
    at += length;
  }
  write_run();
  return whole;
}

void CommandLog::read(Sequence first, const std::function<bool(const LogRecord&)>& visit) const {
  for (Sequence s = std::max(first, summary_.base + 1); s <= summary_.last; ++s) {
    const Index& i = index_[s - summary_.base - 1];
    RecordError error = RecordError::kEnd;
    const auto record = parse_record(SharedBytes::from(i.file->read(i.offset, i.length)), &error);
    if (!record || record->sequence != s || record->chain_crc != i.chain)
      throw LogFailure(fmt::format("log record {} of volume {} in {} is unreadable: {}", s,
                                   to_string(config_.volume), i.file->path, to_string(error)));
    if (!visit(*record)) return;
  }
}

Bytes CommandLog::read_encoded(Sequence first, Sequence last, size_t max_bytes,
                               Sequence* through) const {
  Bytes out;
  *through = first - 1;
  for (Sequence s = first; s <= std::min(last, summary_.last); ++s) {
    const Index& i = index_[s - summary_.base - 1];
    if (!out.empty() && out.size() + i.length > max_bytes) break;
    out += i.file->read(i.offset, i.length);
    *through = s;
  }
  return out;
}

void CommandLog::SyncTicket::run() {
  for (const auto& file : files_)
    if (::fdatasync(file->fd) != 0) error_ = errno;
  if (!directory_.empty()) {
    const int fd = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || ::fsync(fd) != 0) error_ = errno;
    if (fd >= 0) ::close(fd);
  }
}

std::shared_ptr<CommandLog::SyncTicket> CommandLog::begin_sync() {
  auto ticket = std::make_shared<SyncTicket>();
  ticket->through_ = summary_.last;
  if (renamed_) ticket->directory_ = config_.directory;
  renamed_ = false;
  for (Sequence s = std::max(synced_, summary_.base) + 1; s <= summary_.last;) {
    const auto& file = index_[s - summary_.base - 1].file;
    ticket->files_.push_back(file);
    // On to the first record of the next segment.
    const auto next = std::find(segments_.begin(), segments_.end(), file) + 1;
    s = next == segments_.end() ? summary_.last + 1 : (*next)->head.first_sequence;
  }
  return ticket;
}

void CommandLog::finish_sync(const std::shared_ptr<SyncTicket>& ticket) {
  if (ticket->error_ != 0)
    throw LogFailure(fmt::format("cannot sync the log {}: {}", config_.directory,
                                 std::strerror(ticket->error_)));
  synced_ = std::max(synced_, std::min(ticket->through_, summary_.last));
}

void CommandLog::trim(Sequence through) {
  for (const auto& entry : fs::directory_iterator(config_.directory))
    if (entry.path().filename().string().starts_with("previous.")) fs::remove(entry.path());
  while (segments_.size() > 1 && segments_[1]->head.first_sequence <= through + 1) {
    const Sequence first_kept = segments_[1]->head.first_sequence;
    const size_t count = first_kept - 1 - summary_.base;
    summary_.base_chain = segments_[1]->head.previous_chain;
    summary_.base = first_kept - 1;
    index_.erase(index_.begin(), index_.begin() + static_cast<std::ptrdiff_t>(count));
    fs::remove(segments_.front()->path);
    segments_.pop_front();
  }
}

void CommandLog::reset(Sequence base, uint32_t base_chain) {
  for (const auto& segment : segments_) {
    const fs::path path(segment->path);
    fs::rename(path, path.parent_path() / ("previous." + path.filename().string()));
  }
  for (const fs::path path : damaged_behind_)
    fs::rename(path, path.parent_path() / ("previous." + path.filename().string()));
  damaged_behind_.clear();
  segments_.clear();
  index_.clear();
  checkpoint_ = {};
  elements_.clear();
  const bool power_kept = true;
  summary_ = {base, base_chain, base, base_chain, 0, power_kept, false};
  synced_ = base;
  recovered_synced_ = 0;
  start_segment();  // so that the base survives a restart
}

}  // namespace pairfs
