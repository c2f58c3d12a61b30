// A volume in memory with the consistency-point semantics of the durable one, for tests and the
// simulator: deterministic, no files. The MemoryDisk outlives the store as a disk outlives a
// process; a crash is simulated by dropping the store and opening again at a token.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "node/store/overlay.h"
#include "node/store/volume_store.h"

namespace pairfs {

// Consistency points by token. Several stores (two nodes of a pair, a deposed executor among
// them) may share one. Any thread.
class MemoryDisk {
 public:
  // The next `count` consistency points fail with this errno, changing nothing.
  void fail_checkpoints(int count, int error);
  size_t snapshot_count() const;

 private:
  friend class MemoryBase;
  struct Name {  // a token, decoded
    Epoch epoch = 0;
    uint64_t number = 0;
    friend auto operator<=>(const Name&, const Name&) = default;
  };
  struct Snapshot {
    std::shared_ptr<const Overlay> state;
    Sequence sequence = 0;
    Epoch needed_by = 0;  // the newest epoch that opened it and has confirmed nothing yet
  };
  mutable std::mutex mutex_;
  std::map<Name, Snapshot> snapshots_;
  Epoch opened_by_ = 0;  // the newest
  uint64_t next_number_ = 1;
  int failures_ = 0;
  int failure_error_ = 0;
};

// Opens at `token` (empty: a new volume) for `epoch`. nullptr when no such consistency point is
// there (any more), or an epoch newer than `epoch` opened it: `why` says it.
std::unique_ptr<VolumeStore> open_memory_store(MemoryDisk& disk, Epoch epoch, BytesView token,
                                               std::string* why = nullptr);

}  // namespace pairfs
