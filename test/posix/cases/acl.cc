// POSIX access control lists: checks, masks, chmod, inheritance of defaults.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

// Tags of linux/posix_acl_xattr.h.
enum Tag : uint16_t { user_obj = 1, user = 2, group_obj = 4, group = 8, mask = 16, other = 32 };

struct Entry {
  uint16_t tag;
  uint16_t bits;
  uint32_t id = 0xffffffff;
  bool operator==(const Entry&) const = default;
};

using Acl = std::vector<Entry>;

constexpr const char* kAccess = "system.posix_acl_access";
constexpr const char* kDefault = "system.posix_acl_default";

std::string encoded(const Acl& acl) {
  std::string bytes("\2\0\0\0", 4);
  for (const Entry& entry : acl) bytes.append(reinterpret_cast<const char*>(&entry), sizeof entry);
  return bytes;
}

void set(const Path& path, const char* which, const Acl& acl) {
  const std::string bytes = encoded(acl);
  if (::setxattr(path, which, bytes.data(), bytes.size(), 0) != 0) {
    if (errno == EOPNOTSUPP) skip("no access control lists here");
    OK(-1);
  }
}

Acl get(const Path& path, const char* which) {
  std::string bytes(4096, '\0');
  bytes.resize(static_cast<size_t>(OK(::getxattr(path, which, bytes.data(), bytes.size()))));
  CHECK(bytes.size() >= 4);
  Acl acl((bytes.size() - 4) / sizeof(Entry));
  bytes.copy(reinterpret_cast<char*>(acl.data()), bytes.size() - 4, 4);
  return acl;
}

bool may_open(const User& who, const Path& path, int flags) {
  bool allowed = false;
  as(who, [&] {
    const int fd = ::open(path, flags);
    allowed = fd >= 0;
    if (fd >= 0) ::close(fd);
    if (fd < 0) CHECK(errno == EACCES);
  });
  return allowed;
}

Acl with_mask(uint16_t mask_bits) {
  return {{user_obj, 6}, {user, 6, kStranger.uid}, {group_obj, 4}, {mask, mask_bits}, {other, 0}};
}

}  // namespace

void add_acl_cases(CaseList& list) {
  list.group("acl");
  list.add("a named user gets their entry, cut by the mask", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0640);
    set(t / "f", kAccess, with_mask(6));
    CHECK(may_open(kStranger, t / "f", O_RDWR));
    CHECK(!may_open(kMember, t / "f", O_RDONLY));
    EQUAL(mode_of(t / "f"), mode_t{0660});
    set(t / "f", kAccess, with_mask(4));
    CHECK(may_open(kStranger, t / "f", O_RDONLY));
    CHECK(!may_open(kStranger, t / "f", O_WRONLY));
    EQUAL(mode_of(t / "f"), mode_t{0640});
    CHECK(get(t / "f", kAccess) == with_mask(4));
  });
  list.add("a named group counts through supplementary groups", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0600);
    set(t / "f", kAccess,
        {{user_obj, 6}, {group_obj, 0}, {group, 4, 61400}, {mask, 7}, {other, 0}});
    CHECK(may_open(kStranger, t / "f", O_RDONLY));
    CHECK(may_open(kFriend, t / "f", O_RDONLY));
    CHECK(!may_open(kMember, t / "f", O_RDONLY));
    CHECK(!may_open(kStranger, t / "f", O_WRONLY));
  });
  list.add("the first match decides: a named user is not helped by a group", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0600);
    set(t / "f", kAccess,
        {{user_obj, 6},
         {user, 0, kStranger.uid},
         {group_obj, 6},
         {group, 6, 61400},
         {mask, 7},
         {other, 6}});
    CHECK(!may_open(kStranger, t / "f", O_RDONLY));
    CHECK(may_open(kFriend, t / "f", O_RDONLY));
    CHECK(may_open(kMember, t / "f", O_RDONLY));
  });
  list.add("of several matching groups one that grants is enough, and others do not help",
           [](Context& t) {
             t.need_root();
             write_file(t / "f", "x", 0600);
             OK(::chown(t / "f", 0, 61001));
             set(t / "f", kAccess,
                 {{user_obj, 6}, {group_obj, 0}, {group, 4, 61400}, {mask, 7}, {other, 6}});
             CHECK(may_open(kFriend, t / "f", O_RDONLY));
             CHECK(!may_open(kFriend, t / "f", O_RDWR));
             CHECK(may_open({61009, 61009, {}}, t / "f", O_RDWR));
           });
  list.add("chmod changes the mask, not the owning group's entry", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0640);
    set(t / "f", kAccess, with_mask(6));
    OK(::chmod(t / "f", 0614));
    Acl wanted = with_mask(1);
    wanted.back().bits = 4;
    CHECK(get(t / "f", kAccess) == wanted);
    CHECK(!may_open(kStranger, t / "f", O_RDONLY));
    CHECK(may_open(kMember, t / "f", O_RDONLY));
    OK(::chmod(t / "f", 0660));
    CHECK(may_open(kStranger, t / "f", O_RDWR));
  });
  list.add("Linux does not look at a list whose mask is empty", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0640);
    set(t / "f", kAccess, with_mask(0));
    OK(::chmod(t / "f", 0604));
    CHECK(may_open(kStranger, t / "f", O_RDONLY));
    CHECK(!may_open(kStranger, t / "f", O_WRONLY));
  });
  list.add("an access list that says no more than a mode becomes the mode", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0600);
    set(t / "f", kAccess, {{user_obj, 7}, {group_obj, 5}, {other, 1}});
    EQUAL(mode_of(t / "f"), mode_t{0751});
    FAILS(ENODATA, ::getxattr(t / "f", kAccess, nullptr, 0));
  });
  list.add("removing the list leaves the mode with the mask in it", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0640);
    set(t / "f", kAccess, with_mask(6));
    OK(::removexattr(t / "f", kAccess));
    FAILS(ENODATA, ::getxattr(t / "f", kAccess, nullptr, 0));
    EQUAL(mode_of(t / "f"), mode_t{0660});
    CHECK(!may_open(kStranger, t / "f", O_RDONLY));
  });
  list.add(
      "removing a list that is not there, or setting what the mode says already, moves no time",
      [](Context& t) {
        write_file(t / "f", "x", 0640);
        set(t / "f", kAccess, {{user_obj, 6}, {group_obj, 4}, {other, 0}});
        const timespec before = lstat_of(t / "f").st_ctim;
        OK(::removexattr(t / "f", kAccess));
        set(t / "f", kAccess, {{user_obj, 6}, {group_obj, 4}, {other, 0}});
        const timespec after = lstat_of(t / "f").st_ctim;
        EQUAL(after.tv_sec, before.tv_sec);
        EQUAL(after.tv_nsec, before.tv_nsec);
      });
  list.add("a default list is given to files, cut by the mode asked for, not the umask",
           [](Context& t) {
             t.need_root();
             OK(::mkdir(t / "d", 0755));
             set(t / "d", kDefault,
                 {{user_obj, 7}, {user, 7, kStranger.uid}, {group_obj, 5}, {mask, 7}, {other, 4}});
             ::umask(077);
             Fd fd(OK(::open(t / "d" / "f", O_CREAT | O_RDWR, 0664)));
             EQUAL(mode_of(t / "d" / "f"), mode_t{0664});
             const Acl wanted = {
                 {user_obj, 6}, {user, 7, kStranger.uid}, {group_obj, 5}, {mask, 6}, {other, 4}};
             CHECK(get(t / "d" / "f", kAccess) == wanted);
             CHECK(may_open(kStranger, t / "d" / "f", O_RDWR));
             OK(::mknod(t / "d" / "fifo", S_IFIFO | 0600, 0));
             EQUAL(mode_of(t / "d" / "fifo"), mode_t{0600});
           });
  list.add("a new directory inherits the default list as both of its lists", [](Context& t) {
    t.need_root();
    OK(::mkdir(t / "d", 0755));
    const Acl acl = {
        {user_obj, 7}, {user, 5, kStranger.uid}, {group_obj, 5}, {mask, 7}, {other, 0}};
    set(t / "d", kDefault, acl);
    OK(::mkdir(t / "d" / "sub", 0777));
    CHECK(get(t / "d" / "sub", kDefault) == acl);
    CHECK(get(t / "d" / "sub", kAccess) == acl);
    EQUAL(mode_of(t / "d" / "sub"), mode_t{0770});
    OK(::mkdir(t / "d" / "sub" / "deeper", 0700));
    CHECK(get(t / "d" / "sub" / "deeper", kDefault) == acl);
    EQUAL(mode_of(t / "d" / "sub" / "deeper"), mode_t{0700});
    OK(::removexattr(t / "d" / "sub", kDefault));
    ::umask(022);
    write_file(t / "d" / "sub" / "plain", "");
    FAILS(ENODATA, ::getxattr(t / "d" / "sub" / "plain", kAccess, nullptr, 0));
  });
  list.add("without a default list the umask applies", [](Context& t) {
    t.need_root();
    OK(::mkdir(t / "d", 0755));
    set(t / "d", kAccess,
        {{user_obj, 7}, {user, 7, kStranger.uid}, {group_obj, 5}, {mask, 7}, {other, 5}});
    ::umask(027);
    Fd fd(OK(::open(t / "d" / "f", O_CREAT | O_RDWR, 0666)));
    EQUAL(mode_of(t / "d" / "f"), mode_t{0640});
  });
  list.add("a list on a directory governs making and removing names", [](Context& t) {
    t.need_root();
    OK(::mkdir(t / "d", 0755));
    set(t / "d", kAccess,
        {{user_obj, 7}, {user, 7, kStranger.uid}, {group_obj, 5}, {mask, 7}, {other, 5}});
    as(kStranger, [&] {
      write_file(t / "d" / "f", "x");
      OK(::rename(t / "d" / "f", t / "d" / "g"));
      OK(::unlink(t / "d" / "g"));
    });
    as(kMember, [&] { FAILS(EACCES, ::mkdir(t / "d" / "m", 0755)); });
  });
  list.add("access(2) follows the list", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0600);
    set(t / "f", kAccess, with_mask(6));
    in_child_as(kStranger, [&] {
      OK(::access(t / "f", R_OK | W_OK));
      FAILS(EACCES, ::access(t / "f", X_OK));
    });
    in_child_as(kMember, [&] { FAILS(EACCES, ::access(t / "f", R_OK)); });
  });
  list.add("only the owner changes a list", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0666);
    OK(::chown(t / "f", kOwner.uid, kOwner.gid));
    const std::string bytes = encoded(with_mask(7));
    as(kStranger, [&] {
      FAILS(EPERM, ::setxattr(t / "f", kAccess, bytes.data(), bytes.size(), 0));
      FAILS(EPERM, ::removexattr(t / "f", kAccess));
    });
    as(kOwner, [&] { OK(::setxattr(t / "f", kAccess, bytes.data(), bytes.size(), 0)); });
  });
  list.add("malformed lists are refused with EINVAL", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x");
    const Acl bad[] = {{{user_obj, 6}},
                       {{user_obj, 6}, {user, 6, 5}, {group_obj, 4}, {other, 0}},
                       {{user_obj, 6}, {group_obj, 4}, {other, 9}},
                       {{other, 0}, {user_obj, 6}, {group_obj, 4}},
                       {{user_obj, 6}, {group_obj, 4}, {static_cast<uint16_t>(64), 4}, {other, 0}}};
    for (const Acl& acl : bad) {
      const std::string bytes = encoded(acl);
      FAILS(EINVAL, ::setxattr(t / "f", kAccess, bytes.data(), bytes.size(), 0));
    }
    const std::string cut = encoded(with_mask(7)).substr(0, 13);
    FAILS(EINVAL, ::setxattr(t / "f", kAccess, cut.data(), cut.size(), 0));
    FAILS(EOPNOTSUPP, ::setxattr(t / "f", kAccess, "\1\0\0\0", 4, 0));
    EQUAL(mode_of(t / "f"), mode_t{0644});
  });
  list.add("a default list on a file is refused with EACCES", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x");
    const std::string bytes = encoded({{user_obj, 6}, {group_obj, 4}, {other, 0}});
    FAILS(EACCES, ::setxattr(t / "f", kDefault, bytes.data(), bytes.size(), 0));
  });
  list.add("a list of a hundred entries", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0600);
    Acl acl = {{user_obj, 6}};
    for (uint32_t id = 62000; id < 62100; ++id) {
      acl.push_back({user, static_cast<uint16_t>(id % 2 == 0 ? 4 : 0), id});
    }
    acl.insert(acl.end(), {{group_obj, 0}, {mask, 7}, {other, 0}});
    set(t / "f", kAccess, acl);
    CHECK(get(t / "f", kAccess) == acl);
    CHECK(may_open({62098, 5, {}}, t / "f", O_RDONLY));
    CHECK(!may_open({62099, 5, {}}, t / "f", O_RDONLY));
  });
  list.add("chmod by someone outside the group clears setgid when a list is set", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x");
    OK(::chown(t / "f", kOwner.uid, 61900));
    OK(::chmod(t / "f", 02755));
    const std::string bytes =
        encoded({{user_obj, 7}, {user, 6, kStranger.uid}, {group_obj, 5}, {mask, 7}, {other, 5}});
    as(kOwner, [&] { OK(::setxattr(t / "f", kAccess, bytes.data(), bytes.size(), 0)); });
    EQUAL(mode_of(t / "f"), mode_t{0775});
  });
}

}  // namespace pairfs::posix
