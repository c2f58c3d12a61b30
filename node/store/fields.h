// Fixed-width integers in byte strings: little-endian in values, big-endian in keys (so that they
// sort). A reader notes when the bytes end too early instead of failing at each field.
#pragma once

#include <type_traits>

#include "common/types.h"

namespace pairfs {

template <class T>
void put_little(Bytes* out, T value) {
  for (size_t i = 0; i < sizeof(T); ++i) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xff));
  }
}
template <class T>
void put_big(Bytes* out, T value) {
  for (size_t i = sizeof(T); i-- > 0;) {
    out->push_back(static_cast<char>(static_cast<uint64_t>(value) >> (8 * i) & 0xff));
  }
}

class FieldReader {
 public:
  explicit FieldReader(BytesView bytes) : bytes_(bytes) {}

  template <class T>
  T little() {
    uint64_t value = 0;
    const BytesView field = take(sizeof(T));
    for (size_t i = field.size(); i-- > 0;) value = value << 8 | static_cast<uint8_t>(field[i]);
    return static_cast<T>(value);
  }
  template <class T>
  T big() {
    uint64_t value = 0;
    for (const char c : take(sizeof(T))) value = value << 8 | static_cast<uint8_t>(c);
    return static_cast<T>(value);
  }
  // The next `size` bytes; none when there are fewer.
  BytesView take(size_t size) {
    if (size > bytes_.size()) {
      complete_ = false;
      bytes_ = {};
      return {};
    }
    const BytesView field = bytes_.substr(0, size);
    bytes_.remove_prefix(size);
    return field;
  }
  BytesView rest() const { return bytes_; }
  bool complete() const { return complete_; }  // nothing was missing
  bool at_end() const { return complete_ && bytes_.empty(); }

 private:
  BytesView bytes_;
  bool complete_ = true;
};

}  // namespace pairfs
