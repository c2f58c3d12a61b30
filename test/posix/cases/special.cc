// Fifos, sockets and device nodes.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>

#include <cstring>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_special_cases(CaseList& list) {
  list.group("special");
  list.add("mknod makes every kind with its mode less the umask", [](Context& t) {
    t.need_root();
    ::umask(022);
    const struct {
      const char* name;
      mode_t kind;
      dev_t device;
    } kinds[] = {{"regular", S_IFREG, 0},
                 {"fifo", S_IFIFO, 0},
                 {"socket", S_IFSOCK, 0},
                 {"character", S_IFCHR, makedev(1, 3)},
                 {"block", S_IFBLK, makedev(259, 70000)}};
    for (const auto& kind : kinds) {
      OK(::mknod(t / kind.name, kind.kind | 0666, kind.device));
      const struct stat status = lstat_of(t / kind.name);
      EQUAL(status.st_mode, kind.kind | 0644);
      EQUAL(status.st_rdev, kind.device);
      EQUAL(status.st_nlink, 1u);
      EQUAL(status.st_size, 0);
      FAILS(EEXIST, ::mknod(t / kind.name, kind.kind | 0666, kind.device));
    }
    FAILS(EPERM, ::mknod(t / "dir", S_IFDIR | 0755, 0));
    FAILS(ENOENT, ::mknod(t / "none" / "x", S_IFIFO | 0644, 0));
    FAILS(ENAMETOOLONG, ::mknod(t / std::string(256, 'n'), S_IFIFO | 0644, 0));
  });
  list.add("device numbers of 12 and 20 bits survive", [](Context& t) {
    t.need_root();
    const dev_t device = makedev(4095, 1048575);
    if (::mknod(t / "d", S_IFCHR | 0600, device) != 0) {
      EQUAL(errno_name(errno), "EINVAL");
      t.unsupported("device numbers of 12 and 20 bits");
    }
    EQUAL(lstat_of(t / "d").st_rdev, device);
  });
  list.add("a user may make fifos and sockets but no devices", [](Context& t) {
    t.need_root();
    OK(::chmod(t.dir(), 0777));
    as(kStranger, [&] {
      OK(::mknod(t / "fifo", S_IFIFO | 0644, 0));
      OK(::mknod(t / "socket", S_IFSOCK | 0644, 0));
      OK(::mknod(t / "regular", S_IFREG | 0644, 0));
      FAILS(EPERM, ::mknod(t / "chr", S_IFCHR | 0644, makedev(1, 3)));
      FAILS(EPERM, ::mknod(t / "blk", S_IFBLK | 0644, makedev(1, 3)));
    });
    EQUAL(lstat_of(t / "fifo").st_uid, kStranger.uid);
  });
  list.add("bytes go through a fifo between two processes", [](Context& t) {
    OK(::mkfifo(t / "fifo", 0644));
    Child writer([&] {
      Fd fd = open_file(t / "fifo", O_WRONLY);
      OK(::write(fd, "through", 7));
    });
    EQUAL(read_file(t / "fifo"), "through");
    writer.join();
    EQUAL(size_of(t / "fifo"), 0);
  });
  list.add("a socket is bound, connected to and found in use", [](Context& t) {
    OK(::chdir(t.dir()));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, "socket");
    const auto* generic = reinterpret_cast<const sockaddr*>(&address);
    Fd server(OK(::socket(AF_UNIX, SOCK_STREAM, 0)));
    OK(::bind(server, generic, sizeof address));
    OK(::listen(server, 1));
    CHECK(S_ISSOCK(lstat_of("socket").st_mode));
    Fd client(OK(::socket(AF_UNIX, SOCK_STREAM, 0)));
    OK(::connect(client, generic, sizeof address));
    Fd accepted(OK(::accept(server, nullptr, nullptr)));
    OK(::write(client, "hi", 2));
    char text[2];
    EQUAL(OK(::read(accepted, text, 2)), 2);
    Fd other(OK(::socket(AF_UNIX, SOCK_STREAM, 0)));
    FAILS(EADDRINUSE, ::bind(other, generic, sizeof address));
    server.close();
    FAILS(ECONNREFUSED, ::connect(other, generic, sizeof address));
  });
  list.add("a device node works as the device where the mount allows it", [](Context& t) {
    t.need_root();
    struct statvfs status {};
    OK(::statvfs(t.dir(), &status));
    OK(::mknod(t / "zero", S_IFCHR | 0666, makedev(1, 5)));
    if ((status.f_flag & ST_NODEV) != 0) {
      FAILS(EACCES, ::open(t / "zero", O_RDONLY));
      t.unsupported("devices (mounted with nodev)");
    }
    Fd fd = open_file(t / "zero", O_RDONLY);
    EQUAL(read_at(fd, 0, 4), std::string(4, '\0'));
  });
  list.add("permissions and owner of special files change like those of files", [](Context& t) {
    t.need_root();
    OK(::mkfifo(t / "fifo", 0644));
    OK(::mknod(t / "dev", S_IFCHR | 0644, makedev(1, 3)));
    for (const char* name : {"fifo", "dev"}) {
      OK(::chown(t / name, 5, 6));
      OK(::chmod(t / name, 0600));
      const struct stat status = lstat_of(t / name);
      EQUAL(status.st_uid, 5u);
      EQUAL(status.st_gid, 6u);
      EQUAL(status.st_mode & 07777, mode_t{0600});
    }
    EQUAL(lstat_of(t / "dev").st_rdev, makedev(1, 3));
    as(kStranger, [&] { FAILS(EACCES, ::open(t / "fifo", O_RDONLY | O_NONBLOCK)); });
  });
  list.add("truncate of a fifo is refused with EINVAL", [](Context& t) {
    OK(::mkfifo(t / "fifo", 0644));
    FAILS(EINVAL, ::truncate(t / "fifo", 0));
  });
}

}  // namespace pairfs::posix
