// Other ways to move bytes: sendfile, splice, RWF_APPEND, a thousand descriptors, raw getdents.
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

struct RawEntry {
  uint64_t ino;
  int64_t offset;
  uint16_t length;
  uint8_t type;
  char name[1];
};

// Names of a directory read with a buffer of this size.
std::multiset<std::string> raw_names(const Path& dir, size_t buffer_size) {
  Fd fd(OK(::open(dir, O_RDONLY | O_DIRECTORY)));
  std::multiset<std::string> names;
  alignas(8) char buffer[65536];
  for (;;) {
    const long count = OK(::syscall(SYS_getdents64, static_cast<int>(fd), buffer, buffer_size));
    if (count == 0) return names;
    for (long at = 0; at < count;) {
      const auto* entry = reinterpret_cast<const RawEntry*>(buffer + at);
      names.insert(buffer + at + offsetof(RawEntry, name));
      at += entry->length;
    }
  }
}

}  // namespace

void add_more_io_cases(CaseList& list) {
  list.group("transfer");
  list.add("sendfile copies from file to file and to a pipe", [](Context& t) {
    write_file(t / "from", pattern(300000));
    Fd from = open_file(t / "from", O_RDONLY);
    Fd to = open_file(t / "to", O_RDWR | O_CREAT);
    off_t offset = 1000;
    size_t left = 200000;
    while (left > 0) left -= static_cast<size_t>(OK(::sendfile(to, from, &offset, left)));
    CHECK(read_at(to, 0, 300000) == pattern(300000).substr(1000, 200000));
    int pipe[2];
    OK(::pipe(pipe));
    offset = 5;
    EQUAL(OK(::sendfile(pipe[1], from, &offset, 100)), 100);
    char text[100];
    EQUAL(OK(::read(pipe[0], text, 100)), 100);
    CHECK(std::string(text, 100) == pattern(300000).substr(5, 100));
  });
  list.add("splice moves bytes through a pipe in both directions", [](Context& t) {
    write_file(t / "from", pattern(200000));
    Fd from = open_file(t / "from", O_RDONLY);
    Fd to = open_file(t / "to", O_RDWR | O_CREAT);
    int pipe[2];
    OK(::pipe(pipe));
    for (;;) {
      ssize_t in_pipe = OK(::splice(from, nullptr, pipe[1], nullptr, 65536, 0));
      if (in_pipe == 0) break;
      while (in_pipe > 0) {
        in_pipe -= OK(::splice(pipe[0], nullptr, to, nullptr, static_cast<size_t>(in_pipe), 0));
      }
    }
    CHECK(read_at(to, 0, 300000) == pattern(200000));
    write_at(from = open_file(t / "from", O_RDWR), 0, "changed");
    CHECK(read_at(to, 0, 300000) == pattern(200000));
  });
  list.add("RWF_APPEND appends for one write", [](Context& t) {
    write_file(t / "f", "start");
    Fd fd = open_file(t / "f", O_RDWR);
    char text[] = "end";
    const iovec vector{text, 3};
    if (::pwritev2(fd, &vector, 1, 0, RWF_APPEND) != 3) t.unsupported("RWF_APPEND");
    EQUAL(read_file(t / "f"), "startend");
    OK(::pwrite(fd, "S", 1, 0));
    EQUAL(read_file(t / "f"), "Startend");
  });
  list.add("a thousand files are open at once and keep their contents apart", [](Context& t) {
    const rlimit limit{2000, 2000};
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) skip("no 2000 descriptors");
    std::vector<Fd> files;
    for (unsigned i = 0; i < 1000; ++i) {
      files.push_back(open_file(t / std::to_string(i), O_RDWR | O_CREAT));
      write_at(files.back(), 0, std::to_string(i));
    }
    for (unsigned i = 0; i < 1000; i += 9) EQUAL(read_at(files[i], 0, 9), std::to_string(i));
  });
  list.add("a file is read while another process grows it, never with wrong bytes", [](Context& t) {
    write_file(t / "f", "");
    Child writer([&] {
      Fd fd = open_file(t / "f", O_WRONLY | O_APPEND);
      for (int i = 0; i < 500; ++i) OK(::write(fd, "0123456789", 10));
    });
    Fd fd = open_file(t / "f", O_RDONLY);
    std::string seen;
    while (seen.size() < 5000) {
      const std::string more = read_at(fd, static_cast<off_t>(seen.size()), 5000);
      seen += more;
      for (size_t i = 0; i < seen.size(); ++i) {
        EQUAL(seen[i], static_cast<char>('0' + i % 10));
      }
    }
    writer.join();
  });
  list.add("a write and a read of one block at once are not torn between blocks' versions",
           [](Context& t) {
             write_file(t / "f", std::string(4096, 'a'));
             Child writer([&] {
               Fd fd = open_file(t / "f", O_WRONLY);
               for (int i = 0; i < 1000; ++i) {
                 write_at(fd, 0, std::string(4096, static_cast<char>('a' + i % 26)));
               }
             });
             Fd fd = open_file(t / "f", O_RDONLY);
             for (int i = 0; i < 1000; ++i) EQUAL(read_at(fd, 0, 4096).size(), 4096u);
             writer.join();
             EQUAL(read_at(fd, 0, 4096), std::string(4096, static_cast<char>('a' + 999 % 26)));
           });

  list.group("getdents");
  list.add("small buffers list everything once, a too small one is EINVAL", [](Context& t) {
    for (int i = 0; i < 200; ++i) write_file(t / ("name-" + std::to_string(i)), "");
    for (const size_t size : {40u, 64u, 100u, 500u, 4096u, 65536u}) {
      const auto names = raw_names(t.dir(), size);
      EQUAL(names.size(), 202u);
      EQUAL(names.count("name-77"), 1u);
    }
    Fd fd(OK(::open(t.dir(), O_RDONLY | O_DIRECTORY)));
    char tiny[8];
    FAILS(EINVAL, ::syscall(SYS_getdents64, static_cast<int>(fd), tiny, sizeof tiny));
    Fd file = open_file(t / "name-1", O_RDONLY);
    FAILS(ENOTDIR, ::syscall(SYS_getdents64, static_cast<int>(file), tiny, sizeof tiny));
  });
  list.add("a path longer than PATH_MAX works step by step", [](Context& t) {
    Fd at(OK(::open(t.dir(), O_RDONLY | O_DIRECTORY)));
    const std::string name(250, 'p');
    for (int level = 0; level < 20; ++level) {
      OK(::mkdirat(at, name.c_str(), 0755));
      at = Fd(OK(::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY)));
    }
    Fd file(OK(::openat(at, "f", O_RDWR | O_CREAT, 0644)));
    write_at(file, 0, "deep");
    at = Fd(OK(::open(t.dir(), O_RDONLY | O_DIRECTORY)));
    for (int level = 0; level < 20; ++level) {
      at = Fd(OK(::openat(at, name.c_str(), O_RDONLY | O_DIRECTORY)));
    }
    Fd again(OK(::openat(at, "f", O_RDONLY)));
    EQUAL(read_at(again, 0, 9), "deep");
    OK(::unlinkat(at, "f", 0));
    for (int level = 0; level < 20; ++level) {
      at = Fd(OK(::openat(at, "..", O_RDONLY | O_DIRECTORY)));
      OK(::unlinkat(at, name.c_str(), AT_REMOVEDIR));
    }
    CHECK(names_in(t.dir()).empty());
  });
}

}  // namespace pairfs::posix
