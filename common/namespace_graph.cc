#include "common/namespace_graph.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace pairfs {

void NamespaceGraph::add_inode(const Inode& inode) {
  if (!inodes_.emplace(inode.ref.id, inode).second) twice_.push_back(inode.ref.id);
}

void NamespaceGraph::add_entry(uint64_t directory_id, const InodeRef& inode, uint32_t type) {
  entries_.push_back({directory_id, inode, type});
}

std::vector<std::string> NamespaceGraph::problems() const {
  std::vector<std::string> found;
  for (const uint64_t id : twice_) found.push_back(fmt::format("inode {:x} is there twice", id));
  std::map<uint64_t, uint64_t> names, subdirectories;
  for (const Entry& entry : entries_) {
    ++names[entry.inode.id];
    if (entry.type == S_IFDIR) ++subdirectories[entry.directory_id];
    const auto directory = inodes_.find(entry.directory_id);
    if (directory == inodes_.end() || directory->second.type != S_IFDIR)
      found.push_back(
          fmt::format("an entry is in {:x}, which is no directory", entry.directory_id));
    const auto inode = inodes_.find(entry.inode.id);
    if (inode == inodes_.end())
      found.push_back(fmt::format("an entry of {:x} names {:x}, which is not there",
                                  entry.directory_id, entry.inode.id));
    else if (inode->second.ref != entry.inode || inode->second.type != entry.type)
      found.push_back(
          fmt::format("an entry of {:x} names another {:x}", entry.directory_id, entry.inode.id));
    else if (entry.type == S_IFDIR && inode->second.parent.id != entry.directory_id)
      found.push_back(fmt::format("directory {:x} is in {:x}, not in {:x}", entry.inode.id,
                                  entry.directory_id, inode->second.parent.id));
  }
  for (const auto& [id, inode] : inodes_) {
    const auto named = names.find(id);
    const uint64_t count = named == names.end() ? 0 : named->second;
    const bool is_directory = inode.type == S_IFDIR;
    uint64_t links = count;
    if (is_directory) {
      const auto below = subdirectories.find(id);
      links = 2 + (below == subdirectories.end() ? 0 : below->second);
      if (count == 0 && id != kRootInode.id) links = 0;
    }
    if (inode.links != links || (is_directory && count > 1))
      found.push_back(fmt::format("inode {:x} has {} links and {} names", id, inode.links, count));
    if (is_directory && inode.links != 0 && !reaches_root(inode))
      found.push_back(fmt::format("directory {:x} does not hang below the root", id));
  }
  return found;
}

bool NamespaceGraph::reaches_root(const Inode& from) const {
  uint64_t at = from.ref.id;
  for (size_t steps = 0; steps <= inodes_.size(); ++steps) {
    if (at == kRootInode.id) return true;
    const auto inode = inodes_.find(at);
    if (inode == inodes_.end()) return false;
    at = inode->second.parent.id;
  }
  return false;
}

}  // namespace pairfs
