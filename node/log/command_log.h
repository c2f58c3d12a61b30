// The command log of one volume on one node: numbered segments in one local directory, appended
// with write(2), synced by a worker. A record is held here once append() has returned; it is on
// stable storage once a sync that began after has ended. Format: docs/log_format.md.
//
// Every failure of a write or sync is final (P: a failed sync ends the service): the calls throw
// LogFailure and the process must stop serving.
//
// Threads: the loop thread, except SyncTicket::run (worker).
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/link_messages.h"
#include "node/log/log_files.h"
#include "node/log/log_record.h"

namespace pairfs {

struct CommandLogConfig {
  std::string directory;
  uint64_t cluster_id = 0;
  VolumeId volume;
  Incarnation incarnation = 0;
  std::string boot_id;  // of the kernel that runs now
  uint64_t segment_bytes = 8 << 20;
  std::shared_ptr<LogFiles> files;  // null: of the directory
};

class CommandLog {
 public:
  // Opens or creates; reads all segments, cuts a torn tail (docs/log_format.md, "Recovery").
  // Throws LogFailure with a sentence.
  explicit CommandLog(CommandLogConfig config);
  ~CommandLog();

  const LogSummary& summary() const { return summary_; }
  Sequence base() const { return summary_.base; }
  Sequence last() const { return summary_.last; }
  uint64_t bytes() const;
  // What may still be appended before its disk is full.
  uint64_t room_bytes() const;
  // Chain crc of a record, or of the base; nullopt: not here.
  std::optional<uint32_t> chain_at(Sequence sequence) const;
  // True when a record of this epoch is here and was synced.
  bool has_epoch(Epoch epoch) const;
  // Bytes of a record that is here.
  uint64_t record_bytes(Sequence sequence) const;

  // Appends as last()+1; fills in sequence, chain crc, ids. Returns the encoded header. The epoch
  // is never below that of the record before.
  Bytes append(LogRecord& record);
  // Appends records as the partner encoded them, one after the other. Stops at the first that
  // does not continue the log, by sequence, chain crc and epoch; returns false then.
  bool append_encoded(const SharedBytes& records);

  // The newest consistency point among the records, and the number of its own record.
  struct CheckpointRecord {
    Sequence record = 0;    // 0: none
    Sequence sequence = 0;  // what it contains
    uint32_t chain = 0;     // chain crc of record `sequence`
    Bytes token;
  };
  const CheckpointRecord& newest_checkpoint() const { return checkpoint_; }
  // Empty: the records here go on from the newest consistency point without a gap (P6), by sequence
  // and chain crc; without a point, from the volume's first record. Else a sentence.
  std::string gap_to_checkpoint() const;
  // What the newest ElementsChanged record keeps; empty: there is none.
  const Bytes& newest_elements() const { return elements_; }

  // Visits records (first, first+1, ... last), reading them back, until visit returns false.
  // Throws LogFailure when one is unreadable.
  void read(Sequence first, const std::function<bool(const LogRecord&)>& visit) const;
  // The encoded bytes of [first, ...), as many records as fit in max_bytes, at least one.
  Bytes read_encoded(Sequence first, Sequence last, size_t max_bytes, Sequence* through) const;

  // What append() wrote so far, to be made durable. run() on a worker; then finish() on the loop.
  class SyncTicket {
   public:
    void run();  // fdatasync; remembers a failure
    Sequence through() const { return through_; }

   private:
    friend class CommandLog;
    std::vector<std::shared_ptr<struct SegmentFile>> segments_;
    std::shared_ptr<LogFiles> names_;  // to be synced too, when not null: some are new
    std::vector<std::shared_ptr<struct SegmentFile>> retired_;
    Sequence through_ = 0;
    int error_ = 0;
  };
  std::shared_ptr<SyncTicket> begin_sync();
  // Throws LogFailure when run() failed. synced() is then ticket->through().
  void finish_sync(const std::shared_ptr<SyncTicket>& ticket);
  Sequence synced() const { return synced_; }

  // The next segment, made ahead by a worker so that append() need not wait for the disk: while
  // wants_spare(), run spare_maker()'s function on a worker, then take_spare() on the loop.
  bool wants_spare() const;
  std::function<void()> spare_maker() const;
  void take_spare();

  // Drops whole segments that hold only records up to `through`; some are kept to be used again.
  void trim(Sequence through);
  // A mark beside the log, durable when the call returns; gone after a reset().
  void keep_apart(bool on);
  bool kept_apart() const { return apart_; }
  // Goes on behind the last readable record of a damaged log; what lies beyond it is given up.
  void give_up_damaged();
  // Forgets every record; the next one is base+1, continuing base_chain. The old segments are kept
  // aside as previous.* until the next trim().
  void reset(Sequence base, uint32_t base_chain);

 private:
  struct Index {
    Epoch epoch;
    uint32_t chain;
    uint32_t length;
    uint64_t offset;
    std::shared_ptr<SegmentFile> segment;
  };
  void recover();
  void recover_segment(const std::string& name, bool* stop);
  void settle_bad_record(std::vector<std::string> behind);
  void start_segment();
  void drop_spares();
  void recycle(const std::shared_ptr<SegmentFile>& segment);
  void write_pieces(const BytesView* pieces, size_t count, size_t total);
  void note(const LogRecord& record, uint64_t offset, size_t length);

  CommandLogConfig config_;
  std::shared_ptr<LogFiles> files_;
  LogSummary summary_;
  CheckpointRecord checkpoint_;
  Bytes elements_;
  std::deque<Index> index_;  // index_[i] is record base+1+i
  std::deque<std::shared_ptr<SegmentFile>> segments_;
  uint64_t end_offset_ = 0;  // in the newest segment
  // Segments to be: made ahead, or trimmed and used again, whose blocks and pages are there
  // already.
  std::deque<std::shared_ptr<SegmentFile>> spares_;
  std::deque<std::shared_ptr<SegmentFile>> retired_;  // trimmed; spares once that name is synced
  bool renamed_ = false;  // a segment's name is not known to be on stable storage
  Sequence synced_ = 0;
  std::string foreign_;  // a segment that does not continue the one before
  std::vector<std::string> damaged_behind_;
  bool apart_ = false;
  Sequence recovered_synced_ = 0;  // highest synced_through seen in a record
};

}  // namespace pairfs
