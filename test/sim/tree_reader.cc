#include "test/sim/tree_reader.h"

#include <sys/stat.h>

#include "common/codec.h"

namespace pairfs::sim {
using Completion = ClientCore::Completion;
using Type = ModelInode::Type;

void TreeReader::read(InodeRef root, std::function<void(const TreeModel*)> done) {
  done_ = std::move(done);
  tree_ = TreeModel();
  known_.clear();
  left_ = {TreeModel::kRoot};
  tree_.at(TreeModel::kRoot).ref = root;
  next();
}

bool TreeReader::failed(const char* what, const Completion& completion) {
  if (completion.error == 0) return false;
  why_ = fmt::format("{} gave errno {}", what, completion.error);
  done_(nullptr);
  return true;
}

void TreeReader::next() {
  if (left_.empty()) return done_(&tree_);
  const int inode = left_.front();
  left_.pop_front();
  if (tree_.at(inode).type == Type::kDirectory)
    list(inode);
  else
    read_content(inode);
}

void TreeReader::list(int directory) {
  const InodeRef ref = tree_.at(directory).ref;
  client_.submit(GetAttributes{ref}, [this, directory, ref](const Completion& c) {
    if (failed("GetAttributes of a directory", c)) return;
    const auto attributes = decode<AttributesReply>(c.body.view());
    tree_.at(directory).mode = attributes->attributes.mode & 07777;
    client_.submit(ReadDirectory{.inode = ref, .max_bytes = 1 << 20},
                   [this, directory](const Completion& listed) {
                     if (failed("ReadDirectory", listed)) return;
                     take_entries(directory, *decode<DirectoryReply>(listed.body.view()));
                     next();
                   });
  });
}

void TreeReader::take_entries(int directory, const DirectoryReply& reply) {
  for (const DirectoryEntry& entry : reply.entries) {
    if (entry.name == "." || entry.name == "..") continue;
    if (const auto seen = known_.find(entry.inode); seen != known_.end()) {
      tree_.link(seen->second, directory, entry.name);
      --tree_.at(seen->second).nlink;  // the inode's own count is what is compared
      continue;
    }
    const Type type = entry.type == S_IFDIR   ? Type::kDirectory
                      : entry.type == S_IFLNK ? Type::kSymlink
                                              : Type::kFile;
    int made = 0;
    tree_.make(directory, entry.name, type, 0, {}, &made);
    tree_.at(made).ref = entry.inode;
    known_[entry.inode] = made;
    left_.push_back(made);
  }
}

void TreeReader::read_content(int inode) {
  const InodeRef ref = tree_.at(inode).ref;
  client_.submit(GetAttributes{ref}, [this, inode, ref](const Completion& c) {
    if (failed("GetAttributes", c)) return;
    const Attributes attributes = decode<AttributesReply>(c.body.view())->attributes;
    tree_.at(inode).mode = attributes.mode & 07777;
    tree_.at(inode).nlink = static_cast<int>(attributes.nlink);
    if (tree_.at(inode).type == Type::kSymlink) {
      client_.submit(ReadLink{ref}, [this, inode](const Completion& link) {
        if (failed("ReadLink", link)) return;
        tree_.at(inode).content = decode<LinkTargetReply>(link.body.view())->target;
        next();
      });
      return;
    }
    Read all{.inode = ref, .length_bytes = static_cast<uint32_t>(attributes.size_bytes) + 1};
    client_.submit(all, [this, inode](const Completion& data) {
      if (failed("Read", data)) return;
      tree_.at(inode).content = Bytes(data.bulk.view());
      next();
    });
  });
}

}  // namespace pairfs::sim
