// Extended attributes: user, trusted and security; sizes, flags, listing, permissions.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

void set(const Path& path, const char* name, std::string_view value, int flags = 0) {
  if (::lsetxattr(path, name, value.data(), value.size(), flags) != 0) {
    if (errno == EOPNOTSUPP) skip("no extended attributes here");
    OK(-1);
  }
}

std::string get(const Path& path, const char* name) {
  std::string value(70000, '\0');
  const ssize_t size = OK(::lgetxattr(path, name, value.data(), value.size()));
  value.resize(static_cast<size_t>(size));
  return value;
}

std::set<std::string> names(const Path& path) {
  std::string text(70000, '\0');
  text.resize(static_cast<size_t>(OK(::llistxattr(path, text.data(), text.size()))));
  std::set<std::string> found;
  for (size_t at = 0; at < text.size(); at += std::string(text.c_str() + at).size() + 1) {
    found.insert(text.c_str() + at);
  }
  found.erase("security.selinux");
  return found;
}

}  // namespace

void add_xattr_cases(CaseList& list) {
  list.group("xattr");
  list.add("a user attribute is set, read, listed, replaced and removed", [](Context& t) {
    write_file(t / "f", "");
    set(t / "f", "user.one", "1");
    set(t / "f", "user.empty", "");
    set(t / "f", "user.bytes", std::string("\0\xff\n", 3));
    EQUAL(get(t / "f", "user.one"), "1");
    EQUAL(get(t / "f", "user.empty"), "");
    EQUAL(get(t / "f", "user.bytes"), std::string("\0\xff\n", 3));
    EQUAL(names(t / "f").size(), 3u);
    set(t / "f", "user.one", "longer than before");
    EQUAL(get(t / "f", "user.one"), "longer than before");
    OK(::removexattr(t / "f", "user.one"));
    FAILS(ENODATA, ::getxattr(t / "f", "user.one", nullptr, 0));
    FAILS(ENODATA, ::removexattr(t / "f", "user.one"));
    EQUAL(names(t / "f").size(), 2u);
  });
  list.add("XATTR_CREATE and XATTR_REPLACE", [](Context& t) {
    write_file(t / "f", "");
    set(t / "f", "user.x", "1", XATTR_CREATE);
    FAILS(EEXIST, ::setxattr(t / "f", "user.x", "2", 1, XATTR_CREATE));
    FAILS(ENODATA, ::setxattr(t / "f", "user.y", "2", 1, XATTR_REPLACE));
    set(t / "f", "user.x", "3", XATTR_REPLACE);
    EQUAL(get(t / "f", "user.x"), "3");
  });
  list.add("size zero asks for the length, a small buffer is ERANGE", [](Context& t) {
    write_file(t / "f", "");
    set(t / "f", "user.x", "12345");
    char buffer[4];
    EQUAL(OK(::getxattr(t / "f", "user.x", nullptr, 0)), 5);
    FAILS(ERANGE, ::getxattr(t / "f", "user.x", buffer, sizeof buffer));
    EQUAL(OK(::listxattr(t / "f", nullptr, 0)), 7);
    FAILS(ERANGE, ::listxattr(t / "f", buffer, sizeof buffer));
  });
  list.add("limits: names of 255 bytes, values over 64 KiB refused", [](Context& t) {
    write_file(t / "f", "");
    const std::string longest = "user." + std::string(250, 'n');
    set(t / "f", longest.c_str(), "v");
    EQUAL(get(t / "f", longest.c_str()), "v");
    FAILS(ERANGE, ::setxattr(t / "f", (longest + "n").c_str(), "v", 1, 0));
    const std::string big(65537, 'v');
    FAILS(E2BIG, ::setxattr(t / "f", "user.big", big.data(), big.size(), 0));
  });
  list.add("a value of 64 KiB is kept where the filesystem has room for it", [](Context& t) {
    write_file(t / "f", "");
    const std::string big = pattern(65536);
    if (::setxattr(t / "f", "user.big", big.data(), big.size(), 0) != 0) {
      CHECK(errno == ENOSPC || errno == E2BIG);
      t.unsupported("extended attributes of 64 KiB");
    }
    CHECK(get(t / "f", "user.big") == big);
  });
  list.add("sixty attributes on one file", [](Context& t) {
    write_file(t / "f", "");
    for (int i = 0; i < 60; ++i) {
      set(t / "f", ("user.n" + std::to_string(i)).c_str(), "value" + std::to_string(i));
    }
    EQUAL(names(t / "f").size(), 60u);
    for (int i = 0; i < 60; i += 2) {
      OK(::removexattr(t / "f", ("user.n" + std::to_string(i)).c_str()));
    }
    EQUAL(names(t / "f").size(), 30u);
    EQUAL(get(t / "f", "user.n59"), "value59");
  });
  list.add("moves ctime and no other time", [](Context& t) {
    write_file(t / "f", "");
    const struct stat before = stat_of(t / "f");
    let_the_clock_tick();
    set(t / "f", "user.x", "1");
    const struct stat after = stat_of(t / "f");
    CHECK(nanoseconds(after.st_ctim) > nanoseconds(before.st_ctim));
    EQUAL(nanoseconds(after.st_mtim), nanoseconds(before.st_mtim));
  });
  list.add("belong to the inode: links, renames and descriptors see them", [](Context& t) {
    write_file(t / "f", "");
    set(t / "f", "user.x", "1");
    OK(::link(t / "f", t / "g"));
    OK(::rename(t / "f", t / "h"));
    EQUAL(get(t / "g", "user.x"), "1");
    Fd fd = open_file(t / "h", O_RDWR);
    OK(::unlink(t / "h"));
    OK(::unlink(t / "g"));
    OK(::fsetxattr(fd, "user.y", "2", 1, 0));
    char byte = 0;
    EQUAL(OK(::fgetxattr(fd, "user.y", &byte, 1)), 1);
    EQUAL(byte, '2');
    write_file(t / "h", "");
    FAILS(ENODATA, ::getxattr(t / "h", "user.x", nullptr, 0));
  });
  list.add("user attributes are for files and directories only: EPERM", [](Context& t) {
    t.need_root();
    OK(::mkfifo(t / "fifo", 0644));
    OK(::symlink("fifo", t / "l"));
    OK(::mkdir(t / "d", 0755));
    set(t / "d", "user.x", "1");
    FAILS(EPERM, ::lsetxattr(t / "fifo", "user.x", "1", 1, 0));
    FAILS(EPERM, ::lsetxattr(t / "l", "user.x", "1", 1, 0));
    OK(::lsetxattr(t / "l", "trusted.x", "1", 1, 0));
    OK(::lsetxattr(t / "fifo", "trusted.x", "1", 1, 0));
    EQUAL(get(t / "l", "trusted.x"), "1");
  });
  list.add("trusted attributes are for root, others neither read nor list them", [](Context& t) {
    t.need_root();
    write_file(t / "f", "", 0666);
    set(t / "f", "trusted.x", "1");
    set(t / "f", "user.x", "1");
    as(kStranger, [&] {
      FAILS(EPERM, ::setxattr(t / "f", "trusted.x", "2", 1, 0));
      FAILS(EPERM, ::removexattr(t / "f", "trusted.x"));
      FAILS(ENODATA, ::getxattr(t / "f", "trusted.x", nullptr, 0));
    });
    EQUAL(names(t / "f").count("trusted.x"), 1u);
  });
  list.add("trusted attributes are hidden from a user's listing", [](Context& t) {
    t.need_root();
    write_file(t / "f", "", 0666);
    set(t / "f", "trusted.x", "1");
    set(t / "f", "user.x", "1");
    as(kStranger, [&] { EQUAL(names(t / "f").count("trusted.x"), 0u); });
  });
  list.add("security attributes are kept", [](Context& t) {
    t.need_root();
    write_file(t / "f", "", 0644);
    set(t / "f", "security.test", "label");
    EQUAL(get(t / "f", "security.test"), "label");
    as(kStranger, [&] { FAILS(EPERM, ::setxattr(t / "f", "security.test", "2", 1, 0)); });
  });
  list.add("a file capability is dropped by a write", [](Context& t) {
    t.need_root();
    write_file(t / "f", "program", 0755);
    // vfs_cap_data revision 2, cap_net_raw permitted.
    const std::string capability(
        "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
        "\x00\x00\x00\x00",
        20);
    set(t / "f", "security.capability", capability);
    EQUAL(get(t / "f", "security.capability"), capability);
    Fd fd = open_file(t / "f", O_WRONLY);
    write_at(fd, 0, "P");
    FAILS(ENODATA, ::getxattr(t / "f", "security.capability", nullptr, 0));
  });
  list.add("user attributes follow the file's read and write permission", [](Context& t) {
    t.need_root();
    write_file(t / "f", "", 0600);
    set(t / "f", "user.x", "1");
    as(kStranger, [&] {
      FAILS(EACCES, ::getxattr(t / "f", "user.x", nullptr, 0));
      FAILS(EACCES, ::setxattr(t / "f", "user.x", "2", 1, 0));
      FAILS(EACCES, ::removexattr(t / "f", "user.x"));
    });
    OK(::chmod(t / "f", 0644));
    as(kStranger, [&] {
      EQUAL(get(t / "f", "user.x"), "1");
      FAILS(EACCES, ::setxattr(t / "f", "user.x", "2", 1, 0));
    });
    OK(::chmod(t / "f", 0666));
    as(kStranger, [&] { OK(::setxattr(t / "f", "user.x", "2", 1, 0)); });
  });
  list.add("in a sticky directory's own attributes only its owner writes", [](Context& t) {
    t.need_root();
    make_directory(t / "d", 01777);
    as(kStranger, [&] { FAILS(EPERM, ::setxattr(t / "d", "user.x", "1", 1, 0)); });
  });
  list.add("an unknown namespace is EOPNOTSUPP", [](Context& t) {
    write_file(t / "f", "");
    FAILS(EOPNOTSUPP, ::setxattr(t / "f", "nonsense.x", "1", 1, 0));
    FAILS(EOPNOTSUPP, ::setxattr(t / "f", "plain", "1", 1, 0));
    FAILS(EOPNOTSUPP, ::getxattr(t / "f", "nonsense.x", nullptr, 0));
  });
  list.add("a missing file is ENOENT", [](Context& t) {
    FAILS(ENOENT, ::setxattr(t / "none", "user.x", "1", 1, 0));
    FAILS(ENOENT, ::getxattr(t / "none", "user.x", nullptr, 0));
    FAILS(ENOENT, ::listxattr(t / "none", nullptr, 0));
  });
}

}  // namespace pairfs::posix
