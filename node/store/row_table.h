// An ordered table of rows on the elements that changes in memory at once and on the elements only
// by flush(). RocksDB in a daemon.
//
// Threads: one worker writes; any thread reads.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>
#include <vector>

#include "common/result.h"
#include "node/store/base_store.h"

namespace pairfs {

// Thrown by reads of rows that can be had from no element: they have no other error to give. A
// consistency point fails with EIO then; the loop's reads end the process, as the partner may
// reach more.
class RowsUnreadable : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

// Changes of rows in order; the last change of a key counts.
class RowBatch {
 public:
  virtual ~RowBatch() = default;
  virtual void put(BytesView key, BytesView value) = 0;
  virtual void erase(BytesView key) = 0;
  virtual size_t size_bytes() const = 0;
};

class RowTable {
 public:
  // The table's durable state after a flush: a prefix of its manifest.
  struct Manifest {
    std::string name;
    uint64_t length_bytes = 0;
  };

  virtual ~RowTable() = default;
  virtual std::optional<Bytes> get(BytesView key) const = 0;
  virtual std::unique_ptr<RowCursor> rows(BytesView from, BytesView to) const = 0;
  // The rows whose key has the prefix, from the last one that is not behind `at` on, or, when
  // there is none, from the first. `prefix` is one of extent_prefix().
  virtual std::unique_ptr<RowCursor> extents_around(BytesView prefix, BytesView at) const = 0;

  virtual std::unique_ptr<RowBatch> make_batch() const = 0;
  virtual Status write(RowBatch& batch) = 0;
  virtual Result<Manifest> flush() = 0;
  // Runs `work` while the table writes no files.
  virtual void quietly(const std::function<void()>& work) { work(); }
  // Of its files, about.
  virtual uint64_t size_bytes() const = 0;
};

}  // namespace pairfs
