#include "test/posix/fsx/generator.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "test/posix/fsx/random.h"

namespace pairfs::fsx {
namespace {

struct Weight {
  Kind kind;
  int weight;
};

constexpr Weight kWeights[] = {
    {Kind::open, 60},
    {Kind::close, 8},
    {Kind::pread, 25},
    {Kind::pwrite, 40},
    {Kind::read, 8},
    {Kind::write, 15},
    {Kind::lseek, 6},
    {Kind::ftruncate, 15},
    {Kind::fallocate, 12},
    {Kind::seek_sanity, 8},
    {Kind::copy_file_range, 8},
    {Kind::map_read, 8},
    {Kind::map_write_shared, 8},
    {Kind::map_write_private, 3},
    {Kind::fsync, 3},
    {Kind::fchmod, 4},
    {Kind::fchown, 3},
    {Kind::futimens, 4},
    {Kind::flock, 5},
    {Kind::range_lock, 8},
    {Kind::read_whole, 15},
    {Kind::truncate, 8},
    {Kind::mkdir, 20},
    {Kind::rmdir, 8},
    {Kind::unlink, 18},
    {Kind::rename, 25},
    {Kind::link, 12},
    {Kind::symlink, 8},
    {Kind::readlink, 3},
    {Kind::mknod, 6},
    {Kind::chmod, 15},
    {Kind::lchown, 8},
    {Kind::utimens, 8},
    {Kind::setxattr, 8},
    {Kind::getxattr, 4},
    {Kind::listxattr, 3},
    {Kind::removexattr, 3},
    {Kind::setacl, 6},
    {Kind::readdir, 8},
    {Kind::stat, 5},
    {Kind::access, 5},
    {Kind::statfs, 1},
    {Kind::umask, 1},
};

class Generator {
 public:
  explicit Generator(const GeneratorOptions& options) : options_(options), random_(options.seed) {
    for (const Weight& weight : kWeights) total_ += weight.weight;
  }

  Op draw() {
    Op op;
    op.kind = kind();
    op.mount = static_cast<int>(random_.below(static_cast<uint64_t>(options_.mounts)));
    if (options_.root && random_.one_in(3)) op.user = 1 + static_cast<int>(random_.below(3));
    user_ = op.user;
    op.slot = static_cast<int>(random_.below(kSlots));
    op.other_slot = static_cast<int>(random_.below(kSlots));
    op.seed = random_.next();
    op.offset = offset();
    op.length = length();
    op.offset2 = offset();
    fill(op);
    return op;
  }

 private:
  Kind kind() {
    int at = static_cast<int>(random_.below(static_cast<uint64_t>(total_)));
    for (const Weight& weight : kWeights) {
      at -= weight.weight;
      if (at < 0) return weight.kind;
    }
    return Kind::stat;
  }

  enum class Wanted { file, directory, any };

  std::string component(Wanted wanted) {
    static const char* const kFiles[] = {"a", "b", "c", "f"};
    static const char* const kDirectories[] = {"d", "e"};
    if (random_.one_in(40)) return std::string(255, 'n');
    if (random_.one_in(40)) return "\xff\x01 \xc3(";
    // Filesystems differ in which is looked at first, the permission or the length of the name.
    if (random_.one_in(400) && user_ == 0) return std::string(256, 'n');
    if (wanted == Wanted::any) wanted = random_.one_in(2) ? Wanted::file : Wanted::directory;
    if (random_.one_in(12)) wanted = Wanted::any;
    return wanted == Wanted::directory ? random_.pick(kDirectories) : random_.pick(kFiles);
  }

  // Names of files and directories are mostly kept apart, so that calls find what they want.
  std::string path(Wanted wanted = Wanted::file) {
    std::string path;
    while (path.size() < 600 && random_.below(5) < 2) path += component(Wanted::directory) + "/";
    path += component(wanted);
    if (random_.one_in(60)) path += "/.";
    if (random_.one_in(60)) path += "/..";
    if (random_.one_in(60)) path += "/";
    return path;
  }

  Wanted file_or_directory() { return random_.one_in(4) ? Wanted::directory : Wanted::file; }

  int64_t offset() {
    if (random_.one_in(200)) {
      return static_cast<int64_t>(random_.below(static_cast<uint64_t>(options_.largest_offset)));
    }
    int64_t value = static_cast<int64_t>(random_.below(random_.one_in(5) ? 1 << 20 : 40000));
    if (random_.one_in(3)) value &= ~int64_t{4095};
    if (random_.one_in(10)) value = 0;
    return value;
  }

  int64_t length() {
    const int64_t most = random_.one_in(20) ? 400000 : random_.one_in(2) ? 20000 : 300;
    int64_t value = static_cast<int64_t>(random_.below(static_cast<uint64_t>(most)));
    if (random_.one_in(5)) value = (value | 4095) + 1;
    return value;
  }

  uint32_t mode() {
    static const uint32_t kModes[] = {0644, 0600, 0666, 0755, 0777, 0700, 0444,
                                      0000, 0640, 0660, 0711, 0770, 0007, 0070};
    uint32_t value = random_.pick(kModes);
    // Whether a write drops setgid without group execution depends on the version of Linux.
    if (random_.one_in(5)) value |= 02010;
    if (random_.one_in(8)) value |= 04000;
    if (random_.one_in(8)) value |= 01000;
    return value;
  }

  std::string attribute() {
    static const char* const kNames[] = {"user.a", "user.b", "user.long", "user.c"};
    if (options_.root && random_.one_in(6)) return "trusted.t";
    if (random_.one_in(30)) return "nonsense.x";
    if (random_.one_in(30)) return "user." + std::string(251, 'x');
    return random_.pick(kNames);
  }

  int open_flags() {
    static const int kAccess[] = {O_RDONLY, O_WRONLY, O_RDWR, O_RDWR, O_RDWR};
    int flags = random_.pick(kAccess);
    if (!random_.one_in(3)) flags |= O_CREAT;
    if (random_.one_in(8)) flags |= O_EXCL;
    if (random_.one_in(8)) flags |= O_TRUNC;
    if (random_.one_in(6)) flags |= O_APPEND;
    if (random_.one_in(15)) flags |= O_NOFOLLOW;
    if (random_.one_in(20)) flags = (flags & ~O_CREAT) | O_DIRECTORY;
    if (random_.one_in(20)) flags |= O_SYNC;
    return flags;
  }

  void owner(Op& op) {
    static const uint32_t kUsers[] = {0xffffffff, 0, 61001, 61002, 61004};
    static const uint32_t kGroups[] = {0xffffffff, 0, 61001, 61004, 61400};
    op.mode = random_.pick(kUsers);
    op.group = random_.pick(kGroups);
    // What names neither is refused to others where it would drop setuid or setgid. FUSE cannot
    // tell it from what the kernel asks for ahead of a write of theirs, so that it passes there.
    if (op.mode == kUsers[0] && op.group == kGroups[0]) op.user = 0;
  }

  void fill(Op& op) {
    switch (op.kind) {
      case Kind::open:
        op.path = path();
        op.flags = open_flags();
        op.mode = mode();
        break;
      case Kind::ftruncate:
        op.length = offset();
        break;
      case Kind::truncate:
        op.path = path();
        op.length = offset();
        break;
      case Kind::lseek:
        op.flags = static_cast<int>(random_.below(3));
        if (op.flags != SEEK_SET) op.offset -= 20000;
        break;
      case Kind::fallocate: {
        static const int kModes[] = {0,
                                     FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                                     FALLOC_FL_ZERO_RANGE,
                                     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE};
        op.flags = random_.pick(kModes);
        if (!options_.holes) op.kind = Kind::fsync;
        break;
      }
      case Kind::flock: {
        static const int kFlags[] = {LOCK_SH, LOCK_EX, LOCK_UN};
        op.flags = random_.pick(kFlags) | LOCK_NB;
        if (!options_.locks) op.kind = Kind::fsync;
        break;
      }
      case Kind::range_lock: {
        static const int kTypes[] = {F_RDLCK, F_WRLCK, F_UNLCK};
        op.flags = random_.pick(kTypes);
        op.offset = static_cast<int64_t>(random_.below(100));
        op.length = static_cast<int64_t>(random_.below(40));
        if (!options_.locks) op.kind = Kind::fsync;
        break;
      }
      case Kind::fchmod:
        op.mode = mode();
        break;
      case Kind::fchown:
        owner(op);
        break;
      case Kind::lchown:
        op.path = path();
        owner(op);
        break;
      case Kind::mkdir:
        op.path = path(Wanted::directory);
        op.mode = random_.one_in(3) ? mode() : 0777;
        break;
      case Kind::chmod: {
        const Wanted wanted = random_.one_in(3) ? Wanted::directory : Wanted::file;
        op.path = path(wanted);
        op.mode = wanted == Wanted::directory && !random_.one_in(3) ? 0777 : mode();
        break;
      }
      case Kind::rename: {
        static const int kFlags[] = {0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, RENAME_EXCHANGE};
        const Wanted wanted = file_or_directory();
        op.path = path(wanted);
        op.path2 = path(wanted);
        op.flags = random_.pick(kFlags);
        break;
      }
      case Kind::link:
        if (!options_.foreign_links) op.user = 0;
        op.path = path();
        op.path2 = path();
        break;
      case Kind::symlink:
        op.path = path();
        op.path2 = random_.one_in(4) ? "../" + component(Wanted::any) : path(Wanted::any);
        if (random_.one_in(15)) op.path2 = std::string(200 + random_.below(900), 't');
        break;
      case Kind::mknod: {
        static const uint32_t kKinds[] = {S_IFREG, S_IFSOCK, S_IFIFO, S_IFCHR, S_IFBLK};
        op.path = path();
        op.mode = mode() | random_.pick(kKinds);
        // Pipes do not connect two mounts; devices need root.
        if (S_ISFIFO(op.mode) && options_.mounts > 1) op.mode = (op.mode & 07777) | S_IFREG;
        if (!options_.root && !S_ISFIFO(op.mode)) op.mode = (op.mode & 07777) | S_IFREG;
        break;
      }
      case Kind::setxattr:
        op.path = path(file_or_directory());
        op.name = attribute();
        op.flags = static_cast<int>(random_.below(6)) / 2 % 3;
        op.length = static_cast<int64_t>(random_.below(random_.one_in(4) ? 1500 : 40));
        break;
      case Kind::getxattr:
      case Kind::removexattr:
        op.path = path();
        op.name = attribute();
        if (options_.acls && random_.one_in(5)) op.name = "system.posix_acl_access";
        if (options_.acls && random_.one_in(5)) op.name = "system.posix_acl_default";
        break;
      case Kind::setacl:
        op.path = path(Wanted::any);
        op.name = random_.one_in(2) ? "system.posix_acl_access" : "system.posix_acl_default";
        if (!options_.acls) op.kind = Kind::stat;
        break;
      case Kind::access:
        op.path = path();
        op.flags = static_cast<int>(random_.below(8));
        break;
      case Kind::utimens:
      case Kind::futimens:
        if (op.kind == Kind::utimens) op.path = path();
        op.flags = static_cast<int>(random_.below(9));
        op.mode = random_.one_in(3) ? 1 : 0;
        break;
      case Kind::umask: {
        static const uint32_t kMasks[] = {0, 022, 022, 027, 077};
        op.mode = random_.pick(kMasks);
        break;
      }
      case Kind::rmdir:
      case Kind::readdir:
        op.path = path(Wanted::directory);
        break;
      case Kind::read_whole:
      case Kind::unlink:
      case Kind::readlink:
        op.path = path();
        break;
      case Kind::listxattr:
      case Kind::stat:
        op.path = path(Wanted::any);
        break;
      default:
        break;
    }
  }

  const GeneratorOptions& options_;
  Random random_;
  int total_ = 0;
  int user_ = 0;  // of the operation being drawn
};

}  // namespace

std::vector<Op> generate(const GeneratorOptions& options) {
  Generator generator(options);
  std::vector<Op> ops;
  ops.reserve(options.ops);
  while (ops.size() < options.ops) ops.push_back(generator.draw());
  return ops;
}

}  // namespace pairfs::fsx
