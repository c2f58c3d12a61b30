#include "fuse/lease_cache.h"

#include <algorithm>
#include <cerrno>

#include "common/test_switch.h"

namespace pairfs {

namespace {
constexpr int kNotKnown =
    0x40000;  // an "errno" that never leaves this file: the executor must be asked
constexpr uint64_t kDotDotCookie = 2;

// As long as struct fuse_dirent(plus) of the kernel: what a page of a listing is filled by.
size_t listed_bytes(const Name& name, bool with_attributes) {
  return ((with_attributes ? 152 : 24) + name.size() + 7) & ~size_t{7};
}
}  // namespace

// ---- nodes ----

LeaseCache::Node& LeaseCache::node_of(uint64_t inode_id) {
  const auto [found, made] = nodes_.try_emplace(inode_id);
  Node& node = found->second;
  if (made) {
    by_use_.push_front(inode_id);
    node.place = by_use_.begin();
    node.changed_at = floor_;
    ++items_;
  }
  return node;
}

LeaseCache::Node* LeaseCache::valid(const InodeRef& inode, Instant now) {
  const auto found = nodes_.find(inode.id);
  if (found == nodes_.end()) return nullptr;
  Node& node = found->second;
  if (!node.held || node.inode != inode) return nullptr;
  const auto granter = granters_.find(node.volume);
  if (granter == granters_.end()) return nullptr;
  if (now >= granter->second.until && !PAIRFS_MUTANT(lease_survives_term)) return nullptr;
  by_use_.splice(by_use_.begin(), by_use_, node.place);
  return &node;
}

void LeaseCache::drop_listing(Node& node) {
  if (node.directory == nullptr) return;
  items_ -= node.directory->listing.size();
  node.directory->listing.clear();
  node.directory->listed = false;
}

void LeaseCache::forget_access(Node& node) {
  node.known = Known::kNothing;
  node.acl_known = false;
  node.acl.reset();
  node.xattrs.clear();
  for (auto& names : node.xattr_names) names.reset();
}

// All that is known; changed_at and changing stay.
void LeaseCache::clear(Node& node) {
  node.held = node.writer = node.asked = false;
  forget_access(node);
  drop_listing(node);
  if (node.directory != nullptr) items_ -= node.directory->names.size();
  node.directory.reset();
  node.target.reset();
}

void LeaseCache::set_name(Node& node, BytesView name, const Child& child) {
  if (node.directory == nullptr) node.directory = std::make_unique<Directory>();
  if (node.directory->names.insert_or_assign(Bytes(name), child).second) ++items_;
}

// What was used longest ago goes, unless a command is changing it. The executor is not told: it
// asks for it some time, and gets its answer.
void LeaseCache::evict() {
  auto at = by_use_.end();
  while (items_ > kItemsMax && at != by_use_.begin()) {
    --at;
    Node& node = nodes_.at(*at);
    if (node.changing != 0) continue;
    clear(node);
    floor_ = std::max(floor_, node.changed_at);
    nodes_.erase(*at);
    --items_;
    at = by_use_.erase(at);
  }
}

// ---- leases ----

void LeaseCache::renewed(VolumeId volume, Epoch epoch, Instant until, Instant now) {
  Granter& granter = granters_[volume];
  if (epoch < granter.epoch) return;
  const bool other_epoch = epoch != granter.epoch && !PAIRFS_MUTANT(lease_survives_epoch);
  if (granter.epoch != 0 && (other_epoch || now >= granter.until) &&
      !PAIRFS_MUTANT(lease_survives_term)) {
    drop_volume(volume);
    granters_[volume] = {epoch, until};
    return;
  }
  granter.epoch = epoch;
  granter.until = std::max(granter.until, until);
}

bool LeaseCache::is_writer(const InodeRef& inode, Instant now) const {
  const auto found = nodes_.find(inode.id);
  if (found == nodes_.end() || !found->second.writer || found->second.inode != inode) return false;
  const auto granter = granters_.find(found->second.volume);
  return granter != granters_.end() && now < granter->second.until;
}

void LeaseCache::end_writer(uint64_t inode_id) {
  if (const auto found = nodes_.find(inode_id); found != nodes_.end()) found->second.writer = false;
}

void LeaseCache::take_writer(const Note& note, const Grant& grant) {
  if (Node* node = hold(note, grant, note.first)) node->writer = true;
}

void LeaseCache::recall(uint64_t inode_id) {
  ++counters_.recalled;
  if (PAIRFS_MUTANT(recall_unheeded)) return;
  Node& node = node_of(inode_id);
  clear(node);
  node.changed_at = ++clock_;
}

void LeaseCache::drop_volume(VolumeId volume) {
  granters_.erase(volume);
  for (auto& [id, node] : nodes_)
    if (node.volume == volume) clear(node);
  floor_ = ++clock_;
}

// ---- own commands ----

std::vector<InodeRef> LeaseCache::touched(const Note& note) {
  std::vector<InodeRef> inodes;
  if (note.first.id != 0) inodes.push_back(note.first);
  if (note.second.id != 0 && note.second.id != note.first.id) inodes.push_back(note.second);
  return inodes;
}

void LeaseCache::touch(const Note& note, bool access) {
  if (PAIRFS_MUTANT(own_change_unnoticed)) return;
  for (const InodeRef& inode : touched(note)) {
    Node& node = node_of(inode.id);
    ++node.changing;
    node.changed_at = note.begun;
    if (access)
      forget_access(node);
    else if (node.known == Known::kAll)
      node.known = Known::kAccess;
    drop_listing(node);
  }
  doubt_name(note.first, note.name);
  doubt_name(note.second, note.second_name);
}

// The other names of the directory are as they were.
void LeaseCache::doubt_name(const InodeRef& directory, const Name& name) {
  if (directory.id == 0 || name.empty()) return;
  Node& node = nodes_.at(directory.id);
  if (node.directory != nullptr) set_name(node, name, {.in_doubt = true});
}

void LeaseCache::untouch(const Note& note) {
  if (PAIRFS_MUTANT(own_change_unnoticed)) return;
  for (const InodeRef& inode : touched(note)) {
    Node& node = nodes_.at(inode.id);
    --node.changing;
    // Alone on the inode from begin to end: nothing can have happened there since it was executed.
    const bool alone = node.changing == 0 && node.changed_at == note.begun;
    node.told_by = alone ? note.begun : 0;
    node.changed_at = ++clock_;
  }
}

// What it made, opened, truncated or linked.
void LeaseCache::entry_changed(const Note& note, uint64_t inode_id) {
  if (PAIRFS_MUTANT(own_change_unnoticed)) return;
  Node& node = node_of(inode_id);
  const bool others =
      node.changing != 0 || (node.changed_at > note.begun && node.told_by != note.begun);
  node.told_by = others ? 0 : note.begun;
  node.changed_at = ++clock_;
  forget_access(node);
}

// Inodes that the command changed and did not name.
void LeaseCache::take_changes(const Grant& grant) {
  if (!grant.told) {
    std::vector<VolumeId> all;
    for (const auto& [volume, granter] : granters_) all.push_back(volume);
    for (const VolumeId volume : all) {
      const Granter granter = granters_.at(volume);
      drop_volume(volume);
      granters_[volume] = granter;
    }
    return;
  }
  for (const uint64_t inode_id : grant.changed) {
    if (inode_id == 0) continue;
    Node& node = node_of(inode_id);
    node.changed_at = ++clock_;
    if (PAIRFS_MUTANT(own_change_unnoticed)) continue;
    const bool held = node.held;
    clear(node);
    node.held = held;
  }
}

// The access time is about to move, unless it is ahead of the others.
void LeaseCache::note_read(const InodeRef& inode) {
  const auto found = nodes_.find(inode.id);
  if (found == nodes_.end()) return;
  Node& node = found->second;
  if (node.known == Known::kAll && !reading_is_noted(node, true)) node.known = Known::kAccess;
}

bool LeaseCache::reading_is_noted(const Node& node, bool update_atime) const {
  const Attributes& a = node.attributes;
  return !update_atime || !is_access_time_due(a.atime, a.mtime, a.ctime, a.atime);
}

// ---- what replies teach ----

LeaseCache::Node* LeaseCache::hold(const Note& note, const Grant& grant, const InodeRef& inode) {
  Node& node = node_of(inode.id);
  const bool own = note.mutation && node.told_by == note.begun;
  const bool later = node.changed_at < note.begun && node.changing == 0;
  if (((!own && !later) || note.begun <= floor_) && !PAIRFS_MUTANT(late_grant_believed)) {
    PAIRFS_REACHED(late_grant_ignored);
    ++counters_.late;
    return nullptr;
  }
  if (!node.held || node.inode != inode || node.volume != grant.volume) {
    clear(node);
    node.held = true;
    node.inode = inode;
    node.volume = grant.volume;
  }
  by_use_.splice(by_use_.begin(), by_use_, node.place);
  return &node;
}

void LeaseCache::take_attributes(const Note& note, const Grant& grant, const Attributes& attributes,
                                 bool acl) {
  Node* node = hold(note, grant, attributes.inode);
  if (node == nullptr) return;
  node->attributes = attributes;
  node->known = Known::kAll;
  node->asked = false;
  if (!acl) {
    node->acl_known = true;
    node->acl.reset();
  }
  evict();
}

void LeaseCache::take_child(const Note& note, const Grant& grant, BytesView name, int error,
                            const EntryReply& reply) {
  const bool entry = error == 0 && (grant.bits & kGrantEntry) != 0 && !reply.remote;
  if (entry) take_attributes(note, grant, reply.attributes, (grant.bits & kGrantEntryAcl) != 0);
  if ((grant.bits & kGrantFirst) == 0 || name == "." || name == "..") return;
  Node* directory = hold(note, grant, note.first);
  if (directory == nullptr) return;
  if ((grant.bits & kGrantFirstAcl) == 0 && !note.mutation) {
    directory->acl_known = true;
    directory->acl.reset();
  }
  if (error == 0)
    set_name(*directory, name,
             {reply.attributes.inode, reply.attributes.mode & S_IFMT, reply.remote});
  else if (error == ENOENT && !note.mutation)
    set_name(*directory, name, {});
  evict();
}

// A directory just made has no names.
void LeaseCache::take_empty(const Note& note, const InodeRef& made) {
  Node& node = node_of(made.id);
  if (!node.held || node.told_by != note.begun || node.directory != nullptr) return;
  node.directory = std::make_unique<Directory>();
  node.directory->all_names = true;
}

void LeaseCache::take_gone(const Note& note, const Grant& grant) {
  if (Node* directory = hold(note, grant, note.first)) set_name(*directory, note.name, {});
}

// What the names stand for was not told, only that both changed.
void LeaseCache::take_renamed(const Note& note, const Grant& grant) {
  hold(note, grant, note.first);
  hold(note, grant, note.second);
}

void LeaseCache::take_xattr(const Note& note, const Grant& grant, int error,
                            const XattrValue& value) {
  // Others are told that there is none, whether there is one or not.
  if (error != 0 && !note.as_root && note.name.starts_with("trusted.")) return;
  Node* node = hold(note, grant, note.first);
  if (node == nullptr) return;
  if (node->xattrs.size() > 64) node->xattrs.clear();
  node->xattrs[note.name] = error == 0 ? std::optional(value) : std::nullopt;
  if (note.name != kAccessAclName) return;
  node->acl.reset();
  if (error == 0) node->acl = decode_acl(value);
  node->acl_known = error == ENODATA || node->acl.has_value();
  node->asked = false;
}

void LeaseCache::take_xattr_names(const Note& note, const Grant& grant, const XattrValue& value) {
  if (Node* node = hold(note, grant, note.first)) node->xattr_names[note.as_root ? 1 : 0] = value;
}

void LeaseCache::take_target(const Note& note, const Grant& grant, const LinkTarget& target) {
  if (Node* node = hold(note, grant, note.first)) node->target = target;
}

void LeaseCache::take_listing(const Note& note, const Grant& grant, const DirectoryReply& reply) {
  if ((grant.bits & kGrantEntry) != 0)
    for (const DirectoryEntry& entry : reply.entries)
      if (entry.has_attributes)
        take_attributes(note, grant, entry.attributes, (grant.bits & kGrantEntryAcl) != 0);
  Node* node = hold(note, grant, note.first);
  if (node == nullptr) return;
  if (node->directory == nullptr) node->directory = std::make_unique<Directory>();
  Directory& directory = *node->directory;
  if (note.cookie == 0) drop_listing(*node);
  const uint64_t last = directory.listing.empty() ? 0 : directory.listing.back().cookie;
  if (last != note.cookie || directory.listed) return;
  if (directory.listing.size() + reply.entries.size() > kListedMax) return drop_listing(*node);
  for (const DirectoryEntry& entry : reply.entries) {
    directory.listing.push_back(entry);
    DirectoryEntry& kept = directory.listing.back();
    kept.has_attributes = false;
    kept.attributes = {};
    ++items_;
  }
  if (reply.end) {
    directory.listed = directory.all_names = true;
    for (const DirectoryEntry& entry : directory.listing)
      if (entry.cookie > kDotDotCookie)
        set_name(*node, entry.name,
                 {entry.inode, entry.type, entry.inode.slice() != node->inode.slice()});
  }
  evict();
}

// ---- answers ----

Result<std::optional<Acl>> LeaseCache::acl_of(Node& node) {
  if (node.acl_known) return node.acl;
  if (!std::exchange(node.asked, true)) missing_ = {node.inode, true};
  return Errno{kNotKnown};
}

Status LeaseCache::may(Node& node, const Credentials& who, uint32_t mask) {
  if (node.known == Known::kNothing) {
    // Root may search any directory.
    if (node.directory != nullptr && is_root(who)) return success();
    if (!std::exchange(node.asked, true)) missing_ = {node.inode, false};
    return Errno{kNotKnown};
  }
  return check_subject_access(access_subject(node.attributes), who, mask,
                              [&] { return acl_of(node); });
}

std::optional<CachedAnswer<Lookup>> LeaseCache::answer(const Lookup& command, Instant now) {
  Node* directory = valid(command.parent, now);
  if (directory == nullptr || directory->directory == nullptr) return std::nullopt;
  if (command.name.empty() || command.name == "." || command.name == "..") return std::nullopt;
  const Status allowed = may(*directory, command.credentials, X_OK);
  if (allowed.error() == kNotKnown) return std::nullopt;
  CachedAnswer<Lookup> out;
  out.error = allowed.error();
  if (allowed) {
    const auto found = directory->directory->names.find(command.name);
    if (found == directory->directory->names.end()) {
      if (!directory->directory->all_names) return std::nullopt;
      out.error = ENOENT;
    } else if (const Child& child = found->second; child.in_doubt) {
      return std::nullopt;
    } else if (child.inode.id == 0) {
      out.error = ENOENT;
    } else if (child.remote) {
      out.reply = {.attributes = {.inode = child.inode, .mode = child.type}, .remote = true};
    } else {
      Node* node = valid(child.inode, now);
      if (node == nullptr || node->known == Known::kNothing) return std::nullopt;
      // Of a directory the kernel takes no more than this, as it asks for the rest (timeouts zero).
      if (node->known != Known::kAll && !S_ISDIR(node->attributes.mode)) return std::nullopt;
      out.reply.attributes = node->attributes;
    }
  }
  PAIRFS_REACHED(answered_from_lease);
  ++counters_.answered;
  return out;
}

std::optional<CachedAnswer<GetAttributes>> LeaseCache::answer(const GetAttributes& command,
                                                              Instant now) {
  Node* node = valid(command.inode, now);
  if (node == nullptr || node->known != Known::kAll) return std::nullopt;
  PAIRFS_REACHED(answered_from_lease);
  ++counters_.answered;
  return CachedAnswer<GetAttributes>{.reply = {node->attributes}};
}

std::optional<CachedAnswer<Access>> LeaseCache::answer(const Access& command, Instant now) {
  Node* node = valid(command.inode, now);
  if (node == nullptr || node->known == Known::kNothing) return std::nullopt;
  const Status allowed = may(*node, command.credentials, command.mask & 7);
  if (allowed.error() == kNotKnown) return std::nullopt;
  ++counters_.answered;
  return CachedAnswer<Access>{.error = allowed.error()};
}

std::optional<CachedAnswer<ReadLink>> LeaseCache::answer(const ReadLink& command, Instant now) {
  Node* node = valid(command.inode, now);
  if (node == nullptr || !node->target || node->known != Known::kAll) return std::nullopt;
  if (!reading_is_noted(*node, true)) return std::nullopt;
  ++counters_.answered;
  return CachedAnswer<ReadLink>{.reply = {*node->target}};
}

std::optional<CachedAnswer<GetXattr>> LeaseCache::answer(const GetXattr& command, Instant now) {
  Node* node = valid(command.inode, now);
  if (node == nullptr || node->known == Known::kNothing) return std::nullopt;
  const auto found = node->xattrs.find(command.name);
  if (found == node->xattrs.end()) return std::nullopt;
  const Status allowed =
      check_xattr_access(access_subject(node->attributes), command.name, command.credentials, R_OK,
                         [&] { return may(*node, command.credentials, R_OK); });
  if (allowed.error() == kNotKnown) return std::nullopt;
  CachedAnswer<GetXattr> out;
  out.error = allowed.error();
  if (allowed) {
    if (found->second)
      out.reply.value = *found->second;
    else
      out.error = ENODATA;
  }
  ++counters_.answered;
  return out;
}

std::optional<CachedAnswer<ListXattr>> LeaseCache::answer(const ListXattr& command, Instant now) {
  Node* node = valid(command.inode, now);
  if (node == nullptr) return std::nullopt;
  const auto& names = node->xattr_names[is_root(command.credentials) ? 1 : 0];
  if (!names) return std::nullopt;
  ++counters_.answered;
  return CachedAnswer<ListXattr>{.reply = {*names}};
}

std::optional<CachedAnswer<ReadDirectory>> LeaseCache::answer(const ReadDirectory& command,
                                                              Instant now) {
  Node* node = valid(command.inode, now);
  if (node == nullptr || node->known != Known::kAll || node->directory == nullptr)
    return std::nullopt;
  const Directory& directory = *node->directory;
  if (!directory.listed || !reading_is_noted(*node, command.update_atime)) return std::nullopt;
  CachedAnswer<ReadDirectory> out;
  const auto from = std::upper_bound(
      directory.listing.begin(), directory.listing.end(), command.cookie,
      [](uint64_t cookie, const DirectoryEntry& entry) { return cookie < entry.cookie; });
  size_t used = 0;
  out.reply.end = true;
  for (auto at = from; at != directory.listing.end(); ++at) {
    used += listed_bytes(at->name, command.with_attributes);
    if (used > command.max_bytes) {
      out.reply.end = false;
      break;
    }
    DirectoryEntry entry = *at;
    const bool here = entry.cookie > kDotDotCookie && entry.inode.slice() == node->inode.slice();
    if (command.with_attributes && here) {
      Node* child = valid(entry.inode, now);
      if (child == nullptr || child->known != Known::kAll) return std::nullopt;
      entry.has_attributes = true;
      entry.attributes = child->attributes;
    }
    out.reply.entries.push_back(std::move(entry));
  }
  ++counters_.answered;
  return out;
}

}  // namespace pairfs
