// Who may do what: mode bits, supplementary groups, search permission, access(2), sticky.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdlib>
#include <utility>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

// The three permission bits that `user` has on a file of kOwner with this mode.
unsigned bits_for(const User& user, mode_t mode) {
  if (user.uid == kOwner.uid) return (mode >> 6) & 7;
  if (user.gid == kOwner.gid) return (mode >> 3) & 7;
  for (const gid_t group : user.groups) {
    if (group == kOwner.gid) return (mode >> 3) & 7;
  }
  return mode & 7;
}

// Modes in which one class has each of the eight values and the others have the opposite.
std::vector<mode_t> telling_modes() {
  std::vector<mode_t> modes;
  for (const int shift : {6, 3, 0}) {
    for (mode_t bits = 0; bits < 8; ++bits) {
      mode_t mode = (7u & ~bits) * 0111u;
      mode = (mode & ~(7u << shift)) | (bits << shift);
      modes.push_back(mode);
    }
  }
  return modes;
}

const User kUsers[] = {kOwner, {kMember.uid, kOwner.gid, {}}, kFriend, kStranger};

void expect_open(const Path& path, int flags, bool allowed) {
  if (allowed) {
    Fd fd(OK(::open(path, flags)));
  } else {
    FAILS(EACCES, ::open(path, flags));
  }
}

}  // namespace

void add_permission_cases(CaseList& list) {
  list.group("permission");
  list.add("reading and writing a file follow owner, group, supplementary groups and others",
           [](Context& t) {
             t.need_root();
             write_file(t / "f", "x");
             OK(::chown(t / "f", kOwner.uid, kOwner.gid));
             for (const mode_t mode : telling_modes()) {
               OK(::chmod(t / "f", mode));
               for (const User& user : kUsers) {
                 const unsigned bits = bits_for(user, mode);
                 as(user, [&] {
                   expect_open(t / "f", O_RDONLY, (bits & 4) != 0);
                   expect_open(t / "f", O_WRONLY, (bits & 2) != 0);
                   expect_open(t / "f", O_RDWR, (bits & 6) == 6);
                 });
               }
             }
           });
  list.add("listing, searching and changing a directory follow its mode", [](Context& t) {
    t.need_root();
    OK(::mkdir(t / "d", 0755));
    write_file(t / "d" / "f", "x");
    OK(::chown(t / "d", kOwner.uid, kOwner.gid));
    for (const mode_t mode : telling_modes()) {
      OK(::chmod(t / "d", mode));
      for (const User& user : kUsers) {
        const unsigned bits = bits_for(user, mode);
        as(user, [&] {
          expect_open(t / "d", O_RDONLY | O_DIRECTORY, (bits & 4) != 0);
          struct stat status {};
          if ((bits & 1) != 0) {
            OK(::stat(t / "d" / "f", &status));
          } else {
            FAILS(EACCES, ::stat(t / "d" / "f", &status));
          }
          if ((bits & 3) == 3) {
            OK(::mkdir(t / "d" / "new", 0755));
            OK(::rmdir(t / "d" / "new"));
          } else {
            FAILS(EACCES, ::mkdir(t / "d" / "new", 0755));
          }
        });
      }
    }
  });
  list.add("access tells the truth about the real user", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x");
    OK(::chown(t / "f", kOwner.uid, kOwner.gid));
    for (const mode_t mode : {0000u, 0700u, 0070u, 0007u, 0421u, 0124u, 0250u, 0755u}) {
      OK(::chmod(t / "f", mode));
      for (const User& user : kUsers) {
        const unsigned bits = bits_for(user, mode);
        in_child_as(user, [&] {
          for (const auto& [wanted, bit] : {std::pair{R_OK, 4u}, {W_OK, 2u}, {X_OK, 1u}}) {
            if ((bits & bit) != 0) {
              OK(::access(t / "f", wanted));
            } else {
              FAILS(EACCES, ::access(t / "f", wanted));
            }
          }
          OK(::access(t / "f", F_OK));
        });
      }
    }
    FAILS(ENOENT, ::access(t / "none", F_OK));
  });
  list.add("root reads and writes anything, and executes what anyone may", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0);
    OK(::chown(t / "f", kOwner.uid, kOwner.gid));
    Fd fd = open_file(t / "f", O_RDWR);
    OK(::access(t / "f", R_OK | W_OK));
    FAILS(EACCES, ::access(t / "f", X_OK));
    OK(::chmod(t / "f", 0010));
    OK(::access(t / "f", X_OK));
    make_directory(t / "d", 0);
    OK(::access(t / "d", X_OK));
    write_file(t / "d" / "g", "x");
  });
  list.add("a program runs only where its mode lets the user execute it", [](Context& t) {
    t.need_root();
    write_file(t / "run", "#!/bin/sh\nexit 7\n", 0750);
    OK(::chown(t / "run", kOwner.uid, kOwner.gid));
    const std::string run = (t / "run").text();
    for (const User& user : {kOwner, kFriend}) {
      in_child_as(user, [&] {
        CHECK(::access(run.c_str(), X_OK) == 0);
        const int status = std::system(("'" + run + "'").c_str());
        EQUAL(WEXITSTATUS(status), 7);
      });
    }
    in_child_as(kStranger, [&] {
      const int status = std::system(("'" + run + "' 2>/dev/null").c_str());
      EQUAL(WEXITSTATUS(status), 126);
    });
  });
  list.add("removing and linking need write and search permission on the directory",
           [](Context& t) {
             t.need_root();
             OK(::mkdir(t / "d", 0755));
             write_file(t / "d" / "f", "x", 0666);
             OK(::mkdir(t / "d" / "e", 0777));
             make_directory(t / "open", 0777);
             as(kStranger, [&] {
               FAILS(EACCES, ::unlink(t / "d" / "f"));
               FAILS(EACCES, ::rmdir(t / "d" / "e"));
               FAILS(EACCES, ::symlink("x", t / "d" / "s"));
               FAILS(EACCES, ::link(t / "d" / "f", t / "d" / "g"));
               FAILS(EACCES, ::mknod(t / "d" / "m", S_IFIFO | 0644, 0));
               FAILS(EACCES, ::open(t / "d" / "new", O_CREAT | O_RDWR, 0644));
               FAILS(ENOENT, ::unlink(t / "d" / "none"));
             });
             OK(::chmod(t / "d", 0766));
             as(kStranger, [&] {
               FAILS(EACCES, ::unlink(t / "d" / "f"));
               FAILS(EACCES, ::unlink(t / "d" / "none"));
               EQUAL(names_in(t / "d").size(), 2u);
             });
           });
  list.add("a permission once checked at open lasts for the descriptor", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0666);
    as(kStranger, [&] {
      Fd fd = open_file(t / "f", O_RDWR);
      if (::seteuid(0) != 0 || ::chmod(t / "f", 0600) != 0 || ::seteuid(kStranger.uid) != 0) {
        CHECK(false);
      }
      write_at(fd, 0, "still");
      EQUAL(read_at(fd, 0, 9), "still");
      OK(::ftruncate(fd, 2));
      FAILS(EACCES, ::truncate(t / "f", 0));
      FAILS(EACCES, ::open(t / "f", O_RDONLY));
    });
  });
  list.add("search permission is needed on every directory of a path", [](Context& t) {
    t.need_root();
    OK(::mkdir(t / "a", 0755));
    OK(::mkdir(t / "a" / "b", 0755));
    write_file(t / "a" / "b" / "f", "x", 0644);
    OK(::chmod(t / "a", 0700));
    struct stat status {};
    char text[8];
    as(kStranger, [&] {
      FAILS(EACCES, ::open(t / "a" / "b" / "f", O_RDONLY));
      FAILS(EACCES, ::stat(t / "a" / "b" / "f", &status));
      FAILS(EACCES, ::readlink(t / "a" / "b" / "f", text, sizeof text));
      FAILS(EACCES, ::chmod(t / "a" / "b" / "f", 0644));
      FAILS(EACCES, ::rename(t / "a" / "b" / "f", t / "a" / "b" / "g"));
      FAILS(EACCES, ::stat(t / "a" / "none", &status));
    });
    OK(::chmod(t / "a", 0711));
    as(kStranger, [&] { EQUAL(read_file(t / "a" / "b" / "f"), "x"); });
  });
  list.add("a change of groups of a running process counts at once", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0640);
    OK(::chown(t / "f", 0, 61777));
    for (int i = 0; i < 3; ++i) {
      as({61004, 61004, {61777}}, [&] { EQUAL(read_file(t / "f"), "x"); });
      as({61004, 61004, {61778}}, [&] { FAILS(EACCES, ::open(t / "f", O_RDONLY)); });
    }
  });
  list.add("two hundred supplementary groups all count", [](Context& t) {
    t.need_root();
    write_file(t / "f", "x", 0640);
    User user{61004, 61004, {}};
    for (gid_t group = 70000; group < 70200; ++group) user.groups.push_back(group);
    for (const gid_t group : {70000u, 70099u, 70199u}) {
      OK(::chown(t / "f", 0, group));
      as(user, [&] { EQUAL(read_file(t / "f"), "x"); });
    }
    OK(::chown(t / "f", 0, 70200));
    as(user, [&] { FAILS(EACCES, ::open(t / "f", O_RDONLY)); });
  });

  list.add("where hard links are protected, only who may write a file may link it", [](Context& t) {
    t.need_root();
    if (read_file("/proc/sys/fs/protected_hardlinks") != "1\n") {
      skip("fs.protected_hardlinks is off");
    }
    OK(::chmod(t.dir(), 0777));
    write_file(t / "closed", "x", 0644);
    write_file(t / "open", "x", 0666);
    write_file(t / "setuid", "x", 04666);
    as(kStranger, [&] {
      FAILS(EPERM, ::link(t / "closed", t / "l1"));
      OK(::link(t / "open", t / "l2"));
      FAILS(EPERM, ::link(t / "setuid", t / "l3"));
      write_file(t / "mine", "x", 0444);
      OK(::link(t / "mine", t / "l4"));
    });
  });

  list.group("sticky");
  list.add("in a sticky directory only the file's or directory's owner removes and renames",
           [](Context& t) {
             t.need_root();
             make_directory(t / "d", 01777);
             OK(::chown(t / "d", kOwner.uid, kOwner.gid));
             for (const char* name : {"f1", "f2", "f3"}) {
               write_file(t / "d" / name, "x", 0666);
               OK(::chown(t / "d" / name, kMember.uid, kMember.gid));
             }
             OK(::mkdir(t / "d" / "sub", 0777));
             OK(::chown(t / "d" / "sub", kMember.uid, kMember.gid));
             as(kStranger, [&] {
               FAILS(EPERM, ::unlink(t / "d" / "f1"));
               FAILS(EPERM, ::rename(t / "d" / "f1", t / "d" / "g"));
               FAILS(EPERM, ::rmdir(t / "d" / "sub"));
               write_file(t / "d" / "mine", "x");
               FAILS(EPERM, ::rename(t / "d" / "mine", t / "d" / "f1"));
               OK(::rename(t / "d" / "mine", t / "d" / "mine2"));
               OK(::unlink(t / "d" / "mine2"));
             });
             as(kMember, [&] {
               OK(::unlink(t / "d" / "f1"));
               OK(::rmdir(t / "d" / "sub"));
             });
             as(kOwner, [&] {
               OK(::rename(t / "d" / "f2", t / "d" / "g2"));
               OK(::unlink(t / "d" / "f3"));
             });
             OK(::unlink(t / "d" / "g2"));
           });
  list.add("EXCHANGE in a sticky directory needs both owners' right", [](Context& t) {
    t.need_root();
    make_directory(t / "d", 01777);
    write_file(t / "d" / "theirs", "x", 0666);
    as(kStranger, [&] {
      write_file(t / "d" / "mine", "x");
      FAILS(EPERM,
            ::renameat2(AT_FDCWD, t / "d" / "mine", AT_FDCWD, t / "d" / "theirs", RENAME_EXCHANGE));
    });
  });
}

}  // namespace pairfs::posix
