#include "fuse/mount_statistics.h"

#include <fmt/core.h>
#include <linux/fuse.h>

#include <cstring>

namespace pairfs {
namespace {

const char* request_name(size_t op) {
  switch (op) {
    case FUSE_LOOKUP:
      return "LOOKUP";
    case FUSE_FORGET:
      return "FORGET";
    case FUSE_GETATTR:
      return "GETATTR";
    case FUSE_SETATTR:
      return "SETATTR";
    case FUSE_READLINK:
      return "READLINK";
    case FUSE_SYMLINK:
      return "SYMLINK";
    case FUSE_MKNOD:
      return "MKNOD";
    case FUSE_MKDIR:
      return "MKDIR";
    case FUSE_UNLINK:
      return "UNLINK";
    case FUSE_RMDIR:
      return "RMDIR";
    case FUSE_RENAME:
      return "RENAME";
    case FUSE_RENAME2:
      return "RENAME2";
    case FUSE_LINK:
      return "LINK";
    case FUSE_OPEN:
      return "OPEN";
    case FUSE_READ:
      return "READ";
    case FUSE_WRITE:
      return "WRITE";
    case FUSE_STATFS:
      return "STATFS";
    case FUSE_RELEASE:
      return "RELEASE";
    case FUSE_FSYNC:
      return "FSYNC";
    case FUSE_SETXATTR:
      return "SETXATTR";
    case FUSE_GETXATTR:
      return "GETXATTR";
    case FUSE_LISTXATTR:
      return "LISTXATTR";
    case FUSE_REMOVEXATTR:
      return "REMOVEXATTR";
    case FUSE_FLUSH:
      return "FLUSH";
    case FUSE_OPENDIR:
      return "OPENDIR";
    case FUSE_READDIR:
      return "READDIR";
    case FUSE_READDIRPLUS:
      return "READDIRPLUS";
    case FUSE_RELEASEDIR:
      return "RELEASEDIR";
    case FUSE_FSYNCDIR:
      return "FSYNCDIR";
    case FUSE_GETLK:
      return "GETLK";
    case FUSE_SETLK:
      return "SETLK";
    case FUSE_SETLKW:
      return "SETLKW";
    case FUSE_ACCESS:
      return "ACCESS";
    case FUSE_CREATE:
      return "CREATE";
    case FUSE_INTERRUPT:
      return "INTERRUPT";
    case FUSE_BATCH_FORGET:
      return "BATCH_FORGET";
    case FUSE_FALLOCATE:
      return "FALLOCATE";
    case FUSE_LSEEK:
      return "LSEEK";
    case FUSE_COPY_FILE_RANGE:
      return "COPY_FILE_RANGE";
    default:
      return "OTHER";
  }
}

}  // namespace

void MountStatistics::count_request(BytesView request) {
  fuse_in_header header;
  if (request.size() < sizeof header) return;
  std::memcpy(&header, request.data(), sizeof header);
  ++requests_[header.opcode < requests_.size() ? header.opcode : 0];
}

std::string MountStatistics::json() const {
  uint64_t all = 0, others = 0;
  std::string named;
  for (size_t op = 0; op < requests_.size(); ++op) {
    all += requests_[op];
    if (requests_[op] == 0) continue;
    const std::string name = request_name(op);
    if (name == "OTHER")
      others += requests_[op];
    else
      named += fmt::format("\"{}\":{},", name, requests_[op]);
  }
  return fmt::format(
      "{{\"requests\":{},\"commands\":{},\"written_behind\":{},\"by_request\":{{{}\"OTHER\":{}}}}}"
      "\n",
      all, commands_.json(), written_behind_, named, others);
}

}  // namespace pairfs
