// Reads a directory tree back through a client, command by command, into a model.
#pragma once

#include <deque>

#include "test/sim/client_host.h"
#include "test/sim/tree_model.h"

namespace pairfs::sim {

class TreeReader {
 public:
  explicit TreeReader(ClientHost& client) : client_(client) {}
  // `done` gets the tree; nullptr when something in it could not be read: see why().
  void read(InodeRef root, std::function<void(const TreeModel*)> done);
  const std::string& why() const { return why_; }

 private:
  void next();
  void list(int directory);
  void take_entries(int directory, const DirectoryReply& reply);
  void read_inode(int inode);
  void read_content(int inode);
  bool failed(const char* what, const ClientCore::Completion& completion);

  ClientHost& client_;
  std::function<void(const TreeModel*)> done_;
  TreeModel tree_;
  std::map<InodeRef, int> known_;
  std::deque<int> left_;
  std::string why_;
};

}  // namespace pairfs::sim
