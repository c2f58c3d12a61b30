// The state of one volume: ordered rows (metadata) and bytes of inodes (data), with consistency
// points. The command log is the write-ahead log: nothing here is durable before a consistency
// point, and after a crash the store is again exactly at a consistency point.
//
// What the store does not know: commands, POSIX, the log, the partner. Row keys and values belong
// to the executor; extents and segments belong to the store.
//
// Threads: one loop thread calls everything here, except Checkpoint::run and ReadPlan::run, which
// a worker thread may call while the loop goes on.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/result.h"
#include "common/space.h"
#include "common/types.h"

namespace pairfs {

class Element;

// One command's changes, applied all together or not at all. Order matters within one inode's
// data; rows: the last put or erase of a key counts.
struct Changes {
  struct Row {
    Bytes key;
    std::optional<Bytes> value;  // nullopt: erased
  };
  struct Data {
    enum class What {
      kWrite,  // bytes at offset
      kZero,   // reads as zeros from now on, allocated (fallocate, zero range)
      kPunch,  // reads as zeros from now on, a hole (punch, truncate: length may be kToEnd)
      kDrop,   // all of the inode's data go
    };
    What what;
    uint64_t inode_id = 0;
    uint64_t offset_bytes = 0;
    uint64_t length_bytes = 0;
    SharedBytes bytes;  // kWrite
  };
  static constexpr uint64_t kToEnd = ~0ULL;
  std::vector<Row> rows;
  std::vector<Data> data;
};

// A read whose cold parts are still on the elements. run() may be called on a worker thread, once.
class ReadPlan {
 public:
  virtual ~ReadPlan() = default;
  // True when run() will not touch an element.
  virtual bool in_memory() const = 0;
  // Exactly the planned length; holes are zeros. EIO when a block can be had from no element.
  virtual Result<SharedBytes> run() = 0;
};

// A consistency point in the making: the state as it was when freeze() was called.
class Checkpoint {
 public:
  virtual ~Checkpoint() = default;
  // Worker thread, once: makes the frozen state durable on the elements. The token describes it
  // and is what VolumeStore::open takes. EIO/ENOSPC: nothing changed, the frozen state is still
  // served from memory.
  virtual Result<Bytes> run() = 0;
};

// What an operator asks of a volume's elements.
struct ElementWish {
  enum class What { kFail, kReplace, kAddSpare, kRemoveSpare, kStartScrub, kPauseScrub };
  What what;
  std::string id;    // of the element; kAddSpare, kStartScrub, kPauseScrub: none
  std::string path;  // kAddSpare; kReplace: where the new one is, empty for the same place
};

// Something wrong with what the store keeps.
struct StoreFinding {
  std::string kind;   // "superblock", "metadata", "data", "lost", "extent", "stripe", "element"
  std::string where;  // for people
  bool repaired = false;
};

// Work on the elements beside commands: returning and replaced ones get what they lack, spares step
// in, scrubs. Worker thread, never while a Checkpoint runs or another call here does. It keeps what
// it needs of the store alive.
class Maintenance {
 public:
  virtual ~Maintenance() = default;
  // Works for about `budget`; true when there is more to do at once.
  virtual bool run(Duration budget) = 0;
  // "" when it was carried out, else a sentence that says why not.
  virtual std::string change(const ElementWish& wish) = 0;
  // Checks everything that the store keeps, at the last consistency point, and with `repair` mends
  // what it can. Takes as long as it takes.
  virtual std::vector<StoreFinding> check(bool repair) = 0;
  // What was bad when the volume was opened; this opening has good copies of its own.
  virtual std::vector<StoreFinding> opening_findings() { return {}; }
  // The state at the last consistency point, to look at only.
  virtual std::unique_ptr<class VolumeStore> last_state() = 0;
};

// How far a rebuild or a scrub is.
struct StoreProgress {
  std::string_view state = "idle";  // idle, running, paused
  std::string element;              // that is rebuilt
  uint64_t done_bytes = 0, total_bytes = 0;
  double bytes_per_second = 0;
  uint64_t checked_blocks = 0, repaired_blocks = 0, lost_blocks = 0;
  uint64_t finished_count = 0;  // since the volume was opened
};

struct ElementStatus {
  std::string id, path, reach, state;  // state: ok, missing, failed, rebuilding, stale
  uint64_t used_bytes = 0;
  uint64_t filesystem_id = 0, capacity_bytes = 0;  // of the filesystem that it lies on
  uint64_t repaired_blocks = 0;                    // since the volume was opened
};
struct StoreStatus {
  std::string raid_level;  // the level in force, as a number: "1"
  std::string raid_state;  // optimal, degraded, rebuilding, failed
  std::vector<ElementStatus> elements;
  // Usable bytes, not raw. Available is what this volume could have if no other took any;
  // capacity is both together.
  uint64_t used_bytes = 0, available_bytes = 0, capacity_bytes = 0;
  VolumeSpace space;
  std::vector<ElementStatus> spares;
  StoreProgress rebuild, scrub;
};

class VolumeStore {
 public:
  virtual ~VolumeStore() = default;

  // ---- rows ----
  virtual std::optional<Bytes> get(BytesView key) const = 0;
  // Calls visit(key, value) for the rows in [from, to), in key order, until it returns false.
  // Views are valid during the call only; visit must not change the store.
  using Visit = std::function<bool(BytesView key, BytesView value)>;
  virtual void scan(BytesView from, BytesView to, const Visit& visit) const = 0;

  // ---- data ----
  virtual std::unique_ptr<ReadPlan> plan_read(uint64_t inode_id, uint64_t offset_bytes,
                                              uint64_t length_bytes) const = 0;
  // Bytes of [offset, offset + length) that are not holes, counted in whole 4 KiB blocks.
  virtual uint64_t allocated_bytes(uint64_t inode_id, uint64_t offset_bytes,
                                   uint64_t length_bytes) const = 0;
  // The first offset >= from that is data (want_data) or a hole, in bytes, as far as the store
  // knows (it does not know the file's size); nullopt: no data from there on.
  virtual std::optional<uint64_t> seek(uint64_t inode_id, uint64_t from_bytes,
                                       bool want_data) const = 0;

  // ---- changes ----
  // Applies at once in memory; applied_sequence() becomes `sequence`.
  virtual void apply(Changes changes, Sequence sequence) = 0;
  virtual Sequence applied_sequence() const = 0;
  // Bytes of memory that only a consistency point gives back.
  virtual uint64_t dirty_bytes() const = 0;

  // ---- consistency points ----
  // At most one at a time. The loop goes on with apply() while run() works.
  virtual std::shared_ptr<Checkpoint> freeze() = 0;
  // Loop thread, after run(): on success the frozen state is now served from the elements; on
  // failure it is merged back. In both cases a new freeze() is possible.
  virtual void finish(const std::shared_ptr<Checkpoint>& checkpoint, bool success) = 0;
  // The partner holds the record of this consistency point (or the map says solo): what only
  // older ones need may be deleted and punched now.
  virtual void confirm(BytesView token) = 0;

  virtual StoreStatus status() const = 0;

  // ---- elements ----
  // Grows with every change of an element's state, or of how far a rebuild is; 0: never changed.
  virtual uint64_t elements_version() const { return 0; }
  // What the log is to keep about the elements (StoreConfig::group_record).
  virtual Bytes group_record() const { return {}; }
  // True when a consistency point would let the store go on, whether anything changed or not.
  virtual bool wants_checkpoint() const { return false; }
  // True when too few elements are in order to serve, and enough have come back: opening the volume
  // anew, at its last consistency point, would find it whole.
  virtual bool wants_reopening() const { return false; }
  // nullptr: there is nothing to maintain.
  virtual std::shared_ptr<Maintenance> maintenance() { return nullptr; }
};

struct StoreConfig {
  VolumeId volume;
  uint64_t cluster_id = 0;
  uint8_t raid_level = 1;
  struct Element {
    std::string id, path, reach;
  };
  std::vector<Element> elements;
  // What the log's newest ElementsChanged keeps; empty: there is none. When it, or the token, is
  // newer than `elements`, it counts.
  Bytes group_record;
  // Reaches an element; made when it is missing and `create` says so. Any thread; null with a
  // sentence. Empty function: every element is a directory of this machine.
  std::function<std::unique_ptr<pairfs::Element>(const Element&, bool create, std::string* why)>
      open_element;
  size_t block_cache_bytes = 32 << 20;
  // What opening and reading do about bad copies of what is good elsewhere: a volume that serves
  // mends what it reads; a check leaves all as it is, or mends also what only it looks at.
  enum class Mending { kWhatIsRead, kNothing, kAll };
  Mending mending = Mending::kWhatIsRead;
};

// Opens the volume at the consistency point that `token` names (empty: a volume that never had
// one) for the ownership version `epoch`, leaving intact what an earlier epoch's executor may
// still write. On an error `why` is a sentence for the operator.
std::unique_ptr<VolumeStore> open_durable_store(const StoreConfig& config, Epoch epoch,
                                                BytesView token, std::string* why);

}  // namespace pairfs
