// FUSE operations on locks: fcntl(2)'s (of a process, or of an open file description) and
// flock(2)'s.
#include <fcntl.h>
#include <sys/file.h>
#include <cerrno>

#include "fuse/mount.h"

namespace pairfs {
namespace {

constexpr uint64_t kToEnd = ~0ULL;

SetLock unlock_all(InodeRef inode, uint64_t owner, bool whole_file) {
  SetLock command;
  command.inode = inode;
  command.range.type = F_UNLCK;
  command.range.owner = owner;
  command.whole_file = whole_file;
  return command;
}

LockRange to_range(const struct flock& lock, uint64_t owner) {
  LockRange range;
  range.type = static_cast<uint8_t>(lock.l_type);
  range.start = static_cast<uint64_t>(lock.l_start);
  range.end = lock.l_len == 0 ? kToEnd : range.start + static_cast<uint64_t>(lock.l_len) - 1;
  range.owner = owner;
  range.pid = static_cast<uint32_t>(lock.l_pid);
  return range;
}

void test_lock(fuse_req_t req, fuse_ino_t, fuse_file_info* file, struct flock* lock) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  TestLock command;
  command.inode = handle->inode;
  command.range = to_range(*lock, file->lock_owner);
  request->call<TestLock>(command, [request](Outcome<TestLock> outcome) {
    if (!outcome.ok()) {
      request->error(outcome.error);
      return;
    }
    const LockRange& conflict = outcome.reply.conflict;
    struct flock out {};
    out.l_type = conflict.type;
    out.l_whence = SEEK_SET;
    if (conflict.type != F_UNLCK) {
      out.l_start = static_cast<off_t>(conflict.start);
      out.l_len =
          conflict.end == kToEnd ? 0 : static_cast<off_t>(conflict.end - conflict.start + 1);
      out.l_pid = static_cast<pid_t>(conflict.pid);
    }
    request->lock(out);
  });
}

void send_lock(Mount& mount, const RequestPtr& request, const SetLock& command) {
  if (command.wait) request->set_blocking_lock();
  if (command.range.type == F_UNLCK) request->set_must_finish();
  request->call<SetLock>(command, [&mount, request, command](Outcome<SetLock> outcome) {
    const bool too_late = request->answered();
    request->error(outcome.error);
    // The caller was killed while it waited: nobody else would ever give this lock back.
    if (too_late && outcome.ok() && command.range.type != F_UNLCK)
      mount.caller.call<SetLock>(unlock_all(command.inode, command.range.owner, command.whole_file),
                                 [](Outcome<SetLock>) {});
  });
}

void set_lock(fuse_req_t req, fuse_ino_t, fuse_file_info* file, struct flock* lock, int sleep) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  SetLock command;
  command.inode = handle->inode;
  command.range = to_range(*lock, file->lock_owner);
  command.wait = sleep != 0 && lock->l_type != F_UNLCK;
  if (lock->l_type != F_UNLCK) handle->lock_owners.insert(file->lock_owner);
  send_lock(mount, request, command);
}

void flock_file(fuse_req_t req, fuse_ino_t, fuse_file_info* file, int operation) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const FileHandle* handle = mount.handle_of(request, file);
  if (handle == nullptr) return;
  SetLock command = unlock_all(handle->inode, file->lock_owner, true);
  command.range.pid = static_cast<uint32_t>(request->context().pid);
  switch (operation & ~LOCK_NB) {
    case LOCK_SH:
      command.range.type = F_RDLCK;
      break;
    case LOCK_EX:
      command.range.type = F_WRLCK;
      break;
    case LOCK_UN:
      break;
    default:
      request->error(EINVAL);
      return;
  }
  command.wait = (operation & LOCK_NB) == 0 && command.range.type != F_UNLCK;
  send_lock(mount, request, command);
}

}  // namespace

// POSIX: close(2) of any descriptor gives back all locks that the process has on the file, before
// it returns.
void flush_locks(Mount& mount, const RequestPtr& request, InodeRef inode, uint64_t owner) {
  if (!mount.core.may_hold_locks(inode, owner, false)) {
    request->done();
    return;
  }
  const SetLock command = unlock_all(inode, owner, false);
  if (is_exiting(request->context().pid)) {
    // Its death does not wait for the servers.
    mount.caller.call<SetLock>(command, [](Outcome<SetLock>) {});
    request->done();
    return;
  }
  request->set_must_finish();
  // A lock that went with its session is not close(2)'s to report.
  request->call<SetLock>(command, [request](Outcome<SetLock>) { request->done(); });
}

void release_locks(Mount& mount, FileHandle& handle, const fuse_file_info& file) {
  const auto unlock = [&](uint64_t owner, bool whole_file) {
    if (mount.core.may_hold_locks(handle.inode, owner, whole_file))
      mount.caller.call<SetLock>(unlock_all(handle.inode, owner, whole_file),
                                 [](Outcome<SetLock>) {});
  };
  if (file.flock_release != 0) unlock(file.lock_owner, true);
  for (const uint64_t owner : handle.lock_owners) unlock(owner, false);
}

void add_lock_operations(fuse_lowlevel_ops& operations) {
  operations.getlk = test_lock;
  operations.setlk = set_lock;
  operations.flock = flock_file;
}

}  // namespace pairfs
