// FUSE operations on names: what makes, finds, moves and removes directory entries.
#include <fcntl.h>
#include <cerrno>

#include "fuse/mount.h"

namespace pairfs {
namespace {

// The directory of a name; nullopt: the request has been answered.
std::optional<InodeRef> directory_of(Mount& mount, const RequestPtr& request, fuse_ino_t parent,
                                     const char* name) {
  auto directory = mount.inode_of(request, parent);
  if (directory && is_name_too_long(name)) {
    request->error(ENAMETOOLONG);
    directory.reset();
  }
  return directory;
}

// A name that leads to something else each time it is looked at is looked up so often in one
// request.
constexpr unsigned kLookupsMax = 100;

void find_name(Mount& mount, const RequestPtr& request, const Lookup& command, unsigned attempt) {
  if (request->answered()) return;
  request->call<Lookup>(command, [&mount, request, command, attempt](Outcome<Lookup> outcome) {
    if (!outcome.ok()) {
      mount.answer_name_error(request, command.parent, outcome.error);
      return;
    }
    const bool hold = mount.holds.wanted(request->thread(), mount.caller.now());
    mount.answer_lookup(request, outcome.reply, hold, [&mount, request, command, attempt] {
      if (attempt < kLookupsMax)
        find_name(mount, request, command, attempt + 1);
      else
        request->error(ENOENT);
    });
  });
}

void lookup(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto directory = directory_of(mount, request, parent, name);
  if (!directory) return;
  Lookup command;
  command.parent = *directory;
  command.name = BytesView(name);
  command.credentials = request->credentials();
  find_name(mount, request, command, 1);
}

void forget(fuse_req_t req, fuse_ino_t node, uint64_t lookups) {
  Mount::of(req).nodes.forget(node, lookups);
  fuse_reply_none(req);
}

void forget_multi(fuse_req_t req, size_t count, fuse_forget_data* forgets) {
  for (size_t i = 0; i < count; ++i)
    Mount::of(req).nodes.forget(forgets[i].ino, forgets[i].nlookup);
  fuse_reply_none(req);
}

// The common part of what makes a name: parent, name and caller are filled in, `fill` does the
// rest.
template <class C, class Fill>
void make_entry(fuse_req_t req, fuse_ino_t parent, const char* name, Fill&& fill) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto directory = directory_of(mount, request, parent, name);
  if (!directory) return;
  C command;
  command.parent = *directory;
  command.name = BytesView(name);
  command.credentials = request->credentials();
  fill(command, *request);
  request->call<C>(command, [&mount, request, directory](Outcome<C> outcome) {
    if (outcome.ok())
      mount.answer_entry(request, outcome.reply);
    else
      mount.answer_name_error(request, *directory, outcome.error);
  });
}

void make_node(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode, dev_t rdev) {
  make_entry<MakeNode>(req, parent, name, [&](MakeNode& command, const FuseRequest& request) {
    command.mode = mode;
    command.umask = request.context().umask;
    command.rdev = rdev;
  });
}

void make_directory(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode) {
  make_entry<MakeDirectory>(req, parent, name,
                            [&](MakeDirectory& command, const FuseRequest& request) {
                              command.mode = mode;
                              command.umask = request.context().umask;
                            });
}

void make_symlink(fuse_req_t req, const char* target, fuse_ino_t parent, const char* name) {
  if (BytesView(target).size() > kLinkTargetMaxBytes) {
    fuse_reply_err(req, ENAMETOOLONG);
    return;
  }
  make_entry<MakeSymlink>(req, parent, name, [&](MakeSymlink& command, const FuseRequest&) {
    command.target = BytesView(target);
  });
}

void make_link(fuse_req_t req, fuse_ino_t node, fuse_ino_t parent, const char* name) {
  const auto inode = Mount::of(req).nodes.find(node);
  if (!inode) {
    fuse_reply_err(req, ESTALE);
    return;
  }
  make_entry<MakeLink>(req, parent, name,
                       [&](MakeLink& command, const FuseRequest&) { command.inode = *inode; });
}

template <class C>
void remove_name(fuse_req_t req, fuse_ino_t parent, const char* name) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto directory = directory_of(mount, request, parent, name);
  if (!directory) return;
  C command;
  command.parent = *directory;
  command.name = BytesView(name);
  command.credentials = request->credentials();
  request->call<C>(command, [&mount, request, directory](Outcome<C> outcome) {
    mount.answer_name_error(request, *directory, outcome.error);
  });
}

void rename_name(fuse_req_t req, fuse_ino_t parent, const char* name, fuse_ino_t new_parent,
                 const char* new_name, unsigned flags) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto from = mount.inode_of(request, parent);
  if (!from) return;
  const auto to = mount.inode_of(request, new_parent);
  if (!to) return;
  if (is_name_too_long(name) || is_name_too_long(new_name)) {
    request->error(ENAMETOOLONG);
    return;
  }
  Rename command;
  command.parent = *from;
  command.name = BytesView(name);
  command.new_parent = *to;
  command.new_name = BytesView(new_name);
  command.flags = flags;
  command.credentials = request->credentials();
  request->call<Rename>(command, [&mount, request, to](Outcome<Rename> outcome) {
    // Of a removed source directory the kernel has asked for the name before.
    mount.answer_name_error(request, *to, outcome.error);
  });
}

// create(2) of a name, the so-manieth time.
struct Creation {
  CreateFile command;
  fuse_file_info file;
  unsigned attempt = 1;
};

void create_file(Mount& mount, const RequestPtr& request, const Creation& creation);

void truncate_opened(Mount& mount, const RequestPtr& request, InodeRef inode, uint64_t serial,
                     const fuse_file_info& file) {
  SetAttributes truncate;
  truncate.inode = inode;
  truncate.valid = SetAttributes::kSize;
  truncate.credentials = request->credentials();
  request->call<SetAttributes>(
      truncate, [&mount, request, inode, file, serial](Outcome<SetAttributes> truncated) {
        if (!truncated.ok()) {
          mount.core.release(inode, mount.caller.now());
          request->error(truncated.error);
          return;
        }
        const Attributes now_empty = truncated.reply.attributes;
        mount.answer_open(request, inode, serial, file, &now_empty);
      });
}

// The name appeared meanwhile, and its file lives on another volume than the directory. When that
// is removed by now the name is free, or leads elsewhere.
void open_remote(Mount& mount, const RequestPtr& request, InodeRef inode,
                 const Creation& creation) {
  if (request->answered()) return;
  Open command;
  command.inode = inode;
  command.flags =
      static_cast<uint32_t>(creation.file.flags) & ~static_cast<uint32_t>(O_CREAT | O_EXCL);
  command.credentials = creation.command.credentials;
  request->call<Open>(command, [&mount, request, inode, creation](Outcome<Open> outcome) {
    if (outcome.error == ESTALE && creation.attempt < kLookupsMax) {
      create_file(mount, request, {creation.command, creation.file, creation.attempt + 1});
      return;
    }
    if (!outcome.ok()) {
      request->error(outcome.error);
      return;
    }
    const Attributes attributes = outcome.reply.attributes;
    if ((creation.file.flags & O_TRUNC) == 0 || request->answered())
      mount.answer_open(request, inode, outcome.open_serial, creation.file, &attributes);
    else
      truncate_opened(mount, request, inode, outcome.open_serial, creation.file);
  });
}

void create_file(Mount& mount, const RequestPtr& request, const Creation& creation) {
  if (request->answered()) return;
  request->call<CreateFile>(creation.command, [&mount, request,
                                               creation](Outcome<CreateFile> outcome) {
    if (!outcome.ok()) {
      mount.answer_name_error(request, creation.command.parent, outcome.error);
      return;
    }
    const Attributes& attributes = outcome.reply.attributes;
    if (outcome.reply.remote)
      open_remote(mount, request, attributes.inode, creation);
    else
      mount.answer_open(request, attributes.inode, outcome.open_serial, creation.file, &attributes);
  });
}

void create(fuse_req_t req, fuse_ino_t parent, const char* name, mode_t mode,
            fuse_file_info* info) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto directory = directory_of(mount, request, parent, name);
  if (!directory) return;
  Creation creation{{}, *info};
  creation.command.parent = *directory;
  creation.command.name = BytesView(name);
  creation.command.mode = mode;
  creation.command.umask = request->context().umask;
  creation.command.flags = static_cast<uint32_t>(info->flags);
  creation.command.credentials = request->credentials();
  create_file(mount, request, creation);
}

}  // namespace

void add_name_operations(fuse_lowlevel_ops& operations) {
  operations.lookup = lookup;
  operations.forget = forget;
  operations.forget_multi = forget_multi;
  operations.mknod = make_node;
  operations.mkdir = make_directory;
  operations.symlink = make_symlink;
  operations.link = make_link;
  operations.unlink = remove_name<Unlink>;
  operations.rmdir = remove_name<RemoveDirectory>;
  operations.rename = rename_name;
  operations.create = create;
}

}  // namespace pairfs
