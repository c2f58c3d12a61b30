// The layer below the overlays: a volume's state at its last consistency point, on elements or
// in a simulated disk's memory. It changes only by write().
//
// Threads: write() runs on a worker while the loop calls the const functions; all others belong
// to the loop. What the loop reads during write() may already be the new state in part: the
// frozen overlay lies above it and says the same.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "node/store/overlay.h"

namespace pairfs {

// Goes through rows in key order. Views are valid until next().
class RowCursor {
 public:
  virtual ~RowCursor() = default;
  virtual bool valid() const = 0;
  virtual BytesView key() const = 0;
  virtual BytesView value() const = 0;
  virtual void next() = 0;
};

// The base's part of a ReadPlan.
class BaseRead {
 public:
  virtual ~BaseRead() = default;
  virtual bool in_memory() const = 0;
  // Worker thread. Fills `into`, which stands for the inode's bytes from the planned range's
  // start, with what is stored there; leaves holes alone. EIO when a block can be had nowhere.
  virtual Status run(char* into) = 0;
};

class BaseStore : public std::enable_shared_from_this<BaseStore> {
 public:
  virtual ~BaseStore() = default;

  // Of the state that was opened.
  virtual Sequence sequence() const = 0;

  virtual std::optional<Bytes> get(BytesView key) const = 0;
  // The rows from `from` on, at least up to `to`.
  virtual std::unique_ptr<RowCursor> rows(BytesView from, BytesView to) const = 0;

  // The blocks in [from, to) that are not holes, as opaque runs, in order.
  virtual std::vector<BlockRun> block_runs(uint64_t inode_id, uint64_t from_block,
                                           uint64_t to_block) const = 0;
  // A read of whole blocks; nullptr when all of them are zeros. Later write()s do not change
  // what it reads.
  virtual std::unique_ptr<BaseRead> plan_read(uint64_t inode_id, uint64_t from_block,
                                              uint64_t to_block) const = 0;

  // Worker thread, one at a time: makes this state with `frozen` over it durable in one step.
  // The token names it. On an error the durable state is the old one.
  virtual Result<Bytes> write(const Overlay& frozen, Sequence sequence) = 0;
  virtual void confirm(BytesView token) = 0;

  virtual StoreStatus status() const = 0;

  // As of VolumeStore.
  virtual uint64_t elements_version() const { return 0; }
  virtual Bytes group_record() const { return {}; }
  virtual bool wants_checkpoint() const { return false; }
  virtual bool wants_reopening() const { return false; }
  virtual std::shared_ptr<Maintenance> maintenance() { return nullptr; }
};

}  // namespace pairfs
