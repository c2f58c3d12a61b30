// FUSE operations on open files.
#include <fcntl.h>
#include <cerrno>

#include "fuse/mount.h"
#include "fuse/raw_request.h"

namespace pairfs {
namespace {

// A longer copy_file_range is answered in parts, so that no command holds a volume's loop for long.
constexpr uint64_t kCopyRangeMaxBytes = 16 << 20;

void open_file(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  Open command;
  command.inode = *inode;
  command.flags = static_cast<uint32_t>(info->flags);
  command.credentials = request->credentials();
  request->call<Open>(
      command, [&mount, request, inode, file = *info](Outcome<Open> outcome) mutable {
        if (!outcome.ok()) {
          request->error(outcome.error);
          return;
        }
        file.keep_cache = mount.nodes.unchanged_since_open(*inode, outcome.reply.attributes.ctime);
        mount.answer_open(request, *inode, outcome.open_serial, file, nullptr);
      });
}

void read_file(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  Read command;
  command.inode = handle->inode;
  command.offset_bytes = static_cast<uint64_t>(offset);
  command.length_bytes = static_cast<uint32_t>(std::min(size, kIoMaxBytes));
  command.update_atime = mount.settings.update_atime && (handle->flags & O_NOATIME) == 0;
  request->call<Read>(command, [request, size](Outcome<Read> outcome) {
    if (!outcome.ok())
      request->error(outcome.error);
    else if (outcome.bulk.size() > size)
      request->error(EIO);
    else
      request->data(outcome.bulk.view());
  });
}

// Tells with a Write, Allocate or CopyRange that its caller lacks CAP_FSETID. One process's groups
// are taken to stay as they were when it first used the handle.
template <class C>
void clear_privileges(const RequestPtr& request, FileHandle& handle, C& command) {
  const fuse_ctx& caller = request->context();
  Credentials& known = handle.writer;
  if (handle.writer_pid != caller.pid || known.uid != caller.uid || known.gid != caller.gid) {
    known = request->credentials();
    handle.writer_pid = caller.pid;
  }
  command.clear_privileges = true;
  command.credentials = known;
}

void write_file(fuse_req_t req, fuse_ino_t, const char* data, size_t size, off_t offset,
                fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  Write command;
  command.inode = handle->inode;
  command.offset_bytes = static_cast<uint64_t>(offset);
  // Pages of a map have their place in the file, whatever the handle says. For the rest the flags
  // are the descriptor's of this moment (fcntl F_SETFL).
  const bool from_pages = file->writepage != 0;
  command.append = !from_pages && (file->flags & O_APPEND) != 0;
  // Without O_DIRECT the kernel sends an FSYNC of its own behind each write.
  command.sync = !from_pages && (file->flags & O_DSYNC) != 0 && (file->flags & O_DIRECT) != 0;
  if (asks_to_kill_privileges(mount.raw_request.view()))
    clear_privileges(request, *handle, command);
  if (!from_pages && mount.core.may_write_behind(command, size, mount.caller.now())) {
    mount.statistics.count_written_behind();
    mount.core.write_behind(command, mount.caller.now(), mount.keep(data, size));
    request->watch();
    mount.caller.when_not_far_behind([request, size] { request->written(size); });
    return;
  }
  request->call<Write>(
      command,
      [request, size](Outcome<Write> outcome) {
        if (!outcome.ok())
          request->error(outcome.error);
        else
          request->written(std::min<size_t>(size, outcome.reply.count));
      },
      mount.keep(data, size));
}

void flush_file(fuse_req_t req, fuse_ino_t node, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  const uint64_t owner = file->lock_owner;
  // The death of a process does not wait for the servers.
  if (mount.core.has_writes_behind(*inode) && is_exiting(request->context().pid)) {
    flush_locks(mount, request, *inode, owner);
    return;
  }
  request->watch();
  mount.caller.when_written(*inode, [&mount, request, inode = *inode, owner] {
    if (const int error = mount.core.take_write_error(inode); error != 0) request->error(error);
    flush_locks(mount, request, inode, owner);
  });
}

void release_file(fuse_req_t req, fuse_ino_t, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  FileHandle* handle = mount.handles.find(file->fh);
  if (handle != nullptr) {
    release_locks(mount, *handle, *file);
    const InodeRef inode = handle->inode;
    mount.handles.remove(file->fh);
    mount.caller.when_written(inode,
                              [&mount, inode] { mount.core.release(inode, mount.caller.now()); });
  }
  request->done();
}

void sync_file(fuse_req_t req, fuse_ino_t, int, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  Fsync command;
  command.inode = handle->inode;
  request->call<Fsync>(command, [&mount, request, inode = command.inode](Outcome<Fsync> outcome) {
    const int error = mount.core.take_write_error(inode);
    request->error(outcome.ok() ? error : outcome.error);
  });
}

void allocate(fuse_req_t req, fuse_ino_t, int mode, off_t offset, off_t length,
              fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  Allocate command;
  command.inode = handle->inode;
  command.mode = static_cast<uint32_t>(mode);
  command.offset_bytes = static_cast<uint64_t>(offset);
  command.length_bytes = static_cast<uint64_t>(length);
  // The kernel leaves it to the filesystem to drop setuid and setgid bits, and does not say when.
  if (request->context().uid != 0) clear_privileges(request, *handle, command);
  request->call<Allocate>(command,
                          [request](Outcome<Allocate> outcome) { request->error(outcome.error); });
}

void copy_range(fuse_req_t req, fuse_ino_t, off_t source_offset, fuse_file_info* source_file,
                fuse_ino_t, off_t offset, fuse_file_info* file, size_t length, int) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const FileHandle* source = mount.handle_of(request, source_file);
  if (source == nullptr) return;
  FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  const ClusterMap& map = *mount.core.map();
  if (map.volume_of(source->inode.slice()) != map.volume_of(handle->inode.slice())) {
    request->error(EXDEV);  // the kernel copies through the page cache instead
    return;
  }
  CopyRange command;
  command.source = source->inode;
  command.source_offset_bytes = static_cast<uint64_t>(source_offset);
  command.inode = handle->inode;
  command.offset_bytes = static_cast<uint64_t>(offset);
  command.length_bytes = std::min<uint64_t>(length, kCopyRangeMaxBytes);
  if (request->context().uid != 0) clear_privileges(request, *handle, command);
  request->call<CopyRange>(command, [request](Outcome<CopyRange> outcome) {
    if (outcome.ok())
      request->written(outcome.reply.count);
    else
      request->error(outcome.error);
  });
}

void seek(fuse_req_t req, fuse_ino_t, off_t offset, int whence, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  Seek command;
  command.inode = handle->inode;
  command.offset_bytes = static_cast<uint64_t>(offset);
  command.whence = static_cast<uint32_t>(whence);
  request->call<Seek>(command, [request](Outcome<Seek> outcome) {
    if (outcome.ok())
      request->offset(outcome.reply.count);
    else
      request->error(outcome.error);
  });
}

// None is carried; ENOSYS would say the same for all other files, too.
void ioctl_file(fuse_req_t req, fuse_ino_t, unsigned, void*, fuse_file_info*, unsigned, const void*,
                size_t, size_t) {
  fuse_reply_err(req, ENOTTY);
}

}  // namespace

void add_file_operations(fuse_lowlevel_ops& operations) {
  operations.open = open_file;
  operations.read = read_file;
  operations.write = write_file;
  operations.flush = flush_file;
  operations.release = release_file;
  operations.fsync = sync_file;
  operations.fallocate = allocate;
  operations.copy_file_range = copy_range;
  operations.lseek = seek;
  operations.ioctl = ioctl_file;
}

}  // namespace pairfs
