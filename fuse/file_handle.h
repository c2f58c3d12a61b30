// What a FUSE file handle (fi->fh) stands for. One thread.
#pragma once

#include <sys/types.h>

#include <set>
#include <unordered_map>

#include "common/commands/basics.h"

namespace pairfs {

struct FileHandle {
  InodeRef inode;
  uint32_t flags = 0;        // of open(2)
  uint64_t open_serial = 0;  // ClientCore::handle_lost
  bool removed = false;  // a directory that was gone when it was opened: not open at the executor
  // Who wrote last, by which thread: the next write need not read /proc for the caller's groups.
  Credentials writer;
  pid_t writer_pid = 0;
  // Owners that took fcntl locks through this handle. Those left at its release are the handle
  // itself (open file description locks): a process gives its own back when it closes.
  std::set<uint64_t> lock_owners;
};

class FileHandles {
 public:
  uint64_t add(FileHandle handle) {
    handles_.emplace(++last_, std::move(handle));
    return last_;
  }
  // nullptr: no such handle.
  FileHandle* find(uint64_t fh) {
    const auto it = handles_.find(fh);
    return it == handles_.end() ? nullptr : &it->second;
  }
  void remove(uint64_t fh) { handles_.erase(fh); }

 private:
  std::unordered_map<uint64_t, FileHandle> handles_;
  uint64_t last_ = 0;
};

}  // namespace pairfs
