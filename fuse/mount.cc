#include "fuse/mount.h"

#include <cerrno>

namespace pairfs {
namespace {

// Programs buffer by this: a file's stdio buffer is one command then.
constexpr blksize_t kPreferredIoBytes = 128 << 10;
constexpr size_t kCopyMaxBytes = 64 << 10;

timespec to_timespec(const Timestamp& time) {
  return {static_cast<time_t>(time.seconds), static_cast<long>(time.nanoseconds)};
}

}  // namespace

struct stat to_stat(const Attributes& attributes) {
  struct stat out {};
  out.st_ino = attributes.inode.id;
  out.st_mode = attributes.mode;
  out.st_nlink = attributes.nlink;
  out.st_uid = attributes.uid;
  out.st_gid = attributes.gid;
  out.st_rdev = attributes.rdev;
  out.st_size = static_cast<off_t>(attributes.size_bytes);
  out.st_blksize = kPreferredIoBytes;
  out.st_blocks = static_cast<blkcnt_t>(attributes.allocated_bytes / 512);
  out.st_atim = to_timespec(attributes.atime);
  out.st_mtim = to_timespec(attributes.mtime);
  out.st_ctim = to_timespec(attributes.ctime);
  return out;
}

fuse_entry_param to_entry(const Attributes& attributes) {
  fuse_entry_param entry{};  // timeouts zero: each path walk asks the executor
  entry.ino = attributes.inode.id;
  entry.generation = attributes.inode.generation;
  entry.attr = to_stat(attributes);
  return entry;
}

std::optional<InodeRef> Mount::inode_of(const RequestPtr& request, fuse_ino_t node) {
  const auto inode = nodes.find(node);
  if (!inode) request->error(ESTALE);
  return inode;
}

FileHandle* Mount::handle_of(const RequestPtr& request, const fuse_file_info* file) {
  FileHandle* handle = handles.find(file->fh);
  if (handle == nullptr ||
      (!handle->removed && core.handle_lost(handle->inode, handle->open_serial))) {
    request->error(EIO);
    return nullptr;
  }
  return handle;
}

void Mount::answer_entry(const RequestPtr& request, const EntryReply& reply) {
  const auto answer = [this](const RequestPtr& to, const Attributes& attributes) {
    if (to->entry(to_entry(attributes))) nodes.looked_up(attributes);
  };
  if (!reply.remote) {
    answer(request, reply.attributes);
    return;
  }
  if (request->answered()) return;
  GetAttributes command;
  command.inode = reply.attributes.inode;
  request->call<GetAttributes>(command, [=](Outcome<GetAttributes> outcome) {
    // Removed between the two questions: as if the name had been asked for after that.
    if (!outcome.ok())
      request->error(outcome.error == ESTALE ? ENOENT : outcome.error);
    else
      answer(request, outcome.reply.attributes);
  });
}

void Mount::answer_open(const RequestPtr& request, InodeRef inode, uint64_t open_serial,
                        fuse_file_info file, const Attributes* created) {
  FileHandle handle;
  handle.inode = inode;
  handle.flags = static_cast<uint32_t>(file.flags);
  handle.open_serial = open_serial;
  file.fh = handles.add(std::move(handle));
  const bool taken =
      created != nullptr ? request->created(to_entry(*created), file) : request->opened(file);
  if (taken) {
    if (created != nullptr) nodes.looked_up(inode);
    return;
  }
  handles.remove(file.fh);
  core.release(inode, caller.now());
}

void Mount::answer_name_error(const RequestPtr& request, InodeRef directory, int error) {
  if (error != ESTALE || request->answered()) {
    request->error(error);
    return;
  }
  GetAttributes command;
  command.inode = directory;
  request->call<GetAttributes>(command, [this, request, directory](Outcome<GetAttributes> outcome) {
    const bool removed = outcome.error == ESTALE && nodes.was_found_removed(directory);
    request->error(removed ? ENOENT : ESTALE);
  });
}

SharedBytes Mount::keep(const char* data, size_t length) const {
  if (length <= kCopyMaxBytes) return SharedBytes::from(Bytes(data, length));
  return raw_request.part(static_cast<size_t>(data - raw_request.view().data()), length);
}

}  // namespace pairfs
