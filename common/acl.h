// POSIX ACLs (POSIX 1003.1e draft 17, as in the kernel's fs/posix_acl.c and acl(5)): their octets
// as the xattrs system.posix_acl_access and _default carry them, checking, inheritance, chmod. No
// store access. Any thread.
#pragma once

#include <optional>
#include <vector>

#include "common/commands.h"

namespace pairfs {

inline constexpr char kAccessAclName[] = "system.posix_acl_access";
inline constexpr char kDefaultAclName[] = "system.posix_acl_default";

struct AclEntry {
  enum Tag : uint16_t {
    kUserObj = 0x01,
    kUser = 0x02,
    kGroupObj = 0x04,
    kGroup = 0x08,
    kMask = 0x10,
    kOther = 0x20,
  };
  uint16_t tag = 0;
  uint16_t permissions = 0;  // rwx
  uint32_t id = ~0U;         // of kUser and kGroup
};
using Acl = std::vector<AclEntry>;

// The xattr's octets. nullopt: not a valid ACL (unknown version or tag, wrong order, a required
// entry missing). An empty list of entries is valid octets and means "no ACL".
std::optional<Acl> decode_acl(BytesView value);
Bytes encode_acl(const Acl& acl);

// The nine mode bits that the ACL shows; `extended` when it says more than they can.
struct AclMode {
  uint32_t bits = 0;
  bool extended = false;
};
AclMode mode_of(const Acl& acl);

// True when a process that is not root may do what `mask` (R_OK | W_OK | X_OK) says.
bool acl_allows(const Acl& acl, uint32_t owner_uid, uint32_t owner_gid,
                const Credentials& credentials, uint32_t mask);

// chmod on a file with an ACL: owner, mask (or group) and other take the mode's bits.
void apply_chmod(Acl& acl, uint32_t mode);
// A new file takes a copy of its directory's default ACL, cut by the mode that creat(2) asked for.
// `mode` gets the resulting bits (its other bits stay).
Acl inherit(const Acl& default_acl, uint32_t& mode);

bool in_group(const Credentials& credentials, uint32_t gid);

}  // namespace pairfs
