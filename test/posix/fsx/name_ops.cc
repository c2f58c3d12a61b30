// Operations on names.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <set>

#include "test/posix/fsx/random.h"
#include "test/posix/fsx/world.h"

namespace pairfs::fsx {
namespace {

Outcome read_whole(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return outcome_of(-1);
  struct stat status {};
  Outcome outcome = outcome_of(::fstat(fd, &status));
  if (S_ISREG(status.st_mode)) {
    std::string block(1 << 20, '\0');
    while (outcome.bytes.size() < 4 << 20) {
      const ssize_t count = ::read(fd, block.data(), block.size());
      if (count < 0) outcome = outcome_of(-1);
      if (count <= 0) break;
      outcome.bytes.append(block, 0, static_cast<size_t>(count));
    }
  }
  ::close(fd);
  return outcome;
}

Outcome list_directory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return outcome_of(-1);
  std::multiset<std::string> names;
  errno = 0;
  while (const dirent* entry = ::readdir(directory)) {
    names.insert(std::string(entry->d_name) + ":" + std::to_string(entry->d_type));
  }
  Outcome outcome = outcome_of(errno == 0 ? 0 : -1);
  ::closedir(directory);
  for (const std::string& name : names) outcome.bytes += name + " ";
  return outcome;
}

Outcome list_attributes(const std::string& path) {
  std::string list(70000, '\0');
  const ssize_t size = ::llistxattr(path.c_str(), list.data(), list.size());
  if (size < 0) return outcome_of(-1);
  std::set<std::string> names;
  for (size_t at = 0; at < static_cast<size_t>(size);) {
    const std::string name = list.c_str() + at;
    at += name.size() + 1;
    if (name != "security.selinux") names.insert(name);
  }
  Outcome outcome;
  for (const std::string& name : names) outcome.bytes += name + " ";
  return outcome;
}

// A list of random entries, mostly well formed.
std::string random_acl(uint64_t seed) {
  struct Entry {
    uint16_t tag, bits;
    uint32_t id;
  };
  Random random(seed);
  const auto bits = [&] { return static_cast<uint16_t>(random.below(8)); };
  std::vector<Entry> entries = {{1, bits(), 0xffffffff}};
  bool named = false;
  for (const uint32_t id : {61001u, 61002u, 61004u}) {
    if (!random.one_in(3)) continue;
    entries.push_back({2, bits(), id});
    named = true;
  }
  entries.push_back({4, bits(), 0xffffffff});
  for (const uint32_t id : {61001u, 61400u, 61500u}) {
    if (!random.one_in(3)) continue;
    entries.push_back({8, bits(), id});
    named = true;
  }
  if (named != random.one_in(20)) entries.push_back({16, bits(), 0xffffffff});
  entries.push_back({32, bits(), 0xffffffff});
  std::string bytes("\2\0\0\0", 4);
  for (const Entry& entry : entries) {
    bytes.append(reinterpret_cast<const char*>(&entry), sizeof entry);
  }
  return bytes;
}

Outcome check_statfs(const std::string& path) {
  struct statvfs status {};
  if (::statvfs(path.c_str(), &status) != 0) return outcome_of(-1);
  Outcome outcome;
  const bool sane = status.f_namemax == 255 && status.f_blocks > 0 &&
                    status.f_bfree <= status.f_blocks && status.f_bavail <= status.f_bfree;
  outcome.bytes = sane ? "sane" : "not sane";
  return outcome;
}

Outcome get_attribute(const std::string& path, const std::string& name) {
  std::string value(70000, '\0');
  Outcome outcome = outcome_of(::lgetxattr(path.c_str(), name.c_str(), value.data(), value.size()));
  if (outcome.result > 0) outcome.bytes = value.substr(0, static_cast<size_t>(outcome.result));
  return outcome;
}

Outcome read_link(const std::string& path) {
  char target[4097];
  Outcome outcome = outcome_of(::readlink(path.c_str(), target, sizeof target));
  if (outcome.result > 0) outcome.bytes.assign(target, static_cast<size_t>(outcome.result));
  return outcome;
}

Outcome stat_name(const std::string& path) {
  struct stat status {};
  Outcome outcome = outcome_of(::stat(path.c_str(), &status));
  if (outcome.result == 0) outcome.bytes = stat_text(status, SnapshotOptions{false, false, false});
  return outcome;
}

Outcome set_attribute(const Op& op, const std::string& path) {
  const std::string value =
      op.kind == Kind::setacl ? random_acl(op.seed) : data_of(op.seed, op.length);
  return outcome_of(::lsetxattr(path.c_str(), op.name.c_str(), value.data(), value.size(),
                                op.kind == Kind::setacl ? 0 : op.flags));
}

dev_t device_of(const Op& op) {
  if (S_ISCHR(op.mode)) return makedev(1, op.seed % 2 == 0 ? 3 : 5);
  return S_ISBLK(op.mode) ? makedev(240, 1) : 0;
}

}  // namespace

Outcome play_on_name(const Op& op, const std::string& path, const std::string& path2) {
  const char* one = path.c_str();
  const char* two = path2.c_str();
  switch (op.kind) {
    case Kind::read_whole:
      return read_whole(path);
    case Kind::truncate:
      return outcome_of(::truncate(one, op.length));
    case Kind::mkdir:
      return outcome_of(::mkdir(one, op.mode));
    case Kind::rmdir:
      return outcome_of(::rmdir(one));
    case Kind::unlink:
      return outcome_of(::unlink(one));
    case Kind::rename:
      return outcome_of(::renameat2(AT_FDCWD, one, AT_FDCWD, two, static_cast<unsigned>(op.flags)));
    case Kind::link:
      return outcome_of(::link(one, two));
    case Kind::symlink:
      return outcome_of(::symlink(two, one));
    case Kind::readlink:
      return read_link(path);
    case Kind::mknod:
      return outcome_of(::mknod(one, op.mode, device_of(op)));
    case Kind::chmod:
      return outcome_of(::chmod(one, op.mode));
    case Kind::lchown:
      return outcome_of(::lchown(one, op.mode, op.group));
    case Kind::utimens: {
      timespec times[2];
      times_of(op, times);
      return outcome_of(::utimensat(AT_FDCWD, one, times, op.mode != 0 ? AT_SYMLINK_NOFOLLOW : 0));
    }
    case Kind::setxattr:
    case Kind::setacl:
      return set_attribute(op, path);
    case Kind::getxattr:
      return get_attribute(path, op.name);
    case Kind::listxattr:
      return list_attributes(path);
    case Kind::removexattr:
      return outcome_of(::lremovexattr(one, op.name.c_str()));
    case Kind::readdir:
      return list_directory(path);
    case Kind::stat:
      return stat_name(path);
    case Kind::access:
      return outcome_of(::faccessat(AT_FDCWD, one, op.flags, AT_EACCESS));
    case Kind::statfs:
      return check_statfs(path);
    default:
      return {};
  }
}

}  // namespace pairfs::fsx
