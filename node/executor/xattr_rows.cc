#include "node/executor/xattr_rows.h"

#include "common/acl.h"

namespace pairfs {

namespace {
void set_flag(Inode& inode, BytesView name, bool on) {
  if (name == kAccessAclName) inode.set(Inode::kAccessAcl, on);
  if (name == kDefaultAclName) inode.set(Inode::kDefaultAcl, on);
  if (name == kCapabilityName) inode.set(Inode::kCapability, on);
}
uint32_t name_bytes(BytesView name) { return static_cast<uint32_t>(name.size() + 1); }
}  // namespace

void put_xattr(Context& context, Inode& inode, BytesView name, Bytes value) {
  Bytes key = xattr_key(inode.id, name);
  if (!context.tx.get(key)) inode.xattr_names_bytes += name_bytes(name);
  context.tx.put(std::move(key), std::move(value));
  set_flag(inode, name, true);
}

void erase_xattr(Context& context, Inode& inode, BytesView name) {
  Bytes key = xattr_key(inode.id, name);
  if (!context.tx.get(key)) return;
  context.tx.erase(std::move(key));
  inode.xattr_names_bytes -= name_bytes(name);
  set_flag(inode, name, false);
}

}  // namespace pairfs
