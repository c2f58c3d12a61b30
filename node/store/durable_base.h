// The base of a volume on elements: rows and extents in the row table, data in segments, and the
// housekeeping that gives space back when a consistency point is confirmed.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>

#include "node/store/ballast.h"
#include "node/store/base_store.h"
#include "node/store/checkpoint_writer.h"
#include "node/store/mirror_file_system.h"
#include "node/store/stripe_walk.h"
#include "node/store/volume_files.h"

namespace pairfs {

// What an open volume is made of; see open_volume.h for how it comes to be.
struct VolumeParts {
  Opening opening;
  StoreConfig config;
  GroupRecord record;  // as it was found; change 0 when there was none
  // Where the metadata of the token that it was opened with are; none once a newer one was
  // confirmed.
  std::string opened_from;
  std::vector<size_t> opened_from_members;
  bool has_data = false;     // a consistency point was confirmed once
  uint64_t in_sync = 0;      // bit i: member i has the newest consistency point
  bool table_ahead = false;  // a consistency point failed: the rows may be ahead of every token
  std::vector<StoreFinding> findings;  // what was bad when it was opened
  std::shared_ptr<RaidGroup> group;
  std::shared_ptr<FramedFiles> files;
  std::shared_ptr<MirrorFileSystem> file_system;
  std::unique_ptr<RowTable> table;
};

class Keeper;

class DurableBase final : public BaseStore {
 public:
  explicit DurableBase(VolumeParts parts);
  ~DurableBase() override;

  Sequence sequence() const override { return sequence_; }
  std::optional<Bytes> get(BytesView key) const override { return parts_.table->get(key); }
  std::unique_ptr<RowCursor> rows(BytesView from, BytesView to) const override {
    return parts_.table->rows(from, to);
  }
  std::vector<BlockRun> block_runs(uint64_t inode_id, uint64_t from_block,
                                   uint64_t to_block) const override {
    return extents_.block_runs(inode_id, from_block, to_block);
  }
  std::unique_ptr<BaseRead> plan_read(uint64_t inode_id, uint64_t from_block,
                                      uint64_t to_block) const override;
  Result<Bytes> write(const Overlay& frozen, Sequence sequence) override;
  void confirm(BytesView token) override;
  StoreStatus status() const override;
  uint64_t elements_version() const override;
  Bytes group_record() const override;
  bool wants_checkpoint() const override;
  bool wants_reopening() const override;
  std::shared_ptr<Maintenance> maintenance() override;

 private:
  class Upkeep;
  struct Freed {
    uint64_t era = 0;  // of the last reads that may still want them
    std::vector<Stripe> stripes;
  };
  Result<Bytes> write_checkpoint(const Overlay& frozen, Sequence sequence);
  Status settle_opening();
  void load_segments();
  void count_segments();
  void give_back();
  void punch(const std::vector<Stripe>& stripes);
  void remove_older_openings();
  void note_space();

  VolumeParts parts_;
  ExtentTable extents_;
  SegmentWriter segments_;
  CheckpointWriter writer_;
  mutable ReadEras eras_;
  Sequence sequence_ = 0;

  // The worker's.
  bool settled_ = false;  // settle_opening() is done
  SegmentUses segment_uses_;
  std::unique_ptr<Keeper> keeper_;
  Ballast ballast_;

  // Between the loop's confirm() and the worker.
  std::mutex mutex_;
  std::map<uint64_t, Freed> unconfirmed_;  // by number of consistency point
  std::vector<Freed> confirmed_;
  uint64_t confirmed_number_ = 0;    // the newest
  uint64_t carried_out_number_ = 0;  // the worker's: as far as deletions are done

  std::atomic<uint64_t> live_blocks_ = 0;
  std::atomic<uint64_t> table_bytes_ = 0;
};

}  // namespace pairfs
