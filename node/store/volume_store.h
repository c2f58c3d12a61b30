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
#include "common/types.h"

namespace pairfs {

// One command's changes, applied all together or not at all. Order matters within one inode's
// data; rows: the last put or erase of a key counts.
struct Changes {
  struct Row {
    Bytes key;
    std::optional<Bytes> value;  // nullopt: erased
  };
  struct Data {
    enum class What {
      kWrite,     // bytes at offset
      kZero,      // reads as zeros from now on, allocated (fallocate, zero range)
      kPunch,     // reads as zeros from now on, a hole (punch, truncate: length may be kToEnd)
      kDrop,      // all of the inode's data go
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

struct ElementStatus {
  std::string id, path, reach, state;  // state: ok, missing, failed, rebuilding, stale
  uint64_t used_bytes = 0, capacity_bytes = 0;
};
struct StoreStatus {
  std::string raid_level;  // the level in force, as a number: "1"
  std::string raid_state;  // optimal, degraded, rebuilding, failed
  std::vector<ElementStatus> elements;
  uint64_t used_bytes = 0, capacity_bytes = 0, available_bytes = 0;  // usable bytes, not raw
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
};

struct StoreConfig {
  VolumeId volume;
  uint64_t cluster_id = 0;
  uint8_t raid_level = 1;
  struct Element {
    std::string id, path, reach;
  };
  std::vector<Element> elements;
  size_t block_cache_bytes = 32 << 20;
};

// Opens the volume at the consistency point that `token` names (empty: a volume that never had
// one) for the ownership version `epoch`, leaving intact what an earlier epoch's executor may
// still write. On an error `why` is a sentence for the operator.
std::unique_ptr<VolumeStore> open_durable_store(const StoreConfig& config, Epoch epoch,
                                                BytesView token, std::string* why);

}  // namespace pairfs
