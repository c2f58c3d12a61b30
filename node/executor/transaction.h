// One command's view of the volume store: reads see the command's own rows, writes are collected
// and applied together, or dropped together. Data writes are not read back by the command that
// makes them. Lives for one command; loop thread.
#pragma once

#include <unordered_map>

#include "node/store/volume_store.h"

namespace pairfs {

class Transaction {
 public:
  explicit Transaction(const VolumeStore& store) : store_(store) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;

  std::optional<Bytes> get(BytesView key) const;
  void put(Bytes key, Bytes value);
  void erase(Bytes key);
  void change_data(Changes::Data data) { changes_.data.push_back(std::move(data)); }

  // Rows and data as they were before the command.
  const VolumeStore& store() const { return store_; }

  // What was collected so far.
  const Changes& changes() const { return changes_; }
  // Forgets all that was collected.
  void drop();
  Changes take() { return std::move(changes_); }

 private:
  void set(Bytes key, std::optional<Bytes> value);
  const Changes::Row* find(BytesView key) const;
  const VolumeStore& store_;
  Changes changes_;
  // Key -> place in changes_.rows; only filled when there are many rows.
  std::unordered_map<Bytes, size_t> index_;
};

}  // namespace pairfs
