// The entries of a directory within a transaction: a row by name and a row by cookie each. The
// directory's Inode is changed in memory (cookie counter, number of entries); its caller stores it.
#pragma once

#include "node/executor/context.h"

namespace pairfs {

// The entry's row; ENOENT, kHeld.
Result<EntryRow> find_entry(const Context& context, const Inode& directory, BytesView name);
// The name must be absent.
void add_entry(Context& context, Inode& directory, BytesView name, const InodeRef& inode,
               uint32_t type);
// Lets the name, whose row was `old`, stand for another inode. Its cookie stays.
void retarget_entry(Context& context, const Inode& directory, BytesView name, const EntryRow& old,
                    const InodeRef& inode, uint32_t type);
void remove_entry(Context& context, Inode& directory, BytesView name, const EntryRow& old);

// A name that may be looked up or made: ENOENT when empty, EINVAL when it has a '/' or a NUL.
Status check_name(BytesView name);
// As check_name, and `dots` for "." and "..".
Status check_new_name(BytesView name, int dots);
inline bool is_dots(BytesView name) { return name == "." || name == ".."; }

// The command changed the directory's entries: its times move.
inline void touch_directory(Inode& directory, const Timestamp& now) {
  directory.mtime = directory.ctime = now;
}

}  // namespace pairfs
