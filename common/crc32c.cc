#include "common/crc32c.h"

#include <isa-l.h>

#include <algorithm>
#include <climits>

namespace pairfs {

uint32_t crc32c(BytesView bytes, uint32_t previous) {
  uint32_t crc = ~previous;
  while (!bytes.empty()) {
    const size_t step = std::min<size_t>(bytes.size(), INT_MAX);
    // ISA-L's signature lacks const; it only reads.
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<char*>(bytes.data())),
                      static_cast<int>(step), crc);
    bytes.remove_prefix(step);
  }
  return ~crc;
}

}  // namespace pairfs
