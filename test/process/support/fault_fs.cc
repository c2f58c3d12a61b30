// Mounts a FaultTree: pairfs-fault-fs MOUNTPOINT [-f] [libfuse's options]. Its faults are asked for
// by writing one line into the file .control at its top:
//
//   lose SEED       the power goes: stop what runs on it first
//   sync            everything becomes durable
//   fail_syncs 0|1  from now on fsync gives EIO, or works
//   space BYTES     no more than that fits
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <mutex>

#include "test/process/support/fault_tree.h"

namespace {

using pairfs::test::FaultTree;

constexpr const char* kControl = "/.control";

FaultTree& tree() {
  static FaultTree the_tree;
  return the_tree;
}

std::lock_guard<std::mutex> hold() { return std::lock_guard(tree().mutex()); }

FaultTree::NodePtr& opened(fuse_file_info* info) {
  return *reinterpret_cast<FaultTree::NodePtr*>(info->fh);
}

int obey(const std::string& line) {
  char word[32] = {};
  unsigned long long number = 0;
  if (::sscanf(line.c_str(), "%31s %llu", word, &number) < 1) return -EINVAL;
  const std::string what = word;
  if (what == "lose")
    tree().lose_power(number);
  else if (what == "sync")
    tree().sync_everything();
  else if (what == "fail_syncs")
    tree().fail_syncs(number != 0);
  else if (what == "space")
    tree().limit_space(number);
  else
    return -EINVAL;
  return 0;
}

int do_getattr(const char* path, struct stat* out, fuse_file_info* info) {
  const auto lock = hold();
  FaultTree::NodePtr node;
  if (info != nullptr && info->fh != 0) {
    node = opened(info);
  } else if (const int error = tree().find(path, &node)) {
    return error;
  }
  *out = node->attributes;
  return 0;
}

int do_readlink(const char* path, char* into, size_t bytes) {
  const auto lock = hold();
  FaultTree::NodePtr node;
  if (const int error = tree().find(path, &node)) return error;
  ::snprintf(into, bytes, "%s", node->target.c_str());
  return 0;
}

int do_mkdir(const char* path, mode_t mode) {
  const auto lock = hold();
  return tree().make(path, S_IFDIR | mode, "", nullptr);
}

int do_mknod(const char* path, mode_t mode, dev_t) {
  const auto lock = hold();
  return tree().make(path, mode, "", nullptr);
}

int do_symlink(const char* target, const char* path) {
  const auto lock = hold();
  return tree().make(path, S_IFLNK | 0777, target, nullptr);
}

int do_unlink(const char* path) {
  const auto lock = hold();
  return tree().remove(path, false);
}

int do_rmdir(const char* path) {
  const auto lock = hold();
  return tree().remove(path, true);
}

int do_rename(const char* from, const char* to, unsigned flags) {
  const auto lock = hold();
  return flags > 1 ? -EINVAL : tree().rename(from, to, flags == 1);
}

int do_link(const char* from, const char* to) {
  const auto lock = hold();
  return tree().link(from, to);
}

int with_node(const char* path, fuse_file_info* info,
              const std::function<int(FaultTree::Node&)>& change) {
  const auto lock = hold();
  FaultTree::NodePtr node;
  if (info != nullptr && info->fh != 0) {
    node = opened(info);
  } else if (const int error = tree().find(path, &node)) {
    return error;
  }
  return change(*node);
}

int do_chmod(const char* path, mode_t mode, fuse_file_info* info) {
  return with_node(path, info, [&](FaultTree::Node& node) {
    node.attributes.st_mode = (node.attributes.st_mode & S_IFMT) | (mode & 07777);
    return 0;
  });
}

int do_chown(const char* path, uid_t uid, gid_t gid, fuse_file_info* info) {
  return with_node(path, info, [&](FaultTree::Node& node) {
    if (uid != static_cast<uid_t>(-1)) node.attributes.st_uid = uid;
    if (gid != static_cast<gid_t>(-1)) node.attributes.st_gid = gid;
    return 0;
  });
}

int do_utimens(const char* path, const timespec times[2], fuse_file_info* info) {
  return with_node(path, info, [&](FaultTree::Node& node) {
    if (times[1].tv_nsec != UTIME_OMIT) node.attributes.st_mtim = times[1];
    return 0;
  });
}

int do_truncate(const char* path, off_t bytes, fuse_file_info* info) {
  return with_node(path, info, [&](FaultTree::Node& node) {
    return tree().resize(node, static_cast<uint64_t>(bytes));
  });
}

int do_open(const char* path, fuse_file_info* info) {
  const auto lock = hold();
  FaultTree::NodePtr node;
  if (const int error = tree().find(path, &node)) return error;
  if ((info->flags & O_TRUNC) != 0)
    if (const int error = tree().resize(*node, 0)) return error;
  info->fh = reinterpret_cast<uint64_t>(new FaultTree::NodePtr(node));
  return 0;
}

int do_create(const char* path, mode_t mode, fuse_file_info* info) {
  const auto lock = hold();
  FaultTree::NodePtr node;
  if (const int error = tree().make(path, S_IFREG | mode, "", &node)) return error;
  info->fh = reinterpret_cast<uint64_t>(new FaultTree::NodePtr(node));
  return 0;
}

int do_release(const char*, fuse_file_info* info) {
  const auto lock = hold();
  delete &opened(info);
  return 0;
}

int do_read(const char*, char* into, size_t bytes, off_t offset, fuse_file_info* info) {
  const auto lock = hold();
  return tree().read(*opened(info), into, bytes, static_cast<uint64_t>(offset));
}

int do_write(const char* path, const char* from, size_t bytes, off_t offset, fuse_file_info* info) {
  const auto lock = hold();
  if (std::strcmp(path, kControl) == 0) {
    const int error = obey(std::string(from, bytes));
    return error != 0 ? error : static_cast<int>(bytes);
  }
  return tree().write(*opened(info), from, bytes, static_cast<uint64_t>(offset));
}

int do_fallocate(const char*, int mode, off_t offset, off_t bytes, fuse_file_info* info) {
  const auto lock = hold();
  const auto at = static_cast<uint64_t>(offset), count = static_cast<uint64_t>(bytes);
  if (mode == 0) return tree().allocate(*opened(info), at, count);
  if (mode == FALLOC_FL_KEEP_SIZE) return 0;  // space is counted by size only
  if (mode == (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE))
    return tree().punch(*opened(info), at, count);
  return -EOPNOTSUPP;
}

int do_fsync(const char*, int, fuse_file_info* info) {
  const auto lock = hold();
  return tree().sync(*opened(info));
}

int do_opendir(const char* path, fuse_file_info* info) { return do_open(path, info); }

int do_readdir(const char* path, void* into, fuse_fill_dir_t fill, off_t, fuse_file_info*,
               fuse_readdir_flags) {
  const auto lock = hold();
  return tree().list(path, [&](const std::string& name) {
    fill(into, name.c_str(), nullptr, 0, static_cast<fuse_fill_dir_flags>(0));
  });
}

int do_statfs(const char*, struct statvfs* out) {
  const auto lock = hold();
  constexpr uint64_t kShown = 64ULL << 30;
  const uint64_t limit = std::min<uint64_t>(tree().limit_bytes(), kShown);
  *out = {};
  out->f_bsize = out->f_frsize = 4096;
  out->f_blocks = limit / 4096;
  out->f_bfree = out->f_bavail = (limit - std::min(limit, tree().used_bytes())) / 4096;
  out->f_namemax = 255;
  return 0;
}

void* do_init(fuse_conn_info*, fuse_config* config) {
  config->use_ino = 1;
  config->hard_remove = 1;  // a removed file that is open is kept by its node
  config->nullpath_ok = 0;
  config->attr_timeout = config->entry_timeout = config->negative_timeout = 0;
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  tree().make(kControl, S_IFREG | 0600, "", nullptr);
  tree().sync_everything();
  fuse_operations operations{};
  operations.init = do_init;
  operations.getattr = do_getattr;
  operations.readlink = do_readlink;
  operations.mkdir = do_mkdir;
  operations.mknod = do_mknod;
  operations.symlink = do_symlink;
  operations.unlink = do_unlink;
  operations.rmdir = do_rmdir;
  operations.rename = do_rename;
  operations.link = do_link;
  operations.chmod = do_chmod;
  operations.chown = do_chown;
  operations.utimens = do_utimens;
  operations.truncate = do_truncate;
  operations.open = do_open;
  operations.create = do_create;
  operations.release = do_release;
  operations.read = do_read;
  operations.write = do_write;
  operations.fallocate = do_fallocate;
  operations.fsync = do_fsync;
  operations.opendir = do_opendir;
  operations.releasedir = do_release;
  operations.fsyncdir = do_fsync;
  operations.readdir = do_readdir;
  operations.statfs = do_statfs;
  return ::fuse_main(argc, argv, &operations, nullptr);
}
