#include "test/sim/log_disk.h"

#include <cerrno>
#include <cstring>

#include "node/log/segment_file.h"

namespace pairfs::sim {
namespace {
constexpr uint64_t kBlock = 4096;
}  // namespace

// ---- archive ------------------------------------------------------------------------------------

void RecordArchive::add(const SharedBytes& record, const LogRecord& parsed) {
  const std::pair key(parsed.sequence, parsed.chain_crc);
  if (!records_.emplace(key, Stored{record}).second) return;
  if (parsed.request.slot != kUnslotted) by_request_[parsed.request].push_back(key);
}

std::vector<std::pair<Sequence, uint32_t>> RecordArchive::find(const RequestId& request) const {
  const auto found = by_request_.find(request);
  return found == by_request_.end() ? std::vector<std::pair<Sequence, uint32_t>>() : found->second;
}

std::vector<LogRecord> RecordArchive::history(Sequence last, uint32_t chain) const {
  std::vector<LogRecord> out(last);
  for (Sequence s = last; s > 0; --s) {
    const auto at = records_.find({s, chain});
    if (at == records_.end()) return {};
    RecordError error{};
    auto record = parse_record(at->second.bytes, &error);
    if (!record) return {};
    out[s - 1] = std::move(*record);
    if (s == 1) break;
    // The chain crc before this record is the one that leads to this record's.
    const BytesView header = at->second.bytes.view();
    bool found = false;
    for (auto before = records_.lower_bound({s - 1, 0});
         before != records_.end() && before->first.first == s - 1; ++before) {
      if (expected_chain(header, before->first.second) != chain) continue;
      chain = before->first.second;
      found = true;
      break;
    }
    if (!found) return {};
  }
  return out;
}

// ---- files --------------------------------------------------------------------------------------

class SimulatedLogFile final : public LogFile {
 public:
  SimulatedLogFile(LogDisk& disk, std::shared_ptr<LogDisk::File> file)
      : disk_(disk), file_(std::move(file)) {}

  uint64_t size_bytes() const override { return file_->now.size(); }

  Bytes read(uint64_t offset, size_t length) const override {
    if (offset >= file_->now.size()) return {};
    return file_->now.substr(offset, length);
  }

  void write(uint64_t offset, const BytesView* pieces, size_t count) override {
    Bytes all;
    for (size_t i = 0; i < count; ++i) all += pieces[i];
    if (file_->now.size() < offset + all.size()) file_->now.resize(offset + all.size());
    std::memcpy(file_->now.data() + offset, all.data(), all.size());
    file_->unsynced[offset] = std::max(file_->unsynced[offset], uint64_t{all.size()});
    if (offset >= kSegmentHeadBytes) note_records(offset, SharedBytes::from(std::move(all)));
  }

  void zero_from(uint64_t offset) override {
    for (size_t i = offset; i < file_->now.size(); ++i) file_->now[i] = '\0';
    file_->records.erase(file_->records.lower_bound(offset), file_->records.end());
    if (sync() != 0) throw LogFailure("cannot sync " + disk_.place_);
  }

  int sync() override {
    if (disk_.fail_sync_) {
      disk_.fail_sync_ = false;
      return EIO;
    }
    if (file_->durable.size() != file_->now.size()) {
      file_->durable = file_->now;
    } else {
      for (const auto& [offset, length] : file_->unsynced)
        std::memcpy(file_->durable.data() + offset, file_->now.data() + offset, length);
    }
    file_->unsynced.clear();
    return 0;
  }

 private:
  void note_records(uint64_t offset, const SharedBytes& bytes) {
    size_t at = 0;
    RecordError error{};
    while (at < bytes.size()) {
      const auto record = parse_record(bytes.part(at, bytes.size() - at), &error);
      if (!record) return;
      const size_t length = record->encoded_bytes();
      disk_.archive_.add(SharedBytes::from(Bytes(bytes.view().substr(at, length))), *record);
      file_->records[offset + at] = {length, record->sequence, record->chain_crc};
      at += length;
    }
  }

  LogDisk& disk_;
  const std::shared_ptr<LogDisk::File> file_;
};

std::vector<std::string> LogDisk::list() const {
  std::vector<std::string> names;
  for (const auto& [name, file] : now_) names.push_back(name);
  return names;
}

void LogDisk::preallocate(const std::string& name, uint64_t size_bytes) {
  auto file = std::make_shared<File>();
  file->now.assign(size_bytes, '\0');
  file->durable = file->now;
  now_[name] = std::move(file);
}

std::shared_ptr<LogFile> LogDisk::open(const std::string& name) {
  const auto found = now_.find(name);
  if (found == now_.end()) return nullptr;
  return std::make_shared<SimulatedLogFile>(*this, found->second);
}

void LogDisk::rename(const std::string& from, const std::string& to) {
  const auto found = now_.find(from);
  if (found == now_.end()) throw LogFailure("cannot rename " + from);
  const auto file = found->second;
  now_.erase(found);
  if (to.starts_with("spare")) file->records.clear();  // not needed any more
  now_[to] = file;
}

void LogDisk::remove(const std::string& name) { now_.erase(name); }

int LogDisk::sync_names() {
  durable_ = now_;
  return 0;
}

void LogDisk::lose_bytes(File& file) {
  // Each block that was not synced is old or new, or new in its first part only.
  for (const auto& [offset, length] : file.unsynced) {
    if (file.durable.size() < offset + length) file.durable.resize(offset + length);
    for (uint64_t at = offset; at < offset + length;) {
      const uint64_t end = std::min((at / kBlock + 1) * kBlock, offset + length);
      const uint64_t draw = sim_.random.between(0, 3);
      const uint64_t kept = draw < 2 ? 0 : draw == 2 ? end - at : sim_.random.between(0, end - at);
      std::memcpy(file.durable.data() + at, file.now.data() + at, kept);
      at = end;
    }
  }
  file.unsynced.clear();
  file.now = file.durable;
  std::erase_if(file.records, [&](const auto& item) {
    const auto& [offset, place] = item;
    RecordError error{};
    if (offset + place.length > file.now.size()) return true;
    const auto record =
        parse_record(SharedBytes::from(file.now.substr(offset, place.length)), &error);
    return !record || record->sequence != place.sequence || record->chain_crc != place.chain;
  });
}

void LogDisk::lose_power() {
  // Names that were not synced: all of them or none.
  if (sim_.random.one_in(2)) now_ = durable_;
  for (auto& [name, file] : now_) lose_bytes(*file);
  durable_ = now_;
}

void LogDisk::wipe() {
  now_.clear();
  durable_.clear();
}

bool LogDisk::rot() {
  std::vector<std::pair<File*, uint64_t>> places;
  for (auto& [name, file] : now_) {
    if (!name.starts_with("segment.")) continue;
    for (const auto& [offset, place] : file->records) places.emplace_back(file.get(), offset);
  }
  if (places.empty()) return false;
  const auto& [file, offset] = places[sim_.random.between(0, places.size() - 1)];
  const uint64_t at = offset + sim_.random.between(0, file->records[offset].length - 1);
  file->now[at] = static_cast<char>(file->now[at] ^ (1 << sim_.random.between(0, 7)));
  if (at < file->durable.size()) file->durable[at] = file->now[at];
  file->records.erase(offset);
  return true;
}

bool LogDisk::holds(Sequence sequence, uint32_t chain) const {
  std::map<Sequence, uint32_t> here;
  for (const auto& [name, file] : now_) {
    if (!name.starts_with("segment.")) continue;
    for (const auto& [offset, place] : file->records) here[place.sequence] = place.chain;
  }
  if (here.empty()) return false;
  const Sequence first = here.begin()->first;
  if (sequence < first) return true;  // in a consistency point, or it would not have been trimmed
  const auto found = here.find(sequence);
  if (found == here.end() || found->second != chain) return false;
  return static_cast<size_t>(std::distance(here.begin(), found)) == sequence - first;
}

}  // namespace pairfs::sim
