#include "test/posix/fsx/op.h"

#include <cstdio>

#include "test/posix/fsx/random.h"

namespace pairfs::fsx {

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::open:
      return "open";
    case Kind::close:
      return "close";
    case Kind::pread:
      return "pread";
    case Kind::pwrite:
      return "pwrite";
    case Kind::read:
      return "read";
    case Kind::write:
      return "write";
    case Kind::lseek:
      return "lseek";
    case Kind::ftruncate:
      return "ftruncate";
    case Kind::fallocate:
      return "fallocate";
    case Kind::seek_sanity:
      return "seek_sanity";
    case Kind::copy_file_range:
      return "copy_file_range";
    case Kind::map_read:
      return "map_read";
    case Kind::map_write_shared:
      return "map_write_shared";
    case Kind::map_write_private:
      return "map_write_private";
    case Kind::fsync:
      return "fsync";
    case Kind::fchmod:
      return "fchmod";
    case Kind::fchown:
      return "fchown";
    case Kind::futimens:
      return "futimens";
    case Kind::flock:
      return "flock";
    case Kind::range_lock:
      return "range_lock";
    case Kind::read_whole:
      return "read_whole";
    case Kind::truncate:
      return "truncate";
    case Kind::mkdir:
      return "mkdir";
    case Kind::rmdir:
      return "rmdir";
    case Kind::unlink:
      return "unlink";
    case Kind::rename:
      return "rename";
    case Kind::link:
      return "link";
    case Kind::symlink:
      return "symlink";
    case Kind::readlink:
      return "readlink";
    case Kind::mknod:
      return "mknod";
    case Kind::chmod:
      return "chmod";
    case Kind::lchown:
      return "lchown";
    case Kind::utimens:
      return "utimens";
    case Kind::setxattr:
      return "setxattr";
    case Kind::getxattr:
      return "getxattr";
    case Kind::listxattr:
      return "listxattr";
    case Kind::removexattr:
      return "removexattr";
    case Kind::setacl:
      return "setacl";
    case Kind::readdir:
      return "readdir";
    case Kind::stat:
      return "stat";
    case Kind::access:
      return "access";
    case Kind::statfs:
      return "statfs";
    case Kind::umask:
      return "umask";
  }
  return "?";
}

std::string describe(const Op& op) {
  std::string text = kind_name(op.kind);
  char part[256];
  const auto add = [&](const char* format, auto... values) {
    std::snprintf(part, sizeof part, format, values...);
    text += part;
  };
  if (!op.path.empty()) text += " " + (op.path.size() > 60 ? op.path.substr(0, 60) + "~" : op.path);
  if (!op.path2.empty()) {
    text += " -> " + (op.path2.size() > 60 ? op.path2.substr(0, 60) + "~" : op.path2);
  }
  if (!op.name.empty()) text += " " + op.name;
  add(" slot %d", op.slot);
  if (op.kind == Kind::copy_file_range)
    add(" to slot %d at %lld", op.other_slot, (long long)op.offset2);
  if (op.offset != 0 || op.length != 0) {
    add(" offset %lld length %lld", (long long)op.offset, (long long)op.length);
  }
  if (op.flags != 0) add(" flags 0x%x", static_cast<unsigned>(op.flags));
  if (op.mode != 0) add(" mode 0%o", op.mode);
  if (op.group != 0) add(" group %u", op.group);
  if (op.user != 0) add(" by user %d", op.user);
  if (op.mount != 0) add(" on mount %d", op.mount + 1);
  return text;
}

std::string data_of(uint64_t seed, int64_t length) {
  Random random(seed);
  std::string data(static_cast<size_t>(length), '\0');
  for (size_t at = 0; at < data.size(); at += 8) {
    const uint64_t value = random.next();
    for (size_t byte = 0; byte < 8 && at + byte < data.size(); ++byte) {
      data[at + byte] = static_cast<char>(value >> (8 * byte));
    }
  }
  return data;
}

}  // namespace pairfs::fsx
