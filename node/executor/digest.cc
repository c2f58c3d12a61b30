#include "node/executor/digest.h"

#include <algorithm>
#include <vector>

#include "common/crc32c.h"
#include "common/row_codec.h"
#include "node/executor/schema.h"

namespace pairfs {

namespace {
constexpr uint64_t kPieceBytes = 256 * kFileBlockBytes;

uint32_t add_number(uint64_t number, uint32_t crc) {
  return crc32c({reinterpret_cast<const char*>(&number), sizeof number}, crc);
}

// Blocks of zeros say nothing, so that a hole and written zeros count alike.
uint32_t add_blocks(BytesView bytes, uint64_t offset, uint32_t crc) {
  for (size_t at = 0; at < bytes.size(); at += kFileBlockBytes) {
    const BytesView block = bytes.substr(at, kFileBlockBytes);
    if (block.find_first_not_of('\0') == block.npos) continue;
    crc = crc32c(block, add_number(offset + at, crc));
  }
  return crc;
}

Result<uint32_t> add_file(const VolumeStore& store, const Inode& inode, uint32_t crc) {
  crc = add_number(inode.id, crc);
  uint64_t at = 0;
  while (at < inode.size_bytes) {
    const auto data = store.seek(inode.id, at, true);
    if (!data || *data >= inode.size_bytes) break;
    at = round_down_to_block(*data);
    const uint64_t length = std::min(kPieceBytes, inode.size_bytes - at);
    PAIRFS_ASSIGN(const SharedBytes bytes, store.plan_read(inode.id, at, length)->run());
    crc = add_blocks(bytes.view(), at, crc);
    at += length;
  }
  return crc;
}
}  // namespace

Result<uint32_t> digest(const VolumeStore& store) {
  uint32_t crc = 0;
  std::vector<Inode> files;
  store.scan({}, Bytes(1, kEndOfFamilies), [&](BytesView key, BytesView value) {
    crc = crc32c(key, add_number(key.size(), crc));
    crc = crc32c(value, add_number(value.size(), crc));
    if (key.size() == 9 && key[0] == static_cast<char>(Family::kInode)) {
      const auto inode = decode_inode(read_big_endian<uint64_t>(key, 1), value);
      if (inode && inode->is_regular()) files.push_back(*inode);
    }
    return true;
  });
  for (const Inode& inode : files) {
    PAIRFS_ASSIGN(crc, add_file(store, inode, crc));
  }
  return crc;
}

}  // namespace pairfs
