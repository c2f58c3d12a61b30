// The inodes that the kernel knows: a FUSE node id is an inode id, and this finds its generation.
// An entry lives as long as the kernel's lookup count, raised by each reply that names the inode
// and lowered by FORGET. The root is always there. One thread.
#pragma once

#include <optional>
#include <unordered_map>
#include <utility>

#include "common/types.h"

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
    if (node.generation != inode.generation) node.opened_ctime.reset();
    node.generation = inode.generation;  // of a reused id, the newest
    ++node.lookups;
  }
  void forget(uint64_t id, uint64_t lookups) {
    const auto it = nodes_.find(id);
    if (it == nodes_.end()) return;
    if (it->second.lookups <= lookups) nodes_.erase(it);
    else it->second.lookups -= lookups;
  }
  // A file is being opened, and its change time is this. True: the same as when it was opened last, so
  // that what the kernel has cached of it since is right. No two states of a file share a change time.
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
  };
  InodeRef root_ = kRootInode;
  std::unordered_map<uint64_t, Node> nodes_;
};

}  // namespace pairfs
