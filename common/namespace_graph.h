// The tree of a whole cluster, as inodes and entries, and what is wrong with it: for the online
// checker and for tests. No I/O; one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/types.h"

namespace pairfs {

class NamespaceGraph {
 public:
  struct Inode {
    InodeRef ref;
    uint32_t type = 0;  // S_IFMT bits
    uint64_t links = 0;
    InodeRef parent;  // of a directory
  };
  void add_inode(const Inode& inode);
  void add_entry(uint64_t directory_id, const InodeRef& inode, uint32_t type);

  size_t inodes() const { return inodes_.size(); }
  size_t entries() const { return entries_.size(); }

  // One sentence per problem: entries of inodes that are not there, or that are others; link counts
  // that do not fit; inodes that are on two volumes; directories with two names, with another
  // parent, or from which no way leads to the root.
  std::vector<std::string> problems() const;

 private:
  struct Entry {
    uint64_t directory_id = 0;
    InodeRef inode;
    uint32_t type = 0;
  };
  bool reaches_root(const Inode& from) const;
  std::map<uint64_t, Inode> inodes_;
  std::vector<uint64_t> twice_;
  std::vector<Entry> entries_;
};

}  // namespace pairfs
