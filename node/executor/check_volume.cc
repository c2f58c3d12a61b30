#include "node/executor/check_volume.h"

#include <fmt/format.h>

#include <map>
#include <set>

#include "common/acl.h"
#include "common/row_codec.h"
#include "node/executor/inodes.h"
#include "node/executor/schema.h"
#include "node/executor/slice_table.h"

namespace pairfs {

namespace {

// Rows of slices that the volume does not have are copies on their way in or out.
class OwnRows {
 public:
  explicit OwnRows(const VolumeStore& store) { slices_.load(store); }
  bool has(BytesView key) const {
    const auto slice = slice_of_key(key);
    return !slice || slices_.owns(*slice);
  }

 private:
  SliceTable slices_;
};

class Checker {
 public:
  explicit Checker(const VolumeStore& store) : store_(store), own_(store) {}

  std::vector<std::string> run() {
    load();
    check_entries();
    for (const auto& [id, inode] : inodes_) {
      check_links(inode);
      if (inode.is_regular()) check_data(inode);
      check_xattrs(inode);
    }
    return std::move(problems_);
  }

 private:
  template <class... Args>
  void problem(fmt::format_string<Args...> text, Args&&... args) {
    problems_.push_back(fmt::format(text, std::forward<Args>(args)...));
  }
  template <class Each>
  void for_each(Family family, Each&& each) {
    store_.scan(family_key(family), after_prefix(family_key(family)),
                [&](BytesView key, BytesView value) {
                  if (own_.has(key)) each(key, value);
                  return true;
                });
  }

  void load() {
    for_each(Family::kInode, [&](BytesView key, BytesView value) {
      const auto id = read_big_endian<uint64_t>(key, 1);
      if (auto inode = decode_inode(id, value))
        inodes_.emplace(id, *inode);
      else
        problem("inode {:x}: bad row", id);
    });
    for_each(Family::kOrphan, [&](BytesView key, BytesView) {
      const auto id = read_big_endian<uint64_t>(key, 1);
      orphans_.insert(id);
      if (!inodes_.contains(id)) problem("orphan {:x} has no inode", id);
    });
  }

  void check_entries() {
    size_t cookies = 0;
    for_each(Family::kCookie, [&](BytesView, BytesView) { ++cookies; });
    size_t entries = 0;
    for_each(Family::kEntry, [&](BytesView key, BytesView value) {
      ++entries;
      const auto directory_id = read_big_endian<uint64_t>(key, 1);
      const BytesView name = key.substr(9);
      const auto entry = decode_entry(value);
      const auto directory = inodes_.find(directory_id);
      if (!entry || directory == inodes_.end() || !directory->second.is_directory()) {
        problem("entry {:x}/{}: bad row or no directory", directory_id, name);
        return;
      }
      if (store_.get(cookie_key(directory_id, entry->cookie)) != Bytes(name))
        problem("entry {:x}/{}: cookie {} names another", directory_id, name, entry->cookie);
      if (entry->cookie >= directory->second.next_cookie)
        problem("entry {:x}/{}: cookie {} not given yet", directory_id, name, entry->cookie);
      ++entries_of_[directory_id];
      ++names_of_[entry->inode.id];
      if (entry->type == S_IFDIR) ++subdirectories_of_[directory_id];
      const auto inode = inodes_.find(entry->inode.id);
      if (inode == inodes_.end()) {
        if (entry->inode.slice() == directory->second.ref().slice())
          problem("entry {:x}/{}: no inode {:x}", directory_id, name, entry->inode.id);
        return;
      }
      if (inode->second.ref() != entry->inode || inode->second.type() != entry->type)
        problem("entry {:x}/{}: generation or type differ", directory_id, name);
      if (entry->type == S_IFDIR && inode->second.parent != directory->second.ref())
        problem("entry {:x}/{}: its parent is {:x}", directory_id, name, inode->second.parent.id);
    });
    if (entries != cookies) problem("{} entries and {} cookies", entries, cookies);
  }

  void check_links(const Inode& inode) {
    const bool named = names_of_[inode.id] != 0 || inode.id == kRootInode.id;
    if ((inode.nlink == 0) != orphans_.contains(inode.id))
      problem("inode {:x}: {} links, orphan row: {}", inode.id, inode.nlink,
              orphans_.contains(inode.id));
    if (!inode.is_directory()) {
      if (inode.nlink < names_of_[inode.id])
        problem("inode {:x}: {} links for {} names", inode.id, inode.nlink, names_of_[inode.id]);
      return;
    }
    if (inode.entries != entries_of_[inode.id])
      problem("directory {:x}: counts {} of {} entries", inode.id, inode.entries,
              entries_of_[inode.id]);
    const uint64_t expected = named || inode.nlink != 0 ? 2 + subdirectories_of_[inode.id] : 0;
    if (inode.nlink != expected)
      problem("directory {:x}: {} links, not {}", inode.id, inode.nlink, expected);
  }

  void check_data(const Inode& inode) {
    const uint64_t allocated = store_.allocated_bytes(inode.id, 0, kFileMaxBytes);
    if (allocated != inode.allocated_bytes)
      problem("inode {:x}: {} bytes allocated, not {}", inode.id, allocated, inode.allocated_bytes);
    if (inode.has(Inode::kDense) && allocated != round_up_to_block(inode.size_bytes))
      problem("inode {:x}: said dense, {} bytes allocated of {}", inode.id, allocated,
              inode.size_bytes);
  }

  void check_xattrs(const Inode& inode) {
    const Bytes first = xattr_key(inode.id, {});
    uint32_t names_bytes = 0;
    uint8_t flags = 0;
    store_.scan(first, after_prefix(first), [&](BytesView key, BytesView) {
      const BytesView name = key.substr(first.size());
      names_bytes += static_cast<uint32_t>(name.size() + 1);
      if (name == kAccessAclName) flags |= Inode::kAccessAcl;
      if (name == kDefaultAclName) flags |= Inode::kDefaultAcl;
      if (name == "security.capability") flags |= Inode::kCapability;
      return true;
    });
    if (names_bytes != inode.xattr_names_bytes || flags != (inode.flags & ~Inode::kDense))
      problem("inode {:x}: xattr rows and inode differ", inode.id);
  }

  const VolumeStore& store_;
  const OwnRows own_;
  std::vector<std::string> problems_;
  std::map<uint64_t, Inode> inodes_;
  std::set<uint64_t> orphans_;
  std::map<uint64_t, uint64_t> names_of_, entries_of_, subdirectories_of_;
};

}  // namespace

std::vector<std::string> check_volume(const VolumeStore& store) { return Checker(store).run(); }
void add_to_graph(const VolumeStore& store, NamespaceGraph& graph) {
  const OwnRows own(store);
  const auto scan = [&](Family family, const VolumeStore::Visit& visit) {
    store.scan(family_key(family), after_prefix(family_key(family)), visit);
  };
  scan(Family::kInode, [&](BytesView key, BytesView value) {
    const auto inode = decode_inode(read_big_endian<uint64_t>(key, 1), value);
    if (inode && own.has(key))
      graph.add_inode({inode->ref(), inode->type(), inode->nlink, inode->parent});
    return true;
  });
  scan(Family::kEntry, [&](BytesView key, BytesView value) {
    const auto entry = decode_entry(value);
    if (entry && own.has(key))
      graph.add_entry(read_big_endian<uint64_t>(key, 1), entry->inode, entry->type);
    return true;
  });
}

std::vector<std::string> check_cluster(const std::vector<const VolumeStore*>& stores) {
  NamespaceGraph graph;
  for (const VolumeStore* store : stores) add_to_graph(*store, graph);
  return graph.problems();
}

}  // namespace pairfs
