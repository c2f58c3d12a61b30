#include "node/executor/directories.h"

namespace pairfs {

Result<EntryRow> find_entry(const Context& context, const Inode& directory, BytesView name) {
  const Bytes key = entry_key(directory.id, name);
  PAIRFS_TRY(context.check_free(key));
  const auto value = context.tx.get(key);
  if (!value) return Errno{ENOENT};
  const auto entry = decode_entry(*value);
  if (!entry) return Errno{EIO};
  return *entry;
}

void add_entry(Context& context, Inode& directory, BytesView name, const InodeRef& inode,
               uint32_t type) {
  const uint64_t cookie = directory.next_cookie++;
  ++directory.entries;
  context.tx.put(entry_key(directory.id, name), encode_entry({inode, type, cookie}));
  context.tx.put(cookie_key(directory.id, cookie), Bytes(name));
}

void retarget_entry(Context& context, const Inode& directory, BytesView name, const EntryRow& old,
                    const InodeRef& inode, uint32_t type) {
  context.tx.put(entry_key(directory.id, name), encode_entry({inode, type, old.cookie}));
}

void remove_entry(Context& context, Inode& directory, BytesView name, const EntryRow& old) {
  --directory.entries;
  context.tx.erase(entry_key(directory.id, name));
  context.tx.erase(cookie_key(directory.id, old.cookie));
}

Status check_name(BytesView name) {
  if (name.empty()) return Errno{ENOENT};
  if (name.find('/') != name.npos || name.find('\0') != name.npos) return Errno{EINVAL};
  return success();
}
Status check_new_name(BytesView name, int dots) {
  PAIRFS_TRY(check_name(name));
  if (is_dots(name)) return Errno{dots};
  return success();
}

}  // namespace pairfs
