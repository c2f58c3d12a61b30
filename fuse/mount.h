// The state behind one FUSE mount, and what its operations share. The operations themselves are in
// operations_*.cc: each only translates between FUSE and commands. One thread, the loop's.
#pragma once

#include "fuse/command_caller.h"
#include "fuse/file_handle.h"
#include "fuse/fuse_request.h"
#include "fuse/interrupts.h"
#include "fuse/mount_statistics.h"
#include "fuse/node_table.h"

namespace pairfs {

class Mount {
 public:
  struct Settings {
    bool update_atime = true;         // false: -o noatime
    bool kernel_permissions = false;  // with POSIX ACLs, which the kernel then asks for
  };
  Mount(ClientCore& client, Settings mount_settings)
      : settings(mount_settings), caller(client, &statistics), core(client) {}

  static Mount& of(fuse_req_t req) { return *static_cast<Mount*>(fuse_req_userdata(req)); }
  RequestPtr begin(fuse_req_t req) {
    return std::make_shared<FuseRequest>(req, caller, interrupts, holds);
  }
  // The inode behind a node id. A node that the kernel should not know any more is answered ESTALE.
  std::optional<InodeRef> inode_of(const RequestPtr& request, fuse_ino_t node);
  // The handle behind fi->fh; one that is unknown or lost with its session is answered EIO.
  FileHandle* handle_of(const RequestPtr& request, const fuse_file_info* file);

  // Answers with the entry, whose attributes are fetched from the inode's own volume when remote.
  void answer_entry(const RequestPtr& request, const EntryReply& reply);
  // Answers a lookup with what it found; `gone` runs instead when that is removed by now. With
  // `hold` it is opened, so that it cannot be removed before the kernel uses it.
  void answer_lookup(const RequestPtr& request, const EntryReply& reply, bool hold,
                     std::function<void()> gone);
  // The inode is open at the executor: makes a handle and answers with it, and with the entry when
  // there is one (create). Closes it again when the kernel does not take it.
  void answer_open(const RequestPtr& request, InodeRef inode, uint64_t open_serial,
                   fuse_file_info file, const Attributes* created);

  // Closes what lookups have held for long enough.
  void end_holds();

  // What is left of an inode, when this error says that it is gone and the caller stands in it: a
  // removed directory. nullopt also the first time (NodeTable::was_found_removed).
  std::optional<Attributes> left_behind(InodeRef inode, int error);
  // Answers that an operation on an inode failed: ENOENT for what is left_behind().
  void answer_inode_error(const RequestPtr& request, InodeRef inode, int error);
  // Answers that an operation on a name in `directory` failed. ESTALE becomes ENOENT when that is
  // because the directory is removed and the caller stands in it.
  void answer_name_error(const RequestPtr& request, InodeRef directory, int error);

  // The octets of the FUSE request that is being processed, headers included; a Write's data may be
  // kept beyond it without a copy.
  SharedBytes raw_request;
  // A part of raw_request as bytes to keep: copied when small.
  SharedBytes keep(const char* data, size_t length) const;

  const Settings settings;
  MountStatistics statistics;
  CommandCaller caller;
  ClientCore& core;
  NodeTable nodes;
  FileHandles handles;
  Interrupts interrupts;
  LookupHolds holds;
  std::optional<Attributes> root_attributes;  // as last seen
};

struct stat to_stat(const Attributes& attributes);
fuse_entry_param to_entry(const Attributes& attributes);
// EACCES unless `mask` is granted on what was left_behind(). Its ACL went with it, so the mode
// alone decides.
Status check_access_left_behind(const Attributes& kept, const Credentials& credentials,
                                uint32_t mask);
// ENAMETOOLONG is ours to say: the kernel lets names of up to 1024 bytes through.
inline bool is_name_too_long(const char* name) { return BytesView(name).size() > kNameMaxBytes; }

// Each fills its part of libfuse's table (operations_*.cc).
void add_name_operations(fuse_lowlevel_ops& operations);
void add_attribute_operations(fuse_lowlevel_ops& operations);
void add_file_operations(fuse_lowlevel_ops& operations);
void add_directory_operations(fuse_lowlevel_ops& operations);
void add_xattr_operations(fuse_lowlevel_ops& operations);
void add_lock_operations(fuse_lowlevel_ops& operations);
// What happens to a handle's locks when it is closed (operations_locks.cc).
void flush_locks(Mount& mount, const RequestPtr& request, InodeRef inode, uint64_t owner);
void release_locks(Mount& mount, FileHandle& handle, const fuse_file_info& file);

}  // namespace pairfs
