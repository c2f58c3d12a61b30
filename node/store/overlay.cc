#include "node/store/overlay.h"

namespace pairfs {
namespace {
constexpr uint64_t kRowOverheadBytes = 224;
constexpr uint64_t kInodeOverheadBytes = 144;

uint64_t value_bytes(const Overlay::Row& row) { return row ? row->size() : 0; }
}  // namespace

const Overlay::Row* Overlay::find(BytesView key) const {
  auto it = index_.find(key);
  return it == index_.end() ? nullptr : it->second;
}

const InodePieces* Overlay::find_inode(uint64_t inode_id) const {
  auto it = inodes_.find(inode_id);
  return it == inodes_.end() ? nullptr : &it->second;
}

void Overlay::put(Bytes key, Row value) {
  if (auto known = index_.find(key); known != index_.end()) {
    row_bytes_ += value_bytes(value);
    row_bytes_ -= value_bytes(*known->second);
    *known->second = std::move(value);
    return;
  }
  row_bytes_ += kRowOverheadBytes + key.size() + value_bytes(value);
  auto [it, added] = rows_.try_emplace(std::move(key), std::move(value));
  index_.emplace(it->first, &it->second);
}

void Overlay::change(Changes::Data data) {
  auto [it, added] = inodes_.try_emplace(data.inode_id);
  InodePieces& pieces = it->second;
  if (added) data_bytes_ += kInodeOverheadBytes;
  data_bytes_ -= pieces.memory_bytes();
  switch (data.what) {
    case Changes::Data::What::kWrite:
      pieces.write(data.offset_bytes, std::move(data.bytes));
      break;
    case Changes::Data::What::kZero:
      pieces.zero(data.offset_bytes, data.length_bytes);
      break;
    case Changes::Data::What::kPunch:
      pieces.punch(data.offset_bytes, data.length_bytes);
      break;
    case Changes::Data::What::kDrop:
      pieces.punch(0, Changes::kToEnd);
      break;
  }
  data_bytes_ += pieces.memory_bytes();
}

void Overlay::absorb(Overlay&& newer) {
  newer.index_.clear();
  while (!newer.rows_.empty()) {
    auto node = newer.rows_.extract(newer.rows_.begin());
    put(std::move(node.key()), std::move(node.mapped()));
  }
  for (const auto& [inode_id, pieces] : newer.inodes_) absorb_inode(inode_id, pieces);
  newer.inodes_.clear();
  newer.row_bytes_ = newer.data_bytes_ = 0;
}

void Overlay::absorb_inode(uint64_t inode_id, const InodePieces& newer) {
  auto [it, added] = inodes_.try_emplace(inode_id);
  if (added) data_bytes_ += kInodeOverheadBytes;
  data_bytes_ -= it->second.memory_bytes();
  it->second.absorb(newer);
  data_bytes_ += it->second.memory_bytes();
}

void Overlay::forget_erased() {
  for (auto it = rows_.begin(); it != rows_.end();) {
    if (it->second) {
      ++it;
      continue;
    }
    row_bytes_ -= kRowOverheadBytes + it->first.size();
    index_.erase(it->first);
    it = rows_.erase(it);
  }
  for (auto it = inodes_.begin(); it != inodes_.end();) {
    data_bytes_ -= it->second.memory_bytes();
    it->second.forget_holes();
    data_bytes_ += it->second.memory_bytes();
    if (it->second.map().empty()) {
      data_bytes_ -= kInodeOverheadBytes;
      it = inodes_.erase(it);
    } else {
      ++it;
    }
  }
}

void Overlay::release_some(size_t count) {
  for (; count > 0 && !rows_.empty(); --count) {
    auto node = rows_.extract(rows_.begin());
    index_.erase(node.key());
  }
  while (count > 0 && !inodes_.empty()) {
    count -= std::min(count, inodes_.begin()->second.release_some(count));
    if (inodes_.begin()->second.map().empty()) inodes_.erase(inodes_.begin());
  }
}

}  // namespace pairfs
