// Encoding of commands and replies: the cereal layout of their serialize(), little-endian
// fixed-width integers, lengths as u32. The only door to bytes that came from a peer or a disk:
// a count may not exceed its field's cap nor what the remaining bytes can hold, trailing bytes
// are an error. Any thread.
//
// codec.cc is the one file that includes cereal; encode and decode are instantiated there for
// each command, each reply, and the types listed at its end.
#pragma once

#include <optional>

#include "common/types.h"

namespace pairfs {

template <class T>
Bytes encode(const T& value);

// nullopt: the bytes are not exactly one T.
template <class T>
std::optional<T> decode(BytesView bytes);

}  // namespace pairfs
