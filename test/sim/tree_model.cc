#include "test/sim/tree_model.h"

#include <fmt/core.h>

#include <cerrno>

namespace pairfs::sim {

TreeModel::TreeModel() {
  ModelInode root;
  root.type = Type::kDirectory;
  root.parent = kRoot;
  inodes_[kRoot] = root;
}

int TreeModel::find(int directory, const Bytes& name) const {
  const auto& entries = at(directory).entries;
  const auto found = entries.find(name);
  return found == entries.end() ? 0 : found->second;
}

void TreeModel::forget_if_gone(int inode) {
  if (at(inode).nlink == 0 && at(inode).handles == 0) inodes_.erase(inode);
}

int TreeModel::make(int directory, const Bytes& name, Type type, uint32_t mode, const Bytes& target,
                    int* made) {
  if (find(directory, name) != 0) return EEXIST;
  ModelInode inode;
  inode.type = type;
  inode.mode = mode;
  inode.content = target;
  inode.parent = directory;
  inodes_[next_] = inode;
  at(directory).entries[name] = next_;
  *made = next_++;
  return 0;
}

int TreeModel::link(int inode, int directory, const Bytes& name) {
  if (find(directory, name) != 0) return EEXIST;
  at(directory).entries[name] = inode;
  ++at(inode).nlink;
  return 0;
}

int TreeModel::unlink(int directory, const Bytes& name) {
  const int inode = find(directory, name);
  if (inode == 0) return ENOENT;
  if (at(inode).type == Type::kDirectory) return EISDIR;
  at(directory).entries.erase(name);
  --at(inode).nlink;
  forget_if_gone(inode);
  return 0;
}

int TreeModel::remove_directory(int directory, const Bytes& name) {
  const int inode = find(directory, name);
  if (inode == 0) return ENOENT;
  if (at(inode).type != Type::kDirectory) return ENOTDIR;
  if (!at(inode).entries.empty()) return ENOTEMPTY;
  at(directory).entries.erase(name);
  inodes_.erase(inode);
  return 0;
}

bool TreeModel::is_above(int directory, int below) const {
  for (int at_id = below;; at_id = at(at_id).parent) {
    if (at_id == directory) return true;
    if (at_id == kRoot) return false;
  }
}

int TreeModel::rename(int from, const Bytes& name, int to, const Bytes& new_name, bool no_replace) {
  const int inode = find(from, name);
  if (inode == 0) return ENOENT;
  const int target = find(to, new_name);
  if (target != 0 && no_replace) return EEXIST;
  const bool directory = at(inode).type == Type::kDirectory;
  if (directory && is_above(inode, to)) return EINVAL;
  if (target == inode) return 0;
  if (target != 0) {
    const bool onto_directory = at(target).type == Type::kDirectory;
    if (directory && !onto_directory) return ENOTDIR;
    if (!directory && onto_directory) return EISDIR;
    if (onto_directory) {
      if (!at(target).entries.empty()) return ENOTEMPTY;
      inodes_.erase(target);
    } else {
      --at(target).nlink;
      forget_if_gone(target);
    }
  }
  at(from).entries.erase(name);
  at(to).entries[new_name] = inode;
  if (directory) at(inode).parent = to;
  return 0;
}

void TreeModel::write(int inode, uint64_t offset, const Bytes& data) {
  Bytes& content = at(inode).content;
  if (content.size() < offset + data.size()) content.resize(offset + data.size(), '\0');
  content.replace(offset, data.size(), data);
}

void TreeModel::drop_handle(int inode) {
  --at(inode).handles;
  forget_if_gone(inode);
}

void TreeModel::drop_all_handles() {
  std::vector<int> open;
  for (const auto& [id, inode] : inodes_)
    if (inode.handles > 0) open.push_back(id);
  for (const int id : open) {
    at(id).handles = 0;
    forget_if_gone(id);
  }
}

std::vector<std::string> TreeModel::lines() const {
  std::vector<std::string> out;
  for (const auto& [id, inode] : inodes_)
    for (const auto& [name, child] : inode.entries)
      out.push_back(fmt::format("{:x} \"{}\" is {:x}{}", inode.ref.id, name, at(child).ref.id,
                                at(child).type == Type::kDirectory ? "/" : ""));
  return out;
}

std::string TreeModel::compare(const TreeModel& seen) {
  std::map<int, int> matched;
  return compare_at(kRoot, seen, kRoot, "", &matched);
}

std::string TreeModel::compare_at(int mine, const TreeModel& seen, int theirs,
                                  const std::string& path, std::map<int, int>* matched) {
  ModelInode& a = at(mine);
  const ModelInode& b = seen.at(theirs);
  if (a.type != b.type) return path + " is of another type";
  const auto [known, fresh] = matched->emplace(mine, theirs);
  if (!fresh) return known->second == theirs ? "" : path + " is another inode";
  a.ref = b.ref;
  if (a.type != Type::kDirectory) {
    if (a.content != b.content)
      return fmt::format("{} has {} bytes, expected {}, or others", path, b.content.size(),
                         a.content.size());
    if (a.nlink != b.nlink)
      return fmt::format("{} has {} links, expected {}", path, b.nlink, a.nlink);
  }
  if (a.type != Type::kSymlink && mine != kRoot && a.mode != b.mode)
    return fmt::format("{} has mode {:o}, expected {:o}", path, b.mode, a.mode);
  for (const auto& [name, id] : b.entries)
    if (!a.entries.contains(name)) return path + "/" + name + " should not be there";
  for (const auto& [name, id] : a.entries) {
    const auto other = b.entries.find(name);
    if (other == b.entries.end()) return path + "/" + name + " is missing";
    if (auto why = compare_at(id, seen, other->second, path + "/" + name, matched); !why.empty())
      return why;
  }
  return "";
}

}  // namespace pairfs::sim
