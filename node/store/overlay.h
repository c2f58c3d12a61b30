// The changes of one stretch of commands, in memory: rows by key, pieces by inode. The store
// keeps two, the active one and, while a consistency point is made, the frozen one.
//
// No locking. A frozen overlay never changes, so the loop and the worker may both read it.
#pragma once

#include <map>
#include <optional>
#include <unordered_map>

#include "node/store/pieces.h"

namespace pairfs {

class Overlay {
 public:
  using Row = std::optional<Bytes>;  // nullopt: erased
  using Rows = std::map<Bytes, Row, std::less<>>;
  using Inodes = std::map<uint64_t, InodePieces>;

  // The row as this overlay has it; nullptr when it says nothing of the key.
  const Row* find(BytesView key) const;
  const Rows& rows() const { return rows_; }
  const InodePieces* find_inode(uint64_t inode_id) const;
  const Inodes& inodes() const { return inodes_; }

  void put(Bytes key, Row value);
  void change(Changes::Data data);
  // Puts a newer overlay, or one inode's newer pieces, over this one.
  void absorb(Overlay&& newer);
  void absorb_inode(uint64_t inode_id, const InodePieces& newer);
  // For an overlay that nothing lies below: forgets erased rows, holes and inodes without data.
  void forget_erased();

  // Approximate memory, bytes of messages included.
  uint64_t memory_bytes() const { return row_bytes_ + data_bytes_; }
  bool empty() const { return rows_.empty() && inodes_.empty(); }
  // Frees about `count` rows and pieces; afterwards the overlay is good only for more of this.
  // So that dropping a large one never stops the loop.
  void release_some(size_t count);

 private:
  Rows rows_;
  std::unordered_map<BytesView, Row*> index_;  // the rows again, for find(); views into rows_
  Inodes inodes_;
  uint64_t row_bytes_ = 0;
  uint64_t data_bytes_ = 0;
};

}  // namespace pairfs
