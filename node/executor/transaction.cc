#include "node/executor/transaction.h"

namespace pairfs {

namespace {
// Most commands change fewer rows than this: comparing them is cheaper than hashing.
constexpr size_t kIndexFromRows = 24;
}  // namespace

const Changes::Row* Transaction::find(BytesView key) const {
  const auto& rows = changes_.rows;
  if (rows.size() >= kIndexFromRows) {
    const auto found = index_.find(Bytes(key));
    return found == index_.end() ? nullptr : &rows[found->second];
  }
  for (const auto& row : rows)
    if (row.key == key) return &row;
  return nullptr;
}

std::optional<Bytes> Transaction::get(BytesView key) const {
  if (const auto* row = find(key)) return row->value;
  return store_.get(key);
}

void Transaction::set(Bytes key, std::optional<Bytes> value) {
  if (const auto* row = find(key)) {
    changes_.rows[static_cast<size_t>(row - changes_.rows.data())].value = std::move(value);
    return;
  }
  changes_.rows.push_back({std::move(key), std::move(value)});
  const size_t count = changes_.rows.size();
  if (count == kIndexFromRows) {
    for (size_t i = 0; i < count; ++i) index_[changes_.rows[i].key] = i;
  } else if (count > kIndexFromRows) {
    index_[changes_.rows.back().key] = count - 1;
  }
}

void Transaction::put(Bytes key, Bytes value) { set(std::move(key), std::move(value)); }
void Transaction::erase(Bytes key) { set(std::move(key), std::nullopt); }

void Transaction::drop() {
  changes_ = {};
  index_.clear();
}

}  // namespace pairfs
