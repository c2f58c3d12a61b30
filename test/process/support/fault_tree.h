// A tree of files in memory that fails as a disk does: what was not synced may be lost, kept or
// torn when the power goes. Errors are negative errnos, as libfuse wants them. Any thread.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>

namespace pairfs::test {

class FaultTree {
 public:
  static constexpr uint64_t kBlockBytes = 4096;
  struct Node {
    struct stat attributes {};
    std::string target;  // of a symbolic link
    std::string bytes, durable_bytes;
    std::set<uint64_t> dirty;  // blocks that differ from what is durable
    std::map<std::string, std::shared_ptr<Node>> names, durable_names;
    bool is_directory() const { return S_ISDIR(attributes.st_mode); }
  };
  using NodePtr = std::shared_ptr<Node>;

  FaultTree();

  int find(const std::string& path, NodePtr* out);
  int make(const std::string& path, mode_t mode, const std::string& target, NodePtr* out);
  int remove(const std::string& path, bool directory);
  int rename(const std::string& from, const std::string& to, bool exclusive);
  int link(const std::string& from, const std::string& to);
  int list(const std::string& path, const std::function<void(const std::string&)>& visit);

  int read(Node& node, char* into, uint64_t bytes, uint64_t offset);
  int write(Node& node, const char* from, uint64_t bytes, uint64_t offset);
  int resize(Node& node, uint64_t bytes);
  int allocate(Node& node, uint64_t offset, uint64_t bytes);
  int punch(Node& node, uint64_t offset, uint64_t bytes);
  int sync(Node& node);

  // ---- faults ----
  void lose_power(uint64_t seed);
  void sync_everything();
  void fail_syncs(bool fail);
  void limit_space(uint64_t bytes);  // of all files together; ENOSPC beyond it
  uint64_t used_bytes() const { return used_; }
  uint64_t limit_bytes() const { return limit_; }
  std::mutex& mutex() { return mutex_; }

 private:
  int parent_of(const std::string& path, NodePtr* parent, std::string* name);
  void touch(Node& node, uint64_t from, uint64_t to);
  void lose(Node& node, std::mt19937_64& random, std::set<Node*>& seen);
  void make_durable(Node& node);
  void count_space(const NodePtr& node, std::set<Node*>& seen);

  std::mutex mutex_;
  NodePtr root_;
  uint64_t next_inode_ = 1;
  uint64_t used_ = 0, limit_ = ~0ULL;
  bool failing_syncs_ = false;
};

}  // namespace pairfs::test
