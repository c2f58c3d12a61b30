#include "fuse/mount.h"

#include <cerrno>

#include "common/access_check.h"

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

Status check_access_left_behind(const Attributes& kept, const Credentials& credentials,
                                uint32_t mask) {
  return check_subject_access(access_subject(kept), credentials, mask, [] {
    return Result<std::optional<Acl>>(std::optional<Acl>(std::nullopt));
  });
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
  // Removed between the two questions: as if the name had been asked for after that.
  answer_lookup(request, reply, false, [request] { request->error(ENOENT); });
}

void Mount::answer_lookup(const RequestPtr& request, const EntryReply& reply, bool hold,
                          std::function<void()> gone) {
  const auto answer = [this, request](const Attributes& attributes) {
    const bool taken = request->entry(to_entry(attributes));
    if (taken) nodes.looked_up(attributes);
    return taken;
  };
  if (!hold && !reply.remote) {
    answer(reply.attributes);
    return;
  }
  if (request->answered()) return;
  if (!hold) {
    GetAttributes command;
    command.inode = reply.attributes.inode;
    request->call<GetAttributes>(command, [=](Outcome<GetAttributes> outcome) {
      if (outcome.ok())
        answer(outcome.reply.attributes);
      else if (outcome.error == ESTALE)
        gone();
      else
        request->error(outcome.error);
    });
    return;
  }
  Open command;  // as root, whom nothing is refused
  command.inode = reply.attributes.inode;
  request->call<Open>(command, [this, request, reply, answer, gone](Outcome<Open> outcome) {
    if (outcome.ok()) {
      const InodeRef inode = outcome.reply.attributes.inode;
      if (answer(outcome.reply.attributes))
        holds.held(inode, caller.now());
      else
        core.release(inode, caller.now());
    } else if (outcome.error == ESTALE) {
      gone();
    } else {
      answer_lookup(request, reply, false, gone);  // a symbolic link cannot be held
    }
  });
}

void Mount::end_holds() {
  for (const InodeRef inode : holds.expired(caller.now())) core.release(inode, caller.now());
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

void Mount::answer_inode_error(const RequestPtr& request, InodeRef inode, int error) {
  request->error(left_behind(inode, error) ? ENOENT : error);
}

std::optional<Attributes> Mount::left_behind(InodeRef inode, int error) {
  if (error != ESTALE) return std::nullopt;
  auto kept = nodes.after_removal(inode);
  if (!kept || !nodes.was_found_removed(inode)) return std::nullopt;
  return kept;
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
