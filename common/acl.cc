#include "common/acl.h"

#include <algorithm>

#include "common/row_codec.h"

namespace pairfs {

namespace {
constexpr uint32_t kXattrVersion = 2;
constexpr size_t kEntryBytes = 8;

// The order of acl(5): owner, users, group, groups, mask, other; exactly one of the first, third
// and last; a mask when users or groups are named; ids once each.
bool is_valid(const Acl& acl) {
  int owners = 0, groups_obj = 0, masks = 0, others = 0;
  bool named = false;
  uint16_t last_tag = 0;
  for (const AclEntry& entry : acl) {
    if (entry.tag < last_tag || (entry.permissions & ~7U) != 0) return false;
    last_tag = entry.tag;
    switch (entry.tag) {
      case AclEntry::kUserObj:
        ++owners;
        break;
      case AclEntry::kGroupObj:
        ++groups_obj;
        break;
      case AclEntry::kMask:
        ++masks;
        break;
      case AclEntry::kOther:
        ++others;
        break;
      case AclEntry::kUser:
      case AclEntry::kGroup:
        named = true;
        if (entry.id == ~0U) return false;
        break;
      default:
        return false;
    }
  }
  return owners == 1 && groups_obj == 1 && others == 1 && masks <= 1 && (!named || masks == 1);
}

AclEntry* find(Acl& acl, uint16_t tag) {
  for (AclEntry& entry : acl)
    if (entry.tag == tag) return &entry;
  return nullptr;
}
}  // namespace

bool in_group(const Credentials& credentials, uint32_t gid) {
  return credentials.gid == gid || std::find(credentials.groups.begin(), credentials.groups.end(),
                                             gid) != credentials.groups.end();
}

std::optional<Acl> decode_acl(BytesView value) {
  RowReader in(value);
  uint32_t version = 0;
  in(version);
  if (!in.ok() || version != kXattrVersion || in.remaining() % kEntryBytes != 0)
    return std::nullopt;
  Acl acl(in.remaining() / kEntryBytes);
  for (AclEntry& entry : acl) {
    in(entry.tag)(entry.permissions)(entry.id);
    if (entry.tag != AclEntry::kUser && entry.tag != AclEntry::kGroup) entry.id = ~0U;
  }
  // getfacl and setfacl sort, but the kernel takes users and groups in any order of ids.
  if (!acl.empty() && !is_valid(acl)) return std::nullopt;
  return acl;
}

Bytes encode_acl(const Acl& acl) {
  RowWriter out(4 + acl.size() * kEntryBytes);
  out(kXattrVersion);
  for (const AclEntry& entry : acl) out(entry.tag)(entry.permissions)(entry.id);
  return out.take();
}

AclMode mode_of(const Acl& acl) {
  AclMode mode;
  for (const AclEntry& entry : acl) {
    switch (entry.tag) {
      case AclEntry::kUserObj:
        mode.bits |= uint32_t{entry.permissions} << 6;
        break;
      case AclEntry::kGroupObj:
        mode.bits |= uint32_t{entry.permissions} << 3;
        break;
      case AclEntry::kOther:
        mode.bits |= entry.permissions;
        break;
      case AclEntry::kMask:
        mode.bits = (mode.bits & ~070U) | uint32_t{entry.permissions} << 3;
        mode.extended = true;
        break;
      default:
        mode.extended = true;
    }
  }
  return mode;
}

// fs/posix_acl.c, posix_acl_permission(): owner; named user; then any matching group that grants
// all of the mask; a match that grants too little denies; else other.
bool acl_allows(const Acl& acl, uint32_t owner_uid, uint32_t owner_gid,
                const Credentials& credentials, uint32_t mask) {
  uint16_t limit = 7;
  for (const AclEntry& entry : acl)
    if (entry.tag == AclEntry::kMask) limit = entry.permissions;
  const auto grants = [&](uint16_t permissions) { return (permissions & mask) == mask; };
  const auto masked = [&](const AclEntry& entry) {
    return static_cast<uint16_t>(entry.permissions & limit);
  };
  bool group_matched = false;
  for (const AclEntry& entry : acl) {
    switch (entry.tag) {
      case AclEntry::kUserObj:
        if (credentials.uid == owner_uid) return grants(entry.permissions);
        break;
      case AclEntry::kUser:
        if (credentials.uid == entry.id) return grants(masked(entry));
        break;
      case AclEntry::kGroupObj:
      case AclEntry::kGroup:
        if (in_group(credentials, entry.tag == AclEntry::kGroup ? entry.id : owner_gid)) {
          if (grants(masked(entry))) return true;
          group_matched = true;
        }
        break;
      case AclEntry::kOther:
        return !group_matched && grants(entry.permissions);
      default:
        break;
    }
  }
  return false;
}

void apply_chmod(Acl& acl, uint32_t mode) {
  AclEntry* mask = find(acl, AclEntry::kMask);
  if (mask == nullptr) mask = find(acl, AclEntry::kGroupObj);
  if (mask != nullptr) mask->permissions = (mode >> 3) & 7;
  if (AclEntry* owner = find(acl, AclEntry::kUserObj)) owner->permissions = (mode >> 6) & 7;
  if (AclEntry* other = find(acl, AclEntry::kOther)) other->permissions = mode & 7;
}

// fs/posix_acl.c, posix_acl_create_masq().
Acl inherit(const Acl& default_acl, uint32_t& mode) {
  Acl acl = default_acl;
  const auto cut = [](AclEntry* entry, uint32_t bits) {
    if (entry != nullptr) entry->permissions = static_cast<uint16_t>(entry->permissions & bits);
  };
  cut(find(acl, AclEntry::kUserObj), (mode >> 6) & 7);
  AclEntry* mask = find(acl, AclEntry::kMask);
  cut(mask != nullptr ? mask : find(acl, AclEntry::kGroupObj), (mode >> 3) & 7);
  cut(find(acl, AclEntry::kOther), mode & 7);
  mode = (mode & ~0777U) | mode_of(acl).bits;
  return acl;
}

}  // namespace pairfs
