// Loading, making, storing and freeing inodes within a transaction.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

inline constexpr uint64_t kFileMaxBytes = 0x7fff'ffff'ffff'ffff;  // of size and of offset + length
// Directories and others alike, as in XFS; ext4 stops at 65,000.
inline constexpr uint32_t kLinksMax = 0x7fff'ffff;

// ESTALE: there is no such inode any more; EXDEV: it lives on another volume; kHeld.
Result<Inode> load_inode(const Context& context, const InodeRef& ref);
// As load_inode, and ENOTDIR.
Result<Inode> load_directory(const Context& context, const InodeRef& ref);
void store_inode(Context& context, const Inode& inode);
Attributes attributes_of(const Inode& inode);

// The inode that `resolved` names in a replay, else the next one of the slice, written there.
InodeRef new_inode_ref(Context& context, Slice slice, Resolved& resolved);

// A name of the inode went away and its link count is already lowered: stores it, and when it was
// the last name makes it an orphan or frees it at once.
// `replaced`: another inode has the name now. Who looked it up just before may still open it, as on
// a local filesystem: a file is then kept for kReplacedGrace.
void store_unlinked(Context& context, Inode& inode, Resolved& resolved, bool replaced = false);
inline constexpr Duration kReplacedGrace = std::chrono::seconds(2);
// Erases an inode with all that belongs to it: data, xattrs, symlink target, locks, orphan row.
void erase_inode(Context& context, const Inode& inode);

}  // namespace pairfs
