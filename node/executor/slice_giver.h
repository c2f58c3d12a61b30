// Moves slices of this volume to others (design: one namespace over many pairs), seen by the
// source. State machines inside the executor, without I/O, clock or thread; the shell drives them
// through Executor::step_slices().
//
// A move copies rows and data in numbered parts while commands go on, and notes what they change.
// What was changed is copied again, until little is left. Then the slice stands still: the rest is
// copied, the target takes it (TakeSlice), the source gives it (GiveSlice, the commit point), and
// the target is told to serve it (OpenSlice) until it confirms. Only then is the source's copy
// cleared. When the slice would stand still for longer than kStillMax, it goes on here and the move
// is tried again later. What a takeover interrupts before GiveSlice begins anew; after it, it goes
// on.
#pragma once

#include <deque>
#include <map>
#include <set>

#include "node/executor/context.h"

namespace pairfs {

class SliceGivers {
 public:
  static constexpr Duration kStillMax = std::chrono::milliseconds(80);

  SliceGivers(const ExecutorConfig& config, const VolumeStore& store, VolumeState& state)
      : config_(config), store_(store), state_(state) {}
  // What an earlier executor gave, and whose targets may not know yet: when this one begins to
  // serve, as the log that it replayed may have given more than the rows it began with.
  void load();

  void begin(Slice slice, VolumeId to);
  // Every change of the volume passes here before it is applied.
  void note_changes(const Changes& changes);

  SliceEffects step(Instant now);
  void answered(uint64_t tag, ReplyStatus status, int error, const Bytes& reply, Instant now);
  void fetched(uint64_t tag, Result<SharedBytes> data, Instant now);
  SliceProgress progress() const;

 private:
  enum class Phase { kCopying, kTaking, kGiving, kOpening, kClearing };
  struct Range {  // of one inode's data; up to `end`, which is not in it
    uint64_t inode_id = 0, begin = 0, end = 0;
  };
  struct Giver {
    Slice slice = 0;
    VolumeId to;
    SliceMoveId move;
    Phase phase = Phase::kCopying;
    // ---- the copy ----
    std::vector<Bytes> prefixes;  // of the rows that are still to be read for the first time
    Bytes from;                   // where to read on within the last of them
    std::deque<Range> data;       // to be copied
    std::set<Bytes> changed_rows;
    std::set<std::pair<uint64_t, uint64_t>> changed_chunks;  // inode, number
    std::map<uint64_t, uint64_t> changed_tails;              // inode -> from where on
    uint32_t parts = 0;
    unsigned rounds = 0;
    bool still = false;
    Instant still_since{};
    // ---- what is under way ----
    uint64_t tag = 0;  // 0: nothing
    std::optional<CommandInput> sent;
    Instant resend_at = Instant::max();
    std::optional<ReceiveSlice> part;  // whose data are being fetched
    Instant wait_until{};
  };

  void start_copy(Giver& giver);
  void advance(Giver& giver, Instant now);
  void copy(Giver& giver, Instant now);
  void read_rows(Giver& giver, ReceiveSlice& part);
  bool fetch_data(Giver& giver, ReceiveSlice part);
  void take_changes(Giver& giver, ReceiveSlice& part);
  void seal(Giver& giver, Instant now);
  void go_on_here(Giver& giver, Instant now, Duration pause);
  void give_up(Giver& giver, Instant now);
  void on_part(Giver& giver, const Bytes& reply, Instant now);
  template <class C>
  void send(Giver& giver, const C& command, Instant now, SharedBytes bulk = {});
  void send_again(Giver& giver, Instant now);
  void thaw(Giver& giver);
  bool may_give_up(const Giver& giver) const;

  const ExecutorConfig& config_;
  const VolumeStore& store_;
  VolumeState& state_;
  std::map<Slice, Giver> givers_;
  std::deque<Slice> to_clear_;
  std::vector<Slice> done_;
  uint64_t next_tag_ = 1;
  uint64_t next_move_ = 1;
  SliceProgress progress_;
  SliceEffects effects_;
};

}  // namespace pairfs
