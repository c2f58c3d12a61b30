// A directory tree in memory: what a POSIX filesystem would hold and answer. One client works in
// it, so that its answers have one right value.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/commands.h"

namespace pairfs::sim {

struct ModelInode {
  enum class Type { kDirectory, kFile, kSymlink };
  Type type = Type::kFile;
  InodeRef ref;
  uint32_t mode = 0;  // permission bits
  Bytes content;      // of a file; target of a symlink
  int nlink = 1;      // of files and symlinks
  int handles = 0;    // open
  int parent = 0;     // of a directory
  std::map<Bytes, int> entries;
  std::map<Bytes, Bytes> xattrs;
};

class TreeModel {
 public:
  using Type = ModelInode::Type;
  TreeModel();

  static constexpr int kRoot = 1;
  const ModelInode& at(int id) const { return inodes_.at(id); }
  ModelInode& at(int id) { return inodes_.at(id); }
  const std::map<int, ModelInode>& inodes() const { return inodes_; }
  // 0: there is none.
  int find(int directory, const Bytes& name) const;

  // Each gives the errno that the operation ends with; 0: it was done. Linux's order of checks.
  int make(int directory, const Bytes& name, Type type, uint32_t mode, const Bytes& target,
           int* made);
  int link(int inode, int directory, const Bytes& name);
  int unlink(int directory, const Bytes& name);
  int remove_directory(int directory, const Bytes& name);
  int rename(int from, const Bytes& name, int to, const Bytes& new_name, bool no_replace);
  void write(int inode, uint64_t offset, const Bytes& data);
  void truncate(int inode, uint64_t size) { at(inode).content.resize(size, '\0'); }
  void drop_handle(int inode);
  void drop_all_handles();

  bool is_above(int directory, int below) const;
  // Empty when both look the same from their roots; else where they differ. Takes over `seen`'s
  // inode references.
  std::string compare(const TreeModel& seen);
  // Every name with its inode's id, a line each; for traces.
  std::vector<std::string> lines() const;

 private:
  void forget_if_gone(int inode);
  std::string compare_at(int mine, const TreeModel& seen, int theirs, const std::string& path,
                         std::map<int, int>* matched);

  std::map<int, ModelInode> inodes_;
  int next_ = kRoot + 1;
};

}  // namespace pairfs::sim
