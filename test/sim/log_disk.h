// The disk of one command log in memory. What was not synced may be lost, kept or torn, in pieces
// of 4 KiB, when the power goes; names too. Knows which whole records it holds, from the bytes that
// were written, so that a world can tell what a power loss took for good.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>

#include "node/log/log_files.h"
#include "node/log/log_record.h"
#include "test/sim/simulation.h"

namespace pairfs::sim {

// All records that were ever appended to the logs of one volume, on any node: its history can be
// put together again after logs were trimmed.
class RecordArchive {
 public:
  void add(const SharedBytes& record, const LogRecord& parsed);
  // The records 1 ... last of the history that ends with (last, chain), oldest first; empty when
  // it cannot be put together.
  std::vector<LogRecord> history(Sequence last, uint32_t chain) const;
  // Where a request's record stands: sequence and chain crc, in any history.
  std::vector<std::pair<Sequence, uint32_t>> find(const RequestId& request) const;

 private:
  struct Stored {
    SharedBytes bytes;
  };
  std::map<std::pair<Sequence, uint32_t>, Stored> records_;
  std::map<RequestId, std::vector<std::pair<Sequence, uint32_t>>> by_request_;
};

class LogDisk final : public LogFiles {
 public:
  LogDisk(Simulation& simulation, RecordArchive& archive, std::string place)
      : sim_(simulation), archive_(archive), place_(std::move(place)) {}

  // ---- LogFiles ----
  const std::string& place() const override { return place_; }
  std::vector<std::string> list() const override;
  void preallocate(const std::string& name, uint64_t size_bytes) override;
  std::shared_ptr<LogFile> open(const std::string& name) override;
  void rename(const std::string& from, const std::string& to) override;
  void remove(const std::string& name) override;
  int sync_names() override;

  // ---- faults ----
  void lose_power();
  void wipe();
  // Flips a bit of a record that is here; false: there is none.
  bool rot();
  // The next sync fails with EIO.
  void fail_sync() { fail_sync_ = true; }
  void mend() { fail_sync_ = false; }

  // True when record `sequence` with this chain crc can be read back, with all before it down to
  // the first one that is here; or when the log's first record is behind it.
  bool holds(Sequence sequence, uint32_t chain) const;

 private:
  friend class SimulatedLogFile;
  struct Place {
    uint64_t length = 0;
    Sequence sequence = 0;
    uint32_t chain = 0;
  };
  struct File {
    Bytes now, durable;
    std::map<uint64_t, uint64_t> unsynced;  // offset → length
    std::map<uint64_t, Place> records;      // by offset
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;
  void lose_bytes(File& file);

  Simulation& sim_;
  RecordArchive& archive_;
  const std::string place_;
  Names now_, durable_;
  bool fail_sync_ = false;
};

}  // namespace pairfs::sim
