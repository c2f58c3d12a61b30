// Keeps a volume's RAID group whole while it serves: looks for elements that are gone or full,
// takes them back when they return, lets spares step in, rebuilds, copies metadata to as many
// members as the level promises, scrubs. Also what operators ask of elements.
//
// run() and change(): worker, one at a time and never while a consistency point is written. The
// others: any thread.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <set>

#include "node/store/durable_base.h"
#include "node/store/stripe_walk.h"

namespace pairfs {

class Keeper {
 public:
  // All references must outlive it.
  Keeper(VolumeParts& parts, const SegmentUses& uses);

  bool run(Duration budget);
  std::string change(const ElementWish& wish);
  std::vector<StoreFinding> check(bool repair);

  uint64_t version() const;
  Bytes record() const;
  void add_status(StoreStatus* status) const;
  // What the next consistency point is to move, a bit at a time. Worker.
  std::vector<Move> take_moves();
  bool has_moves() const { return moves_wanted_; }
  // Too few members are ok, and with those that returned since the newest consistency point there
  // would be enough. Any thread.
  bool returned_enough() const { return returned_enough_; }
  // Blocks of data that a consistency point wrote for commands. Worker.
  void note_written(uint64_t blocks);
  // Blocks of data that could be written in place of what is dead, when that is cleaned. Any
  // thread.
  uint64_t garbage_blocks() const { return garbage_blocks_; }

 private:
  void look();
  void look_for(size_t index);
  uint64_t returned() const;
  bool is_ours(Element& element, const std::string& id) const;
  void use_spares();
  void start_rebuilds();
  void keep_metadata_copies();
  bool copy_metadata(size_t index);
  bool wants_metadata(size_t index) const;
  void work(Instant deadline);
  void finish_rebuild();
  bool has_superblock(size_t index) const;
  bool write_superblock(size_t index);
  void look_whether_emptied(size_t index);
  bool scrub_metadata(Instant deadline);
  void remove_leftovers(size_t index);
  std::string replace(size_t index, const ElementName& name, bool create);
  std::string check_place(const std::string& path, const std::string& except_id);
  std::optional<size_t> find(const std::string& id) const;
  Superblock superblock_of(size_t index) const;
  GroupRecord describe() const;
  void check_elements(bool repair, std::vector<StoreFinding>* findings);
  void check_metadata(bool repair, std::vector<StoreFinding>* findings);
  void check_stripe_rows(bool repair, std::vector<StoreFinding>* findings);
  void clean(Instant deadline);
  bool choose_victims();
  void note_progress(const StripeWalk& walk, Instant begun, StoreProgress* progress);

  VolumeParts& parts_;
  RaidGroup& group_;
  const SegmentUses& uses_;
  const uint64_t first_change_;

  Instant look_at_{};
  Instant noted_at_{};
  std::vector<Instant> gone_since_;
  std::vector<SegmentId> trusted_;  // of a member that returned: StripeWalk's `trusted`
  std::unique_ptr<StripeWalk> walk_;
  std::optional<size_t> rebuilding_;  // the member that walk_ is for; none: it scrubs
  Instant walk_began_{};
  uint64_t walk_began_bytes_ = 0;
  Instant copy_at_{};                       // when to try again to copy metadata
  std::vector<std::string> metadata_left_;  // files that the scrub has still to read
  uint64_t metadata_checked_ = 0, metadata_mended_ = 0, metadata_lost_ = 0;

  // The cleaner's: the stripes that it empties, the scan for what is in them, and what it found.
  std::set<std::pair<SegmentId, uint32_t>> victims_;
  std::unique_ptr<RowCursor> scan_;
  std::deque<Move> moves_;
  std::atomic<bool> moves_wanted_ = false;
  std::atomic<bool> returned_enough_ = false;
  std::atomic<uint64_t> garbage_blocks_ = 0;
  Instant clean_at_{}, busy_at_{};

  mutable std::mutex mutex_;  // of what follows
  std::vector<ElementName> spares_;
  ScrubState scrub_ = ScrubState::kIdle;
  SegmentId scrubbed_to_ = 0;
  StoreProgress rebuild_progress_, scrub_progress_;
};

}  // namespace pairfs
