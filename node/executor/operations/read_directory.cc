// ReadDirectory (getdents(2)).
//
// A directory is listed in the order in which its names came, by cookies that are never given
// twice: a listing goes on after any cookie, also of an entry that is gone, and neither repeats nor
// omits an entry that lives all through it. Access was checked when the directory was opened.
#include "common/row_codec.h"
#include "node/executor/directories.h"
#include "node/executor/inodes.h"
#include "node/executor/operations/access_time.h"
#include "node/executor/operations/operations.h"

namespace pairfs {

namespace {
// The kernel's struct fuse_dirent and struct fuse_direntplus, padded to eight bytes.
constexpr size_t kDirentBytes = 24;
constexpr size_t kDirentPlusBytes = 152;

class Listing {
 public:
  Listing(const ReadDirectory& command) : command_(command) {}  // NOLINT: short-lived
  // False when the entry does not fit.
  bool add(DirectoryEntry entry) {
    const size_t head = command_.with_attributes ? kDirentPlusBytes : kDirentBytes;
    const size_t bytes = (head + entry.name.size() + 7) & ~size_t{7};
    if (used_bytes_ + bytes > command_.max_bytes) return false;
    used_bytes_ += bytes;
    reply_.entries.push_back(std::move(entry));
    return true;
  }
  DirectoryReply take(bool end) {
    reply_.end = end;
    return std::move(reply_);
  }

 private:
  const ReadDirectory& command_;
  DirectoryReply reply_;
  size_t used_bytes_ = 0;
};

// The entry of a name; the inode's attributes only where it lives here.
Result<DirectoryEntry> listed_entry(const Context& context, const Inode& directory, BytesView name,
                                    uint64_t cookie, bool with_attributes) {
  PAIRFS_ASSIGN(const EntryRow row, find_entry(context, directory, name));
  DirectoryEntry entry{.name = Name(name), .cookie = cookie, .inode = row.inode, .type = row.type};
  if (with_attributes && context.owns(row.inode)) {
    const auto inode = load_inode(context, row.inode);
    // A file that a transaction or another session's writes hold: its attributes are asked for.
    if (!inode && inode.error() == kHeld) return entry;
    if (!inode) return Errno{inode.error()};
    entry.has_attributes = true;
    entry.attributes = attributes_of(*inode);
  }
  return entry;
}
}  // namespace

Result<DirectoryReply> run(Context& context, ReadDirectory& command) {
  PAIRFS_ASSIGN(const Inode directory, load_directory(context, command.inode));
  if (command.update_atime) note_read(context, directory);
  Listing listing(command);
  // A removed directory lists nothing, not even its dots.
  if (directory.nlink == 0) return listing.take(true);
  if (command.cookie < 1 &&
      !listing.add({.name = Name("."), .cookie = 1, .inode = directory.ref(), .type = S_IFDIR}))
    return listing.take(false);
  if (command.cookie < 2 &&
      !listing.add({.name = Name(".."), .cookie = 2, .inode = directory.parent, .type = S_IFDIR}))
    return listing.take(false);
  const uint64_t from = std::max(command.cookie + 1, kFirstCookie);
  bool end = true;
  int error = 0;
  context.tx.store().scan(cookie_key(directory.id, from), cookie_key(directory.id, ~0ULL),
                          [&](BytesView key, BytesView name) {
                            auto entry = listed_entry(context, directory, name,
                                                      read_big_endian<uint64_t>(key, 9),
                                                      command.with_attributes);
                            if (!entry) {
                              error = entry.error();
                              return false;
                            }
                            end = listing.add(std::move(*entry));
                            return end;
                          });
  if (error != 0) return Errno{error};
  return listing.take(end);
}

}  // namespace pairfs
