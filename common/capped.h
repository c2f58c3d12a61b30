// Octets and lists with a cap that decoding enforces (codec.h).
#pragma once

#include <vector>

#include "common/types.h"

namespace pairfs {

// Octets with a cap that decoding enforces.
template <size_t kMax>
struct CappedBytes : Bytes {
  using Bytes::Bytes;
  CappedBytes() = default;
  CappedBytes(Bytes b) : Bytes(std::move(b)) {}  // NOLINT: implicit
  CappedBytes(BytesView b) : Bytes(b) {}         // NOLINT: implicit
  static constexpr size_t kMaxBytes = kMax;
};
// A list with a cap that decoding enforces.
template <class T, size_t kMax>
struct CappedList : std::vector<T> {
  using std::vector<T>::vector;
  CappedList() = default;
  CappedList(std::vector<T> v) : std::vector<T>(std::move(v)) {}  // NOLINT: implicit
  static constexpr size_t kMaxItems = kMax;
};

}  // namespace pairfs
