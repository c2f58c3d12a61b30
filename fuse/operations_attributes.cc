// FUSE operations on attributes, symbolic links and the filesystem as a whole.
#include <cerrno>

#include "fuse/mount.h"
#include "fuse/raw_request.h"

namespace pairfs {
namespace {

// df, umount and file managers live on when the servers are gone: statfs ends with EIO then, and
// the root has the attributes that it had.
constexpr Duration kAbsenceLimit = std::chrono::seconds(10);

void get_attributes(fuse_req_t req, fuse_ino_t node, fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  GetAttributes command;
  command.inode = *inode;
  const bool root = *inode == mount.nodes.root();
  request->call<GetAttributes>(
      command,
      [&mount, request, root, inode, is_open = file != nullptr](Outcome<GetAttributes> outcome) {
        const auto removed =
            outcome.error == ESTALE ? mount.nodes.after_removal(*inode) : std::nullopt;
        if (outcome.ok()) {
          if (root) mount.root_attributes = outcome.reply.attributes;
          mount.nodes.note(outcome.reply.attributes);
          request->attributes(to_stat(outcome.reply.attributes));
        } else if (root && outcome.error == EIO && mount.root_attributes) {
          request->attributes(to_stat(*mount.root_attributes));
        } else if (is_open && outcome.error == ESTALE) {
          // The kernel asks this before a read too: an open file is gone only with its session.
          request->error(EIO);
        } else if (removed) {
          request->attributes(to_stat(*removed));
        } else {
          request->error(outcome.error);
        }
      },
      {}, root ? std::optional(kAbsenceLimit) : std::nullopt);
}

void set_attributes(fuse_req_t req, fuse_ino_t node, struct stat* wanted, int to_set,
                    fuse_file_info* file) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  struct Bit {
    int fuse;
    uint32_t ours;
  };
  static constexpr Bit kBits[] = {
      {FUSE_SET_ATTR_MODE, SetAttributes::kMode},
      {FUSE_SET_ATTR_UID, SetAttributes::kUid},
      {FUSE_SET_ATTR_GID, SetAttributes::kGid},
      {FUSE_SET_ATTR_SIZE, SetAttributes::kSize},
      {FUSE_SET_ATTR_ATIME, SetAttributes::kAtime},
      {FUSE_SET_ATTR_MTIME, SetAttributes::kMtime},
      {FUSE_SET_ATTR_ATIME_NOW, SetAttributes::kAtimeNow},
      {FUSE_SET_ATTR_MTIME_NOW, SetAttributes::kMtimeNow},
  };
  SetAttributes command;
  command.inode = *inode;
  for (const Bit& bit : kBits)
    if ((to_set & bit.fuse) != 0) command.valid |= bit.ours;
  if (file != nullptr && (to_set & FUSE_SET_ATTR_SIZE) != 0) {
    if (mount.handle_of(request, file) == nullptr) return;
    command.valid |= SetAttributes::kOpenHandle;
  }
  if (asks_to_kill_privileges(mount.raw_request.view()))
    command.valid |= SetAttributes::kClearPrivileges;
  command.mode = wanted->st_mode;
  command.uid = wanted->st_uid;
  command.gid = wanted->st_gid;
  command.size_bytes = static_cast<uint64_t>(wanted->st_size);
  command.atime = {wanted->st_atim.tv_sec, static_cast<uint32_t>(wanted->st_atim.tv_nsec)};
  command.mtime = {wanted->st_mtim.tv_sec, static_cast<uint32_t>(wanted->st_mtim.tv_nsec)};
  command.credentials = request->credentials();
  request->call<SetAttributes>(command, [&mount, request, inode](Outcome<SetAttributes> outcome) {
    if (outcome.ok())
      request->attributes(to_stat(outcome.reply.attributes));
    else
      mount.answer_inode_error(request, *inode, outcome.error);
  });
}

void read_link(fuse_req_t req, fuse_ino_t node) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  ReadLink command;
  command.inode = *inode;
  request->call<ReadLink>(command, [request](Outcome<ReadLink> outcome) {
    if (outcome.ok())
      request->link_target(outcome.reply.target);
    else
      request->error(outcome.error);
  });
}

void check_access(fuse_req_t req, fuse_ino_t node, int mask) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  const auto inode = mount.inode_of(request, node);
  if (!inode) return;
  Access command;
  command.inode = *inode;
  command.mask = static_cast<uint32_t>(mask);
  command.credentials = request->credentials();
  request->call<Access>(
      command, [&mount, request, inode, mask = command.mask](Outcome<Access> outcome) {
        int error = outcome.error;
        if (const auto kept = mount.left_behind(*inode, error)) {
          const Status access = check_access_left_behind(*kept, request->credentials(), mask);
          error = access ? 0 : access.error();
        }
        request->error(error);
      });
}

// The answers of all volumes, which come in any order.
struct StatFsSum {
  std::vector<VolumeSpace> spaces;
  size_t missing = 0;
  int error = 0;
};

void answer_sum(const RequestPtr& request, const StatFsSum& sum) {
  constexpr uint64_t kBlockBytes = 4096, kBytesPerInode = 1024;
  if (sum.error != 0) {
    request->error(sum.error);
    return;
  }
  struct statvfs out {};
  out.f_bsize = kBlockBytes;
  out.f_frsize = kBlockBytes;
  const SpaceSum space = sum_space(sum.spaces);
  out.f_blocks = space.capacity_bytes() / kBlockBytes;
  out.f_bfree = out.f_bavail = space.available_bytes / kBlockBytes;
  // There is no fixed number of inodes: as many are free as the free bytes could hold.
  out.f_files = space.capacity_bytes() / kBytesPerInode;
  out.f_ffree = out.f_favail = space.available_bytes / kBytesPerInode;
  out.f_namemax = kNameMaxBytes;
  request->filesystem(out);
}

void stat_filesystem(fuse_req_t req, fuse_ino_t) {
  Mount& mount = Mount::of(req);
  const RequestPtr request = mount.begin(req);
  std::map<VolumeId, Slice> volumes;  // one slice of each
  if (mount.core.map())
    for (const SliceRange& range : mount.core.map()->slices)
      volumes.emplace(range.volume, range.first);
  const auto sum = std::make_shared<StatFsSum>();
  sum->missing = volumes.size();
  for (const auto& [volume, slice] : volumes) {
    StatFs command;
    command.slice = slice;
    request->call<StatFs>(
        command,
        [request, sum](Outcome<StatFs> outcome) {
          if (!outcome.ok()) sum->error = outcome.error;
          sum->spaces.push_back(std::move(outcome.reply.space));
          if (--sum->missing == 0) answer_sum(request, *sum);
        },
        {}, kAbsenceLimit);
  }
}

}  // namespace

void add_attribute_operations(fuse_lowlevel_ops& operations) {
  operations.getattr = get_attributes;
  operations.setattr = set_attributes;
  operations.readlink = read_link;
  operations.access = check_access;
  operations.statfs = stat_filesystem;
}

}  // namespace pairfs
