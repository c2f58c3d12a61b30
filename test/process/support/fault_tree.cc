#include "test/process/support/fault_tree.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace pairfs::test {

FaultTree::FaultTree() {
  root_ = std::make_shared<Node>();
  root_->attributes.st_mode = S_IFDIR | 0755;
  root_->attributes.st_nlink = 2;
  root_->attributes.st_ino = next_inode_++;
  root_->attributes.st_uid = ::getuid();
  root_->attributes.st_gid = ::getgid();
}

int FaultTree::find(const std::string& path, NodePtr* out) {
  NodePtr at = root_;
  for (size_t from = 1; from < path.size();) {
    const size_t end = std::min(path.find('/', from), path.size());
    if (!at->is_directory()) return -ENOTDIR;
    const auto next = at->names.find(path.substr(from, end - from));
    if (next == at->names.end()) return -ENOENT;
    at = next->second;
    from = end + 1;
  }
  *out = at;
  return 0;
}

int FaultTree::parent_of(const std::string& path, NodePtr* parent, std::string* name) {
  const size_t slash = path.rfind('/');
  *name = path.substr(slash + 1);
  const int error = find(path.substr(0, slash), parent);
  return error != 0 ? error : (*parent)->is_directory() ? 0 : -ENOTDIR;
}

int FaultTree::make(const std::string& path, mode_t mode, const std::string& target, NodePtr* out) {
  NodePtr parent;
  std::string name;
  if (const int error = parent_of(path, &parent, &name)) return error;
  if (parent->names.contains(name)) return -EEXIST;
  auto node = std::make_shared<Node>();
  struct stat& st = node->attributes;
  st.st_mode = mode;
  st.st_nlink = S_ISDIR(mode) ? 2 : 1;
  st.st_ino = next_inode_++;
  st.st_uid = ::getuid();
  st.st_gid = ::getgid();
  ::clock_gettime(CLOCK_REALTIME, &st.st_mtim);
  st.st_atim = st.st_ctim = st.st_mtim;
  node->target = target;
  parent->names[name] = node;
  if (out != nullptr) *out = node;
  return 0;
}

int FaultTree::remove(const std::string& path, bool directory) {
  NodePtr parent;
  std::string name;
  if (const int error = parent_of(path, &parent, &name)) return error;
  const auto found = parent->names.find(name);
  if (found == parent->names.end()) return -ENOENT;
  Node& node = *found->second;
  if (directory != node.is_directory()) return directory ? -ENOTDIR : -EISDIR;
  if (directory && !node.names.empty()) return -ENOTEMPTY;
  if (!directory && --node.attributes.st_nlink == 0)
    used_ -= std::min(used_, uint64_t(node.bytes.size()));
  parent->names.erase(found);
  return 0;
}

int FaultTree::rename(const std::string& from, const std::string& to, bool exclusive) {
  NodePtr old_parent, new_parent;
  std::string old_name, new_name;
  if (const int error = parent_of(from, &old_parent, &old_name)) return error;
  if (const int error = parent_of(to, &new_parent, &new_name)) return error;
  const auto found = old_parent->names.find(old_name);
  if (found == old_parent->names.end()) return -ENOENT;
  const NodePtr node = found->second;
  if (const auto target = new_parent->names.find(new_name); target != new_parent->names.end()) {
    if (exclusive) return -EEXIST;
    if (target->second == node) return 0;
    if (const int error = remove(to, target->second->is_directory())) return error;
  }
  old_parent->names.erase(old_name);
  new_parent->names[new_name] = node;
  return 0;
}

int FaultTree::link(const std::string& from, const std::string& to) {
  NodePtr node, parent;
  std::string name;
  if (const int error = find(from, &node)) return error;
  if (const int error = parent_of(to, &parent, &name)) return error;
  if (parent->names.contains(name)) return -EEXIST;
  parent->names[name] = node;
  ++node->attributes.st_nlink;
  return 0;
}

int FaultTree::list(const std::string& path, const std::function<void(const std::string&)>& visit) {
  NodePtr node;
  if (const int error = find(path, &node)) return error;
  if (!node->is_directory()) return -ENOTDIR;
  for (const auto& [name, child] : node->names) visit(name);
  return 0;
}

int FaultTree::read(Node& node, char* into, uint64_t bytes, uint64_t offset) {
  if (offset >= node.bytes.size()) return 0;
  const uint64_t count = std::min<uint64_t>(bytes, node.bytes.size() - offset);
  std::memcpy(into, node.bytes.data() + offset, count);
  return static_cast<int>(count);
}

void FaultTree::touch(Node& node, uint64_t from, uint64_t to) {
  for (uint64_t block = from / kBlockBytes; block * kBlockBytes < to; ++block)
    node.dirty.insert(block);
  ::clock_gettime(CLOCK_REALTIME, &node.attributes.st_mtim);
  node.attributes.st_size = static_cast<off_t>(node.bytes.size());
  node.attributes.st_blocks = static_cast<blkcnt_t>((node.bytes.size() + 511) / 512);
}

int FaultTree::resize(Node& node, uint64_t bytes) {
  const uint64_t old = node.bytes.size();
  if (bytes > old && used_ + (bytes - old) > limit_) return -ENOSPC;
  used_ = bytes > old ? used_ + (bytes - old) : used_ - std::min(used_, old - bytes);
  node.bytes.resize(bytes);
  touch(node, std::min(old, bytes), std::max(old, bytes));
  return 0;
}

int FaultTree::write(Node& node, const char* from, uint64_t bytes, uint64_t offset) {
  if (offset + bytes > node.bytes.size())
    if (const int error = resize(node, offset + bytes)) return error;
  std::memcpy(node.bytes.data() + offset, from, bytes);
  touch(node, offset, offset + bytes);
  return static_cast<int>(bytes);
}

int FaultTree::allocate(Node& node, uint64_t offset, uint64_t bytes) {
  return offset + bytes > node.bytes.size() ? resize(node, offset + bytes) : 0;
}

int FaultTree::punch(Node& node, uint64_t offset, uint64_t bytes) {
  const uint64_t end = std::min<uint64_t>(offset + bytes, node.bytes.size());
  if (offset >= end) return 0;
  std::memset(node.bytes.data() + offset, 0, end - offset);
  touch(node, offset, end);
  return 0;
}

void FaultTree::make_durable(Node& node) {
  node.durable_names = node.names;
  node.durable_bytes.resize(node.bytes.size());
  for (const uint64_t block : node.dirty) {
    const uint64_t at = block * kBlockBytes;
    if (at >= node.bytes.size()) continue;
    std::memcpy(node.durable_bytes.data() + at, node.bytes.data() + at,
                std::min<uint64_t>(kBlockBytes, node.bytes.size() - at));
  }
  node.dirty.clear();
}

int FaultTree::sync(Node& node) {
  if (failing_syncs_) return -EIO;
  make_durable(node);
  return 0;
}

void FaultTree::fail_syncs(bool fail) { failing_syncs_ = fail; }
void FaultTree::limit_space(uint64_t bytes) { limit_ = bytes; }

void FaultTree::sync_everything() {
  std::vector<NodePtr> all = {root_};
  for (size_t i = 0; i < all.size(); ++i) {
    for (const auto& [name, child] : all[i]->names) all.push_back(child);
    make_durable(*all[i]);
  }
}

// Each name and each block that is not durable is lost or kept, as drawn; a file that grew keeps
// any part of its growth.
void FaultTree::lose(Node& node, std::mt19937_64& random, std::set<Node*>& seen) {
  if (!seen.insert(&node).second) return;
  auto names = node.durable_names;
  for (const auto& [name, child] : node.names)
    if (const auto old = names.find(name);
        (old == names.end() || old->second != child) && random() % 2)
      names[name] = child;
  for (const auto& [name, child] : node.durable_names)
    if (!node.names.contains(name) && random() % 2) names.erase(name);
  std::string bytes = node.durable_bytes;
  if (node.bytes.size() != bytes.size() && random() % 2) bytes.resize(node.bytes.size());
  for (const uint64_t block : node.dirty) {
    const uint64_t at = block * kBlockBytes;
    if (random() % 2 || at >= bytes.size() || at >= node.bytes.size()) continue;
    std::memcpy(bytes.data() + at, node.bytes.data() + at,
                std::min({kBlockBytes, bytes.size() - at, node.bytes.size() - at}));
  }
  node.names = node.durable_names = names;
  node.bytes = node.durable_bytes = bytes;
  node.dirty.clear();
  node.attributes.st_size = static_cast<off_t>(bytes.size());
  for (const auto& [name, child] : names) lose(*child, random, seen);
}

void FaultTree::count_space(const NodePtr& node, std::set<Node*>& seen) {
  if (!node->is_directory()) {
    if (seen.insert(node.get()).second) {
      node->attributes.st_nlink = 0;
      used_ += node->bytes.size();
    }
    ++node->attributes.st_nlink;
  }
  for (const auto& [name, child] : node->names) count_space(child, seen);
}

void FaultTree::lose_power(uint64_t seed) {
  std::mt19937_64 random(seed);
  std::set<Node*> seen;
  lose(*root_, random, seen);
  used_ = 0;
  seen.clear();
  count_space(root_, seen);
}

}  // namespace pairfs::test
