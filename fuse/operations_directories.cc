// FUSE operations on open directories.
#include <fcntl.h>
#include <cerrno>

#include "fuse/mount.h"

namespace pairfs {
namespace {

// A directory that is removed, yet somebody's working directory: it opens as on other filesystems,
// and lists nothing.
void open_removed(Mount& mount, const RequestPtr& request, const Attributes& kept,
                  fuse_file_info file) {
  const Status access = check_access_left_behind(kept, request->credentials(), R_OK);
  if (!access) {
    request->error(access.error());
    return;
  }
  FileHandle handle;
  handle.inode = kept.inode;
  handle.flags = static_cast<uint32_t>(file.flags);
  handle.removed = true;
  file.fh = mount.handles.add(std::move(handle));
  if (!request->opened(file)) mount.handles.remove(file.fh);
}

void open_directory(fuse_req_t req, fuse_ino_t node, fuse_file_info* info) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  Open command;
  command.inode = *inode;
  command.flags = static_cast<uint32_t>(info->flags) | O_DIRECTORY;
  command.credentials = request->credentials();
  request->call<Open>(command, [&mount, request, inode, file = *info](Outcome<Open> outcome) {
    const auto kept = outcome.error == ESTALE ? mount.nodes.after_removal(*inode) : std::nullopt;
    if (outcome.ok())
      mount.answer_open(request, *inode, outcome.open_serial, file, nullptr);
    else if (kept)
      open_removed(mount, request, *kept, file);
    else
      request->error(outcome.error);
  });
}

// An entry's octets in a READDIR(PLUS) answer, appended to `buffer`. False: no room.
bool add_entry(fuse_req_t req, Bytes& buffer, size_t size, const DirectoryEntry& entry, bool plus) {
  const Name& name = entry.name;
  const size_t used = buffer.size();
  fuse_entry_param param{};
  param.attr.st_ino = entry.inode.id;
  param.attr.st_mode = entry.type;
  // Node id 0: the name alone. "." and ".." never count as lookups.
  if (plus && entry.has_attributes && name != "." && name != "..")
    param = to_entry(entry.attributes);
  const auto cookie = static_cast<off_t>(entry.cookie);
  const auto add = [&](char* at, size_t room) {
    return plus ? fuse_add_direntry_plus(req, at, room, name.c_str(), &param, cookie)
                : fuse_add_direntry(req, at, room, name.c_str(), &param.attr, cookie);
  };
  const size_t needed = add(nullptr, 0);
  if (used + needed > size) return false;
  buffer.resize(used + needed);
  add(buffer.data() + used, needed);
  return true;
}

void answer_listing(Mount& mount, const RequestPtr& request, const DirectoryReply& reply,
                    size_t size, bool plus) {
  if (request->answered()) return;
  Bytes buffer;
  buffer.reserve(size);
  std::vector<const Attributes*> named;
  for (const DirectoryEntry& entry : reply.entries) {
    if (!add_entry(request->raw(), buffer, size, entry, plus)) break;
    if (plus && entry.has_attributes && entry.name != "." && entry.name != "..")
      named.push_back(&entry.attributes);
  }
  if (!request->data(buffer)) return;
  for (const Attributes* attributes : named) mount.nodes.looked_up(*attributes);
}

template <bool kPlus>
void read_directory(fuse_req_t req, fuse_ino_t, size_t size, off_t offset, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  if (handle->removed) {
    request->error(ENOENT);
    return;
  }
  ReadDirectory command;
  command.inode = handle->inode;
  command.cookie = static_cast<uint64_t>(offset);
  command.max_bytes = static_cast<uint32_t>(std::min(size, kIoMaxBytes));
  command.with_attributes = kPlus;
  command.update_atime = mount.settings.update_atime && (handle->flags & O_NOATIME) == 0;
  request->call<ReadDirectory>(command, [&mount, request, size](Outcome<ReadDirectory> outcome) {
    if (outcome.ok())
      answer_listing(mount, request, outcome.reply, size, kPlus);
    else
      request->error(outcome.error);
  });
}

void release_directory(fuse_req_t req, fuse_ino_t, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  if (const FileHandle* handle = mount.handles.find(file->fh)) {
    const InodeRef inode = handle->inode;
    const bool is_open = !handle->removed;
    mount.handles.remove(file->fh);
    if (is_open) mount.core.release(inode, mount.caller.now());
  }
  request->done();
}

void sync_directory(fuse_req_t req, fuse_ino_t, int, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  if (handle->removed) {
    request->done();
    return;
  }
  Fsync command;
  command.inode = handle->inode;
  // What sync(1) and `pairfs sync` ask for includes files that are being written.
  mount.caller.when_written({}, [request, command] {
    request->call<Fsync>(command,
                         [request](Outcome<Fsync> outcome) { request->error(outcome.error); });
  });
}

}  // namespace

void add_directory_operations(fuse_lowlevel_ops& operations) {
  operations.opendir = open_directory;
  operations.readdir = read_directory<false>;
  operations.readdirplus = read_directory<true>;
  operations.releasedir = release_directory;
  operations.fsyncdir = sync_directory;
}

}  // namespace pairfs
