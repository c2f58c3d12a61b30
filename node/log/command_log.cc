#include "node/log/command_log.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "common/codec.h"
#include "common/commands.h"
#include "common/crc32c.h"
#include "common/ensure.h"
#include "common/test_switch.h"
#include "node/log/segment_file.h"

namespace pairfs {
namespace {
constexpr size_t kSparesMax = 12;
constexpr size_t kPiecesMax = 4;
constexpr char kEndMark[kRecordHeaderBytes] = {};  // where the next record will begin

std::string segment_name(Sequence first) { return fmt::format("segment.{:020}", first); }
}  // namespace

namespace {
const char* const kApart = "apart";
}  // namespace

CommandLog::CommandLog(CommandLogConfig config)
    : config_(std::move(config)),
      files_(config_.files != nullptr ? config_.files : open_log_directory(config_.directory)) {
  recover();
}

CommandLog::~CommandLog() = default;

void CommandLog::recover() {
  std::set<std::string> names;  // zero-padded names sort by first sequence
  for (std::string& name : files_->list()) {
    apart_ |= name == kApart;
    if (name.starts_with("segment."))
      names.insert(std::move(name));
    else if (name.starts_with("spare"))
      files_->remove(name);
  }
  summary_.power_kept = true;
  bool stop = false;
  std::vector<std::string> behind;  // segments after the one with a bad record
  for (const std::string& name : names) {
    if (stop) {
      behind.push_back(name);
      continue;
    }
    recover_segment(name, &stop);
  }
  if (stop) settle_bad_record(behind);
  // What was read back may sit in the page cache only; count it as synced after a sync of ours.
  for (const auto& segment : segments_)
    if (const int error = segment->file->sync(); error != 0)
      throw LogFailure(fmt::format("cannot sync {}/{}: {}", files_->place(), segment->name,
                                   std::strerror(error)));
  synced_ = summary_.last;
  if (summary_.last < recovered_synced_) summary_.damaged = true;
}

void CommandLog::recover_segment(const std::string& name, bool* stop) {
  auto segment = SegmentFile::open(*files_, name, config_.cluster_id, config_.volume);
  // Its head, or the name that goes with it, never reached the disk: no record in it was
  // acknowledged.
  if (segment == nullptr || name != segment_name(segment->head.first_sequence)) {
    files_->remove(name);
    return;
  }
  if (segments_.empty()) {
    summary_.base = summary_.last = segment->head.first_sequence - 1;
    summary_.base_chain = summary_.last_chain = segment->head.previous_chain;
  } else if (segment->head.first_sequence != summary_.last + 1 ||
             segment->head.previous_chain != summary_.last_chain) {
    end_offset_ = segments_.back()->size_bytes();  // what misses is between the two
    foreign_ = name;
    *stop = true;
    return;
  }
  if (segment->head.boot_id != config_.boot_id) summary_.power_kept = false;
  segments_.push_back(segment);
  uint64_t offset = kSegmentHeadBytes;
  // Less than a header's space at a segment's end is never written.
  while (offset + kRecordHeaderBytes <= segment->size_bytes()) {
    Bytes header = segment->file->read(offset, kRecordHeaderBytes);
    RecordError error = RecordError::kEnd;
    std::optional<LogRecord> record;
    size_t total = 0;
    if (const auto lengths = peek_record(header, &error)) {
      total = kRecordHeaderBytes + lengths->body + lengths->bulk;
      record = parse_record(SharedBytes::from(segment->file->read(offset, total)), &error);
      if (record && (record->sequence != summary_.last + 1 ||
                     record->chain_crc != expected_chain(header, summary_.last_chain))) {
        record.reset();
        error = RecordError::kBadChain;
      }
    }
    // Its crc is right: no torn tail, and nothing that this program may cut.
    if (error == RecordError::kForeign)
      throw LogFailure(
          fmt::format("{}/{} was written by another version of pairfs; use that version, "
                      "or another directory. Nothing was changed",
                      files_->place(), name));
    if (!record) {
      *stop = error != RecordError::kEnd;
      break;
    }
    recovered_synced_ =
        std::max(recovered_synced_, std::min(record->synced_through, record->sequence));
    note(*record, offset, total);
    offset += total;
  }
  end_offset_ = offset;
}

// The highest synced_through of any whole record in the file, from `offset` on.
static Sequence highest_synced_claim(const LogFile& file, uint64_t offset) {
  const uint64_t size = file.size_bytes();
  const Bytes rest = file.read(offset, size - std::min(offset, size));
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
  Sequence claimed = highest_synced_claim(*segments_.back()->file, end_offset_);
  for (const std::string& name : behind)
    if (const auto segment = SegmentFile::open(*files_, name, config_.cluster_id, config_.volume))
      claimed = std::max(claimed, highest_synced_claim(*segment->file, kSegmentHeadBytes));
  recovered_synced_ = std::max(recovered_synced_, claimed);
  if (summary_.last < recovered_synced_ && !PAIRFS_MUTANT(log_cut_in_the_middle)) {
    PAIRFS_REACHED(log_damage_found);
    summary_.damaged = true;
    damaged_behind_ = std::move(behind);
    return;
  }
  PAIRFS_REACHED(log_tail_cut);
  if (PAIRFS_MUTANT(log_cut_in_the_middle)) recovered_synced_ = summary_.last;
  segments_.back()->file->zero_from(end_offset_);
  for (const std::string& name : behind) files_->remove(name);
}

void CommandLog::keep_apart(bool on) {
  if (on)
    files_->preallocate(kApart, 1);
  else
    files_->remove(kApart);
  apart_ = on;
  if (const int error = files_->sync_names(); error != 0)
    throw LogFailure(fmt::format("cannot sync {}: {}", files_->place(), std::strerror(error)));
}

void CommandLog::give_up_damaged() {
  if (!summary_.damaged) return;
  if (!segments_.empty()) segments_.back()->file->zero_from(end_offset_);
  for (const std::string& name : damaged_behind_) files_->remove(name);
  damaged_behind_.clear();
  recovered_synced_ = summary_.last;
  summary_.damaged = false;
}

void CommandLog::note(const LogRecord& record, uint64_t offset, size_t length) {
  index_.push_back(
      {record.epoch, record.chain_crc, static_cast<uint32_t>(length), offset, segments_.back()});
  summary_.last = record.sequence;
  summary_.last_chain = record.chain_crc;
  summary_.last_epoch = record.epoch;
  if (record.op == ElementsChanged::kOp) {
    if (auto changed = decode<ElementsChanged>(record.body.view())) elements_ = changed->record;
  }
  if (record.op == ConsistencyPoint::kOp) {
    if (auto point = decode<ConsistencyPoint>(record.body.view()))
      checkpoint_ = {record.sequence, point->sequence, point->chain_crc, point->store_token};
  }
}

uint64_t CommandLog::bytes() const {
  uint64_t sum = 0;
  for (const auto& segment : segments_) sum += segment->size_bytes();
  return sum;
}

uint64_t CommandLog::room_bytes() const {
  uint64_t room = files_->available_bytes();
  for (const auto& spare : spares_) room += spare->size_bytes();
  for (const auto& segment : retired_) room += segment->size_bytes();
  if (!segments_.empty())
    room += segments_.back()->size_bytes() - std::min(end_offset_, segments_.back()->size_bytes());
  return room;
}

std::optional<uint32_t> CommandLog::chain_at(Sequence sequence) const {
  if (sequence == summary_.base) return summary_.base_chain;
  if (sequence < summary_.base || sequence > summary_.last) return std::nullopt;
  return index_[sequence - summary_.base - 1].chain;
}

std::string CommandLog::gap_to_checkpoint() const {
  const Sequence from = checkpoint_.sequence;
  if (from < summary_.base || from > summary_.last)
    return fmt::format("the log of volume {} has records {} to {}, which do not reach back to {}",
                       to_string(config_.volume), summary_.base + 1, summary_.last,
                       checkpoint_.record == 0 ? "the volume's beginning"
                                               : fmt::format("consistency point {}", from));
  if (checkpoint_.record != 0 && *chain_at(from) != checkpoint_.chain)
    return fmt::format("consistency point {} of volume {} is of another history than the log", from,
                       to_string(config_.volume));
  return "";
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
  const SegmentHead head{config_.cluster_id, config_.volume,      config_.incarnation,
                         summary_.last + 1,  summary_.last_chain, config_.boot_id};
  const std::string name = segment_name(head.first_sequence);
  if (!spares_.empty()) {  // its head and name are synced with its first records
    spares_.front()->adopt(*files_, name, head);
    segments_.push_back(std::move(spares_.front()));
    spares_.pop_front();
    renamed_ = true;
  } else {
    segments_.push_back(SegmentFile::create(*files_, name, head, config_.segment_bytes));
  }
  end_offset_ = kSegmentHeadBytes;
}

bool CommandLog::wants_spare() const {
  return spares_.empty() && !segments_.empty() && !summary_.damaged &&
         end_offset_ > segments_.back()->size_bytes() / 2;
}

std::function<void()> CommandLog::spare_maker() const {
  return [files = files_, size = config_.segment_bytes] {
    try {
      files->preallocate("spare", size);
    } catch (const LogFailure&) {
      files->remove("spare");  // a segment is made when it is needed, then, or fails there
    }
  };
}

void CommandLog::take_spare() {
  if (auto spare = SegmentFile::open_spare(*files_, "spare")) spares_.push_back(std::move(spare));
}

void CommandLog::drop_spares() {
  for (auto* unused : {&spares_, &retired_}) {
    for (const auto& segment : *unused) files_->remove(segment->name);
    unused->clear();
  }
}

void CommandLog::write_pieces(const BytesView* pieces, size_t count, size_t total) {
  if (segments_.empty() ||
      (end_offset_ + total > segments_.back()->size_bytes() && end_offset_ > kSegmentHeadBytes))
    start_segment();
  // Behind the last record old ones may lie, of the segment that the file was before.
  LogFile& file = *segments_.back()->file;
  const uint64_t end = end_offset_ + total;
  BytesView all[kPiecesMax];
  ENSURE(count < kPiecesMax, "{} pieces", count);
  std::copy(pieces, pieces + count, all);
  if (end + kRecordHeaderBytes <= file.size_bytes()) all[count++] = {kEndMark, kRecordHeaderBytes};
  file.write(end_offset_, all, count);
}

Bytes CommandLog::append(LogRecord& record) {
  ENSURE(!summary_.damaged, "append to a damaged log of volume {}", to_string(config_.volume));
  ENSURE(record.epoch >= summary_.last_epoch, "volume {}: a record of epoch {} behind one of {}",
         to_string(config_.volume), record.epoch, summary_.last_epoch);
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
  Epoch epoch = summary_.last_epoch;
  bool whole = true;
  while (at < records.size()) {
    RecordError error;
    auto record = parse_record(records.part(at, records.size() - at), &error);
    if (!record || record->sequence != last + 1 || record->volume != config_.volume ||
        record->cluster_id != config_.cluster_id || record->epoch < epoch ||
        record->chain_crc != expected_chain(records.view().substr(at), chain)) {
      whole = false;
      break;
    }
    const size_t length = record->encoded_bytes();
    const size_t run_bytes = at - run_start;
    if (!run.empty() && !segments_.empty() &&
        end_offset_ + run_bytes + length > segments_.back()->size_bytes())
      write_run();
    last = record->sequence;
    chain = record->chain_crc;
    epoch = record->epoch;
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
    const auto record =
        parse_record(SharedBytes::from(i.segment->file->read(i.offset, i.length)), &error);
    if (!record || record->sequence != s || record->chain_crc != i.chain)
      throw LogFailure(fmt::format("log record {} of volume {} in {} is unreadable: {}", s,
                                   to_string(config_.volume), i.segment->name, to_string(error)));
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
    out += i.segment->file->read(i.offset, i.length);
    *through = s;
  }
  return out;
}

void CommandLog::SyncTicket::run() {
  for (const auto& segment : segments_)
    if (const int error = segment->file->sync(); error != 0) error_ = error;
  if (names_ == nullptr) return;
  if (const int error = names_->sync_names(); error != 0) error_ = error;
}

std::shared_ptr<CommandLog::SyncTicket> CommandLog::begin_sync() {
  auto ticket = std::make_shared<SyncTicket>();
  ticket->through_ = summary_.last;
  if (renamed_ || !retired_.empty()) ticket->names_ = files_;
  ticket->retired_.assign(retired_.begin(), retired_.end());
  renamed_ = false;
  for (Sequence s = std::max(synced_, summary_.base) + 1; s <= summary_.last;) {
    const auto& segment = index_[s - summary_.base - 1].segment;
    ticket->segments_.push_back(segment);
    // On to the first record of the next segment.
    const auto next = std::find(segments_.begin(), segments_.end(), segment) + 1;
    s = next == segments_.end() ? summary_.last + 1 : (*next)->head.first_sequence;
  }
  return ticket;
}

void CommandLog::finish_sync(const std::shared_ptr<SyncTicket>& ticket) {
  if (ticket->error_ != 0)
    throw LogFailure(
        fmt::format("cannot sync the log {}: {}", files_->place(), std::strerror(ticket->error_)));
  synced_ = std::max(synced_, std::min(ticket->through_, summary_.last));
  for (const auto& segment : ticket->retired_) {
    if (std::erase(retired_, segment) == 0) continue;  // dropped meanwhile
    spares_.push_back(segment);
  }
}

void CommandLog::recycle(const std::shared_ptr<SegmentFile>& segment) {
  if (spares_.size() + retired_.size() >= kSparesMax ||
      segment->size_bytes() != config_.segment_bytes) {
    files_->remove(segment->name);
    return;
  }
  const std::string name = "spare." + segment->name;
  files_->rename(segment->name, name);
  segment->name = name;
  // Written to before its new name is on stable storage, it could come back under the old one, with
  // what does not belong there.
  retired_.push_back(segment);
}

void CommandLog::trim(Sequence through) {
  for (const std::string& name : files_->list())
    if (name.starts_with("previous.")) files_->remove(name);
  while (segments_.size() > 1 && segments_[1]->head.first_sequence <= through + 1) {
    const Sequence first_kept = segments_[1]->head.first_sequence;
    const size_t count = first_kept - 1 - summary_.base;
    summary_.base_chain = segments_[1]->head.previous_chain;
    summary_.base = first_kept - 1;
    index_.erase(index_.begin(), index_.begin() + static_cast<std::ptrdiff_t>(count));
    PAIRFS_REACHED(log_trimmed);
    recycle(segments_.front());
    segments_.pop_front();
  }
}

void CommandLog::reset(Sequence base, uint32_t base_chain) {
  for (const auto& segment : segments_) files_->rename(segment->name, "previous." + segment->name);
  for (const std::string& name : damaged_behind_) files_->rename(name, "previous." + name);
  damaged_behind_.clear();
  drop_spares();  // they may hold records with numbers that come again
  if (apart_) files_->remove(kApart);
  apart_ = false;
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
