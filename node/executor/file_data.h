// Changes of a regular file's bytes within a transaction, with size and allocated_bytes kept exact
// in the inode. Blocks are 4 KiB: a block is allocated when any byte of it was written.
//
// A dense inode (every block up to its size allocated, none behind) needs no question to the store;
// that is every file written from start to end. The caller stores the inode and moves its times.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

// EFBIG beyond 2^63-1.
Status check_range(uint64_t offset_bytes, uint64_t length_bytes);

void write_range(Context& context, Inode& inode, uint64_t offset_bytes, SharedBytes bytes);
// Zeros, allocated. The size grows to cover the range only with `extend`.
void zero_range(Context& context, Inode& inode, uint64_t offset_bytes, uint64_t length_bytes,
                bool extend);
// Allocates the holes of the range as zeros and leaves its data alone.
void fill_holes(Context& context, Inode& inode, uint64_t offset_bytes, uint64_t length_bytes,
                bool extend);
// A hole; the size stays.
void punch_range(Context& context, Inode& inode, uint64_t offset_bytes, uint64_t length_bytes);
void truncate_to(Context& context, Inode& inode, uint64_t size_bytes);

}  // namespace pairfs
