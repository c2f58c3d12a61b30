#include "test/contract/store_model.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <cstring>
#include <string>

namespace pairfs::test {
namespace {

using What = Changes::Data::What;
constexpr uint64_t kInodeCount = 12;
constexpr uint64_t kRowCount = 60;

uint64_t pick(Random& random, uint64_t below) { return random() % below; }

Bytes random_key(Random& random) {
  return "key" + std::to_string(pick(random, kRowCount)) + (pick(random, 4) == 0 ? "\x01x" : "");
}

Bytes random_bytes(Random& random, size_t size) {
  Bytes bytes(size, '\0');
  const char base = static_cast<char>('a' + pick(random, 26));
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(base + i % 7);
  return bytes;
}

// Offsets and lengths that like block borders, as those are where mistakes are.
uint64_t random_offset(Random& random) {
  const uint64_t block = pick(random, kModelBlocks) * kBlockBytes;
  switch (pick(random, 4)) {
    case 0:
      return block + pick(random, kBlockBytes);
    case 1:
      return block + kBlockBytes - 1;
    default:
      return block;
  }
}
uint64_t random_length(Random& random, uint64_t room) {
  uint64_t length = 1 + pick(random, 3 * kBlockBytes);
  if (pick(random, 3) == 0) length = (1 + pick(random, 12)) * kBlockBytes;
  if (pick(random, 3) == 0) length = 1 + pick(random, 100);
  return std::min(length, room);
}

}  // namespace

void StoreModel::apply(const Changes& changes, Sequence at) {
  sequence = at;
  for (const Changes::Row& row : changes.rows) {
    if (row.value) {
      rows[row.key] = *row.value;
    } else {
      rows.erase(row.key);
    }
  }
  for (const Changes::Data& data : changes.data) {
    Inode& inode = inodes[data.inode_id];
    const bool drop = data.what == What::kDrop;
    const uint64_t from = drop ? 0 : data.offset_bytes;
    const uint64_t length = data.what == What::kWrite ? data.bytes.size() : data.length_bytes;
    const uint64_t to = drop ? kModelBytes : std::min(kModelBytes, range_end(from, length));
    for (uint64_t block = block_floor(from); block < block_ceil(to); ++block) {
      const bool whole = from <= block_start(block) && block_start(block + 1) <= to;
      BlockState& state = inode.blocks[block];
      if (data.what == What::kWrite) {
        state = BlockState::kData;
      } else if (data.what == What::kZero) {
        state = whole ? BlockState::kZero : std::max(state, BlockState::kZero);
      } else if (whole) {
        state = BlockState::kHole;
      }
    }
    if (from >= to) continue;
    if (data.what == What::kWrite) {
      std::memcpy(inode.bytes.data() + from, data.bytes.view().data(), to - from);
    } else {
      std::memset(inode.bytes.data() + from, 0, to - from);
    }
  }
}

Changes random_changes(Random& random) {
  Changes changes;
  for (uint64_t i = pick(random, 4); i > 0; --i) {
    Changes::Row row{random_key(random), std::nullopt};
    if (pick(random, 3) != 0) row.value = random_bytes(random, pick(random, 200));
    changes.rows.push_back(std::move(row));
  }
  for (uint64_t i = pick(random, 3); i > 0; --i) {
    Changes::Data data{};
    data.inode_id = 1 + pick(random, kInodeCount);
    data.offset_bytes = data.inode_id <= 3 ? pick(random, 2 * kBlockBytes) : random_offset(random);
    data.length_bytes = random_length(random, kModelBytes - data.offset_bytes);
    const uint64_t what = pick(random, 20);
    if (what < 12) {
      data.what = What::kWrite;
      data.bytes = SharedBytes::from(random_bytes(random, data.length_bytes));
    } else if (what < 15) {
      data.what = What::kZero;
    } else if (what < 19) {
      data.what = What::kPunch;
      if (pick(random, 3) == 0) data.length_bytes = Changes::kToEnd;
    } else {
      data.what = What::kDrop;
    }
    changes.data.push_back(std::move(data));
  }
  return changes;
}

namespace {

void check_rows(const VolumeStore& store, const StoreModel& model, Random& random, bool thorough) {
  for (int i = 0; i < (thorough ? 100 : 3); ++i) {
    const Bytes key = random_key(random);
    auto it = model.rows.find(key);
    const auto value = store.get(key);
    REQUIRE(value.has_value() == (it != model.rows.end()));
    if (value) REQUIRE(*value == it->second);
  }
  Bytes from = thorough ? Bytes() : random_key(random);
  Bytes to = thorough ? Bytes("\xff") : random_key(random);
  auto it = model.rows.lower_bound(from);
  size_t seen = 0;
  const size_t stop_after = thorough ? ~size_t{0} : pick(random, 10);
  store.scan(from, to, [&](BytesView key, BytesView value) {
    REQUIRE(it != model.rows.end());
    REQUIRE(key < BytesView(to));
    REQUIRE(key == BytesView(it->first));
    REQUIRE(value == BytesView(it->second));
    ++it;
    return ++seen <= stop_after;
  });
  if (seen <= stop_after && from < to) REQUIRE((it == model.rows.end() || it->first >= to));
}

void check_read(const VolumeStore& store, uint64_t inode_id, const StoreModel::Inode& inode,
                ByteRange range) {
  auto plan = store.plan_read(inode_id, range.from, range.to - range.from);
  auto bytes = plan->run();
  REQUIRE(bytes.error() == 0);
  REQUIRE(bytes->size() == range.to - range.from);
  const BytesView expected(inode.bytes.data() + range.from, range.to - range.from);
  if (bytes->view() != expected) {
    size_t at = 0;
    while (bytes->view()[at] == expected[at]) ++at;
    FAIL("inode ", inode_id, " differs at byte ", range.from + at, " of [", range.from, ", ",
         range.to, ")");
  }
}

void check_states(const VolumeStore& store, uint64_t inode_id, const StoreModel::Inode& inode,
                  ByteRange range) {
  uint64_t allocated = 0;
  for (uint64_t block = block_floor(range.from); block < block_ceil(range.to); ++block) {
    if (inode.blocks[block] != BlockState::kHole) allocated += kBlockBytes;
  }
  REQUIRE(store.allocated_bytes(inode_id, range.from, range.to - range.from) == allocated);
  for (bool want_data : {true, false}) {
    std::optional<uint64_t> expected;
    for (uint64_t block = block_floor(range.from); block < kModelBlocks && !expected; ++block) {
      if ((inode.blocks[block] == BlockState::kData) == want_data) {
        expected = std::max(range.from, block_start(block));
      }
    }
    if (!expected && !want_data) expected = kModelBytes;
    REQUIRE(store.seek(inode_id, range.from, want_data) == expected);
  }
}

}  // namespace

void check_equal(const VolumeStore& store, const StoreModel& model, Random& random, bool thorough) {
  REQUIRE(store.applied_sequence() == model.sequence);
  check_rows(store, model, random, thorough);
  const StoreModel::Inode nothing;
  for (uint64_t inode_id = 1; inode_id <= kInodeCount; ++inode_id) {
    if (!thorough && pick(random, 4) != 0) continue;
    auto it = model.inodes.find(inode_id);
    const StoreModel::Inode& inode = it == model.inodes.end() ? nothing : it->second;
    const uint64_t from = random_offset(random);
    const uint64_t to = from + random_length(random, kModelBytes - from);
    check_read(store, inode_id, inode, thorough ? ByteRange{0, kModelBytes} : ByteRange{from, to});
    check_states(store, inode_id, inode, {from, to});
    if (thorough) check_states(store, inode_id, inode, {0, kModelBytes});
  }
}

uint64_t seed_or(uint64_t fallback) {
  const char* text = std::getenv("PAIRFS_SEED");
  return text != nullptr ? std::strtoull(text, nullptr, 10) : fallback;
}

}  // namespace pairfs::test
