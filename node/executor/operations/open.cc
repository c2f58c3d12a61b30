// Open, Close, DeclareOpens, CreateFile (open(2), close(2)).
//
// * Reading needs read permission, writing and O_TRUNC write permission; running a program needs
//   execute permission only. A directory cannot be opened for writing.
// * O_CREAT on an existing name needs no write permission on the directory; the file just made is
//   open as asked, whatever its mode.
// * An open handle keeps an inode without names alive. Handles are counted in memory, per session.
// * A router that was frozen may deliver a copy of Close or DeclareOpens long after the client sent
// it
//   again elsewhere. A declaration tells all that its client had opened and closed when it was
//   sent, so nothing older than the newest one closes anything; and one that was made for an
//   earlier executor, whose opens are not known here, counts for nothing (docs/protocol.md, "Open
//   inodes").
#include "node/executor/operations/open.h"

#include <fcntl.h>

#include "node/executor/directories.h"
#include "node/executor/file_data.h"
#include "node/executor/operations/create.h"
#include "node/executor/operations/declared.h"
#include "node/executor/operations/operations.h"
#include "node/executor/permissions.h"

namespace pairfs {

namespace {
constexpr uint32_t kOpenForExecution = 0x20;  // the kernel's __FMODE_EXEC among the open flags
}

Status check_open(const Context& context, const Inode& inode, uint32_t flags,
                  const Credentials& credentials) {
  const uint32_t mode = flags & O_ACCMODE;
  const bool writes = mode != O_RDONLY || (flags & O_TRUNC) != 0;
  if (inode.is_directory() && writes) return Errno{EISDIR};
  if (inode.type() == S_IFLNK) return Errno{ELOOP};
  uint32_t mask = 0;
  if ((flags & kOpenForExecution) != 0) {
    mask = X_OK;
  } else {
    if (mode != O_WRONLY) mask |= R_OK;
    if (writes) mask |= W_OK;
  }
  return check_access(context, inode, credentials, mask);
}

Result<AttributesReply> run(Context& context, Open& command) {
  PAIRFS_ASSIGN(const Inode inode, load_inode(context, command.inode));
  PAIRFS_TRY(check_open(context, inode, command.flags, command.credentials));
  const RequestId& request = context.input.request;
  Session* session = context.state.sessions.find(request.session);
  if (session->counted_requests.add(request.sequence))
    context.state.handles.add(request.session, inode.id);
  return AttributesReply{attributes_of(inode)};
}

Result<Empty> run(Context& context, Close& command) {
  const RequestId& request = context.input.request;
  Session* session = context.state.sessions.find(request.session);
  if (request.sequence > session->declared_sequence &&
      session->counted_requests.add(request.sequence))
    context.state.handles.remove(request.session, command.inode.id, command.count);
  // It closes a file when all that it has written there is executed.
  if (context.state.handles.count(request.session, command.inode.id) == 0)
    context.state.leases.end_writer(request.session, command.inode.id);
  return Empty{};
}

Result<OpenInodesReply> run(Context& context, DeclareOpens& command) {
  if (command.counts.size() != command.inodes.size()) return Errno{EINVAL};
  const SessionId id = context.input.request.session;
  Session* session = context.state.sessions.find(id);
  HandleTable& handles = context.state.handles;
  OpenInodesReply reply;
  const uint64_t sequence = context.input.request.sequence;
  bool current = sequence > session->declared_sequence;
  std::unordered_map<uint64_t, uint32_t> counts;
  for (size_t i = 0; i < command.inodes.size(); ++i) {
    const InodeRef& ref = command.inodes[i];
    if (ref.id == 0) {
      current = current && ref.generation >= context.config.epoch;
      continue;
    }
    // Sessions name all that they have open anywhere, as they may not know yet what came here.
    if (!context.owns(ref)) continue;
    const auto inode = load_inode(context, ref);
    if (!inode && inode.error() != kHeld) {
      reply.unknown.push_back(ref);
      continue;
    }
    // What this executor opened before the session declared may be missing from its list.
    uint32_t& count = counts[ref.id];
    count = command.counts[i];
    if (!session->declared) count = std::max(count, handles.count(id, ref.id));
  }
  if (!current) return reply;
  session->declared_sequence = sequence;
  if (!session->declared) handles.merge_into(id, counts);
  handles.replace(id, std::move(counts));
  session->declared = true;
  update_all_declared(context.state);
  return reply;
}

Result<EntryReply> run(Context& context, CreateFile& command) {
  PAIRFS_ASSIGN(Inode parent, load_directory(context, command.parent));
  PAIRFS_TRY(check_access(context, parent, command.credentials, X_OK));
  PAIRFS_TRY(check_new_name(command.name, EISDIR));
  EntryReply reply;
  const auto entry = find_entry(context, parent, command.name);
  if (entry) {
    if ((command.flags & O_EXCL) != 0) return Errno{EEXIST};
    if (entry->type == S_IFDIR) return Errno{EISDIR};
    // The kernel saw no such name a moment ago: with ESTALE it looks again, and follows what it is.
    if (entry->type != S_IFREG) return Errno{ESTALE};
    if (!context.owns(entry->inode))
      return EntryReply{.attributes = {.inode = entry->inode, .mode = S_IFREG}, .remote = true};
    PAIRFS_ASSIGN(Inode inode, load_inode(context, entry->inode));
    PAIRFS_TRY(check_open(context, inode, command.flags, command.credentials));
    if ((command.flags & O_TRUNC) != 0) {
      truncate_to(context, inode, 0);
      clear_privileges(context, inode,
                       is_root(command.credentials) ? nullptr : &command.credentials);
      inode.mtime = inode.ctime = command.resolved.now;
      store_inode(context, inode);
    }
    reply.attributes = attributes_of(inode);
  } else {
    if (entry.error() != ENOENT) return entry.failure();
    PAIRFS_TRY(check_may_create(context, parent, command.credentials));
    const NewNode node{command.name,        S_IFREG | (command.mode & 07777U),
                       command.umask,       0,
                       command.credentials, command.resolved};
    PAIRFS_ASSIGN(const Inode inode, make_inode(context, parent, node, command.parent.slice()));
    store_inode(context, inode);
    add_entry(context, parent, command.name, inode.ref(), S_IFREG);
    touch_directory(parent, command.resolved.now);
    store_inode(context, parent);
    reply.attributes = attributes_of(inode);
  }
  if (!context.replaying) {
    const RequestId& request = context.input.request;
    context.state.handles.add(request.session, reply.attributes.inode.id);
    context.state.sessions.find(request.session)->counted_creates[request.slot] = request.sequence;
  }
  return reply;
}

}  // namespace pairfs
