// FUSE operations on extended attributes, ACLs among them.
#include <cerrno>

#include "fuse/mount.h"

namespace pairfs {
namespace {

// size 0 asks for the size alone.
void answer_value(const RequestPtr& request, const XattrValue& value, size_t size) {
  if (size == 0)
    request->xattr_size(value.size());
  else if (value.size() > size)
    request->error(ERANGE);
  else
    request->data(value);
}

void get_xattr(fuse_req_t req, fuse_ino_t node, const char* name, size_t size) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  if (BytesView(name) == kStatisticsXattr) {
    answer_value(request, XattrValue(mount.statistics.json()), size);
    return;
  }
  GetXattr command;
  command.inode = *inode;
  command.name = BytesView(name);
  command.credentials = request->credentials();
  request->call<GetXattr>(command, [&mount, request, inode, size](Outcome<GetXattr> outcome) {
    if (outcome.ok())
      answer_value(request, outcome.reply.value, size);
    else if (mount.left_behind(*inode, outcome.error))
      request->error(ENODATA);  // its attributes went with it
    else
      request->error(outcome.error);
  });
}

void list_xattr(fuse_req_t req, fuse_ino_t node, size_t size) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  ListXattr command;
  command.inode = *inode;
  command.credentials = request->credentials();
  request->call<ListXattr>(command, [&mount, request, inode, size](Outcome<ListXattr> outcome) {
    if (outcome.ok())
      answer_value(request, outcome.reply.value, size);
    else if (mount.left_behind(*inode, outcome.error))
      answer_value(request, {}, size);
    else
      request->error(outcome.error);
  });
}

void set_xattr(fuse_req_t req, fuse_ino_t node, const char* name, const char* value, size_t size,
               int flags) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  if (BytesView(name).size() > kXattrNameMaxBytes || size > kXattrValueMaxBytes) {
    request->error(size > kXattrValueMaxBytes ? E2BIG : ERANGE);
    return;
  }
  SetXattr command;
  command.inode = *inode;
  command.name = BytesView(name);
  command.value = BytesView(value, size);
  command.flags = static_cast<uint32_t>(flags);
  command.credentials = request->credentials();
  request->call<SetXattr>(command, [&mount, request, inode](Outcome<SetXattr> outcome) {
    mount.answer_inode_error(request, *inode, outcome.error);
  });
}

void remove_xattr(fuse_req_t req, fuse_ino_t node, const char* name) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  RemoveXattr command;
  command.inode = *inode;
  command.name = BytesView(name);
  command.credentials = request->credentials();
  request->call<RemoveXattr>(command, [&mount, request, inode](Outcome<RemoveXattr> outcome) {
    mount.answer_inode_error(request, *inode, outcome.error);
  });
}

}  // namespace

void add_xattr_operations(fuse_lowlevel_ops& operations) {
  operations.getxattr = get_xattr;
  operations.listxattr = list_xattr;
  operations.setxattr = set_xattr;
  operations.removexattr = remove_xattr;
}

}  // namespace pairfs
