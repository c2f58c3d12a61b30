// The inodes that the kernel knows: a FUSE node id is an inode id, and this finds its generation.
// An entry lives as long as the kernel's lookup count, raised by each reply that names the inode
// and lowered by FORGET. The root is always there. One thread.
//
// A removed directory stays somebody's working directory, and a fifo or device is open without the
// kernel having said so. It asks for their attributes when they are gone: to check permissions, if
// nothing else. So the last ones that it was told are kept, of all but regular files and symlinks.
#pragma once

#include <sys/stat.h>

#include <memory>
#include <optional>
#include <unordered_map>
#include <utility>

#include "common/commands/basics.h"

namespace pairfs {

class NodeTable {
 public:
  // What the kernel's root node is: the cluster's root, or the directory of a subtree mount.
  void set_root(InodeRef root) { root_ = root; }
  InodeRef root() const { return root_; }

  std::optional<InodeRef> find(uint64_t id) const {
    if (id == kRootInode.id) return root_;
    const auto it = nodes_.find(id);
    if (it == nodes_.end()) return std::nullopt;
    return InodeRef{id, it->second.generation};
  }
  void looked_up(InodeRef inode) {
    if (inode.id == kRootInode.id) return;
    Node& node = nodes_[inode.id];
    if (node.generation != inode.generation) {
      node.opened_ctime.reset();
      node.found_removed = false;
    }
    node.generation = inode.generation;  // of a reused id, the newest
    ++node.lookups;
  }
  void looked_up(const Attributes& attributes) {
    looked_up(attributes.inode);
    note(attributes);
  }
  // The kernel is told these attributes.
  void note(const Attributes& attributes) {
    if (S_ISREG(attributes.mode) || S_ISLNK(attributes.mode)) return;
    const auto it = nodes_.find(attributes.inode.id);
    if (it == nodes_.end() || it->second.generation != attributes.inode.generation) return;
    std::unique_ptr<Attributes>& kept = it->second.told;
    if (kept == nullptr) kept = std::make_unique<Attributes>();
    *kept = attributes;
  }
  // Of an inode that is gone: nullopt unless its attributes were kept and the kernel still holds
  // it.
  std::optional<Attributes> after_removal(InodeRef inode) const {
    const auto it = nodes_.find(inode.id);
    if (it == nodes_.end() || it->second.told == nullptr) return std::nullopt;
    Attributes out = *it->second.told;
    if (out.inode != inode) return std::nullopt;
    out.nlink = 0;
    out.ctime = next_after(out.ctime);
    return out;
  }
  // A directory was found to be removed. False the first time: the caller may have come by a name
  // that leads elsewhere by now. The kernel looks again then; who comes back stands in it.
  bool was_found_removed(InodeRef inode) {
    const auto it = nodes_.find(inode.id);
    if (it == nodes_.end() || it->second.generation != inode.generation) return false;
    return std::exchange(it->second.found_removed, true);
  }
  void forget(uint64_t id, uint64_t lookups) {
    const auto it = nodes_.find(id);
    if (it == nodes_.end()) return;
    if (it->second.lookups <= lookups)
      nodes_.erase(it);
    else
      it->second.lookups -= lookups;
  }
  // A file is being opened, and its change time is this. True: the same as when it was opened last,
  // so that what the kernel has cached of it since is right. No two states of a file share a change
  // time.
  bool unchanged_since_open(InodeRef inode, const Timestamp& ctime) {
    const auto it = nodes_.find(inode.id);
    if (it == nodes_.end() || it->second.generation != inode.generation) return false;
    return std::exchange(it->second.opened_ctime, ctime) == ctime;
  }
  size_t size() const { return nodes_.size(); }

 private:
  struct Node {
    uint64_t generation = 0;
    uint64_t lookups = 0;
    std::optional<Timestamp> opened_ctime;
    std::unique_ptr<Attributes> told;
    bool found_removed = false;
  };
  InodeRef root_ = kRootInode;
  std::unordered_map<uint64_t, Node> nodes_;
};

}  // namespace pairfs
