// Writes and reads the octets of rows: little-endian integers in values, big-endian ones in keys,
// so that keys sort by number. Any thread.
#pragma once

#include <bit>
#include <concepts>
#include <cstring>

#include "common/types.h"

namespace pairfs {

static_assert(std::endian::native == std::endian::little, "rows are little-endian");

template <std::unsigned_integral T>
void append_big_endian(Bytes& key, T value) {
  for (int shift = 8 * (static_cast<int>(sizeof(T)) - 1); shift >= 0; shift -= 8)
    key.push_back(static_cast<char>(value >> shift));
}
template <std::unsigned_integral T>
T read_big_endian(BytesView key, size_t at) {
  T value = 0;
  for (size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value << 8 | static_cast<uint8_t>(key[at + i]));
  return value;
}

class RowWriter {
 public:
  explicit RowWriter(size_t expected_bytes) { out_.reserve(expected_bytes); }
  template <class T>
  requires std::is_arithmetic_v<T> RowWriter& operator()(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  RowWriter& operator()(Timestamp t) { return (*this)(t.seconds)(t.nanoseconds); }
  RowWriter& operator()(InodeRef ref) { return (*this)(ref.id)(ref.generation); }
  // Length and octets.
  RowWriter& operator()(BytesView bytes) {
    (*this)(static_cast<uint32_t>(bytes.size()));
    out_.append(bytes);
    return *this;
  }
  Bytes take() { return std::move(out_); }

 private:
  Bytes out_;
};

// A short row makes ok() false and gives zeros from there on.
class RowReader {
 public:
  explicit RowReader(BytesView in) : in_(in) {}
  template <class T>
  requires std::is_arithmetic_v<T> RowReader& operator()(T& value) {
    if (in_.size() < sizeof value) return fail();
    std::memcpy(&value, in_.data(), sizeof value);
    in_.remove_prefix(sizeof value);
    return *this;
  }
  RowReader& operator()(Timestamp& t) { return (*this)(t.seconds)(t.nanoseconds); }
  RowReader& operator()(InodeRef& ref) { return (*this)(ref.id)(ref.generation); }
  RowReader& operator()(Bytes& bytes) {
    uint32_t length = 0;
    (*this)(length);
    if (in_.size() < length) return fail();
    bytes.assign(in_.substr(0, length));
    in_.remove_prefix(length);
    return *this;
  }
  bool ok() const { return ok_; }
  size_t remaining() const { return in_.size(); }

 private:
  RowReader& fail() {
    ok_ = false;
    in_ = {};
    return *this;
  }
  BytesView in_;
  bool ok_ = true;
};

}  // namespace pairfs
