// mmap(2): shared and private, together with reads, writes and truncation.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cstring>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

class Mapping {
 public:
  Mapping(int fd, size_t length, int protection, int flags, off_t offset = 0) : length_(length) {
    void* address = ::mmap(nullptr, length, protection, flags, fd, offset);
    CHECK(address != MAP_FAILED);
    bytes_ = static_cast<char*>(address);
  }
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() { ::munmap(bytes_, length_); }
  char* bytes() { return bytes_; }
  void sync() { OK(::msync(bytes_, length_, MS_SYNC)); }
  std::string text(size_t from, size_t length) const { return std::string(bytes_ + from, length); }

 private:
  char* bytes_ = nullptr;
  size_t length_;
};

constexpr int kReadWrite = PROT_READ | PROT_WRITE;

}  // namespace

void add_mapping_cases(CaseList& list) {
  list.group("mmap");
  list.add("a shared mapping and read and write see the same bytes", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(20000));
    Mapping map(fd, 20000, kReadWrite, MAP_SHARED);
    CHECK(map.text(0, 20000) == pattern(20000));
    write_at(fd, 5000, "written");
    EQUAL(map.text(5000, 7), "written");
    std::memcpy(map.bytes() + 10000, "mapped", 6);
    EQUAL(read_at(fd, 10000, 6), "mapped");
    map.sync();
    Fd other = open_file(t / "f", O_RDONLY);
    EQUAL(read_at(other, 10000, 6), "mapped");
  });
  list.add("what is stored in a mapping is in the file after unmapping and closing",
           [](Context& t) {
             {
               Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
               OK(::ftruncate(fd, 100000));
               Mapping map(fd, 100000, kReadWrite, MAP_SHARED);
               fd.close();
               std::memcpy(map.bytes(), pattern(100000).data(), 100000);
             }
             CHECK(read_file(t / "f") == pattern(100000));
           });
  list.add("two processes share a mapping", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(::ftruncate(fd, 4096));
    Mapping map(fd, 4096, kReadWrite, MAP_SHARED);
    Baton stored, seen;
    Child child([&] {
      Fd own = open_file(t / "f", O_RDWR);
      Mapping theirs(own, 4096, kReadWrite, MAP_SHARED);
      stored.await();
      EQUAL(theirs.bytes()[7], 'x');
      theirs.bytes()[8] = 'y';
      seen.pass();
    });
    map.bytes()[7] = 'x';
    stored.pass();
    seen.await();
    EQUAL(map.bytes()[8], 'y');
    child.join();
  });
  list.add("a private mapping keeps its stores to itself", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(8192));
    Mapping map(fd, 8192, kReadWrite, MAP_PRIVATE);
    map.bytes()[0] = '!';
    CHECK(read_at(fd, 0, 8192) == pattern(8192));
    EQUAL(map.bytes()[0], '!');
  });
  list.add("the rest of the last page is zeros and never reaches the file", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, "abc");
    {
      Mapping map(fd, 4096, kReadWrite, MAP_SHARED);
      EQUAL(map.text(3, 100), std::string(100, '\0'));
      map.bytes()[10] = 'z';
      map.sync();
    }
    EQUAL(fstat_of(fd).st_size, 3);
    OK(::ftruncate(fd, 20));
    EQUAL(read_at(fd, 0, 50), "abc" + std::string(17, '\0'));
  });
  list.add("touching a page behind the end is SIGBUS", [](Context& t) {
    Child child([&] {
      Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
      write_at(fd, 0, "abc");
      Mapping map(fd, 8192, kReadWrite, MAP_SHARED);
      map.bytes()[5000] = 'x';
    });
    child.join_killed_by(SIGBUS);
    Child cut([&] {
      Fd fd = open_file(t / "g", O_RDWR | O_CREAT);
      write_at(fd, 0, pattern(8192));
      Mapping map(fd, 8192, kReadWrite, MAP_SHARED);
      map.bytes()[5000] = 'x';
      OK(::ftruncate(fd, 100));
      map.bytes()[5000] = 'y';
    });
    cut.join_killed_by(SIGBUS);
  });
  list.add("a file that grows is seen through an older mapping", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, "abc");
    Mapping map(fd, 3 * 4096, PROT_READ, MAP_SHARED);
    EQUAL(map.text(0, 3), "abc");
    write_at(fd, 3, pattern(10000));
    EQUAL(map.text(3, 10000), pattern(10000));
  });
  list.add("cutting a file and growing it again shows zeros in the mapping", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(8192));
    Mapping map(fd, 8192, kReadWrite, MAP_SHARED);
    map.bytes()[4500] = 'x';
    OK(::ftruncate(fd, 1000));
    OK(::ftruncate(fd, 8192));
    EQUAL(map.text(1000, 7192), std::string(7192, '\0'));
    EQUAL(map.text(0, 1000), pattern(8192).substr(0, 1000));
  });
  list.add("a hole punched shows zeros in the mapping", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(16384));
    Mapping map(fd, 16384, PROT_READ, MAP_SHARED);
    CHECK(map.text(0, 16384) == pattern(16384));
    if (::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 8192) != 0) {
      t.unsupported("hole punching");
    }
    EQUAL(map.text(4096, 8192), std::string(8192, '\0'));
    EQUAL(map.text(12288, 4096), pattern(16384).substr(12288));
  });
  list.add("access rules: EACCES for what the descriptor does not allow", [](Context& t) {
    write_file(t / "f", pattern(4096));
    Fd reading = open_file(t / "f", O_RDONLY);
    Fd writing = open_file(t / "f", O_WRONLY);
    const auto map = [](int fd, int protection, int flags) -> long {
      return ::mmap(nullptr, 4096, protection, flags, fd, 0) == MAP_FAILED ? -1 : 0;
    };
    FAILS(EACCES, map(reading, kReadWrite, MAP_SHARED));
    FAILS(EACCES, map(writing, PROT_READ, MAP_SHARED));
    OK(map(reading, kReadWrite, MAP_PRIVATE));
    Fd dir(OK(::open(t.dir(), O_RDONLY)));
    FAILS(ENODEV, map(dir, PROT_READ, MAP_PRIVATE));
  });
  list.add("storing into a mapping moves mtime at the latest with msync", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(4096));
    const struct stat before = fstat_of(fd);
    let_the_clock_tick();
    Mapping map(fd, 4096, kReadWrite, MAP_SHARED);
    map.bytes()[0] = 'x';
    map.sync();
    CHECK(nanoseconds(stat_of(t / "f").st_mtim) > nanoseconds(before.st_mtim));
  });
  list.add("a large mapping stored at random places reads back", [](Context& t) {
    constexpr size_t kLength = 32 << 20;
    {
      Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
      OK(::ftruncate(fd, kLength));
      Mapping map(fd, kLength, kReadWrite, MAP_SHARED);
      for (size_t i = 0; i < 2000; ++i) map.bytes()[(i * 7919 * 4099) % kLength] = 'r';
    }
    Fd fd = open_file(t / "f", O_RDONLY);
    for (size_t i = 0; i < 2000; i += 13) {
      EQUAL(read_at(fd, static_cast<off_t>((i * 7919 * 4099) % kLength), 1), "r");
    }
  });
}

}  // namespace pairfs::posix
