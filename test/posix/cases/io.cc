// Reading and writing: offsets, ends, gaps, vectors, O_APPEND, limits.
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include <cstdlib>
#include <cstring>
#include <memory>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_io_cases(CaseList& list) {
  list.group("io");
  list.add("a read stops at the end of the file and beyond it gives nothing", [](Context& t) {
    write_file(t / "f", "0123456789");
    Fd fd = open_file(t / "f", O_RDONLY);
    char buffer[100];
    EQUAL(OK(::pread(fd, buffer, 100, 4)), 6);
    EQUAL(OK(::pread(fd, buffer, 100, 10)), 0);
    EQUAL(OK(::pread(fd, buffer, 100, 1 << 30)), 0);
    EQUAL(OK(::pread(fd, buffer, 0, 0)), 0);
  });
  list.add("a gap left by a write beyond the end reads as zeros", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, "ab");
    write_at(fd, 10000, "cd");
    EQUAL(fstat_of(fd).st_size, 10002);
    EQUAL(read_at(fd, 0, 20000), "ab" + std::string(9998, '\0') + "cd");
  });
  list.add("odd sizes at odd offsets overwrite exactly what they should", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    std::string model;
    unsigned value = 7;
    for (unsigned round = 0; round < 200; ++round) {
      value = value * 1103515245 + 12345;
      const size_t offset = (value >> 8) % 300000;
      const size_t length = 1 + (value >> 4) % 20000;
      const std::string data = pattern(length, round);
      write_at(fd, static_cast<off_t>(offset), data);
      if (model.size() < offset + length) model.resize(offset + length, '\0');
      model.replace(offset, length, data);
    }
    CHECK(read_at(fd, 0, model.size() + 10) == model);
    fd.close();
    CHECK(read_file(t / "f") == model);
  });
  list.add("one call writes and reads 16 MiB", [](Context& t) {
    const std::string data = pattern(16 << 20);
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    EQUAL(OK(::write(fd, data.data(), data.size())), static_cast<ssize_t>(data.size()));
    std::string back(data.size(), '\0');
    EQUAL(OK(::pread(fd, back.data(), back.size(), 0)), static_cast<ssize_t>(data.size()));
    CHECK(back == data);
  });
  list.add("cutting and growing a file leaves zeros, never old bytes", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, pattern(20000));
    for (const off_t cut : {19999, 8193, 8192, 4097, 4096, 100, 1, 0}) {
      OK(::ftruncate(fd, cut));
      OK(::ftruncate(fd, 20000));
      const size_t kept = static_cast<size_t>(cut);
      CHECK(read_at(fd, 0, 30000) ==
            pattern(20000).substr(0, kept) + std::string(20000 - kept, '\0'));
      write_at(fd, 0, pattern(20000));
    }
    FAILS(EINVAL, ::ftruncate(fd, -1));
    FAILS(EINVAL, ::truncate(t / "f", -1));
    FAILS(ENOENT, ::truncate(t / "none", 0));
  });
  list.add("vectors are written and read in order", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    char one[] = "one", two[] = "twotwo", three[] = "3";
    const iovec out[3] = {{one, 3}, {two, 6}, {three, 1}};
    EQUAL(OK(::writev(fd, out, 3)), 10);
    EQUAL(OK(::pwritev(fd, out, 3, 5)), 10);
    char first[4], second[100];
    const iovec in[2] = {{first, 4}, {second, 100}};
    EQUAL(OK(::preadv(fd, in, 2, 0)), 15);
    EQUAL(std::string(first, 4) + std::string(second, 11), "onetwonetwotwo3");
  });
  list.add("O_APPEND writes at the end, pwrite too, wherever the offset is", [](Context& t) {
    write_file(t / "f", "start");
    Fd fd = open_file(t / "f", O_RDWR | O_APPEND);
    OK(::write(fd, "1", 1));
    OK(::lseek(fd, 0, SEEK_SET));
    OK(::write(fd, "2", 1));
    EQUAL(OK(::lseek(fd, 0, SEEK_CUR)), 7);
    OK(::pwrite(fd, "3", 1, 0));
    EQUAL(read_file(t / "f"), "start123");
    OK(::truncate(t / "f", 2));
    OK(::write(fd, "4", 1));
    EQUAL(read_file(t / "f"), "st4");
  });
  list.add("O_APPEND can be switched on and off", [](Context& t) {
    write_file(t / "f", "start");
    Fd fd = open_file(t / "f", O_RDWR);
    OK(::fcntl(fd, F_SETFL, O_APPEND));
    OK(::write(fd, "A", 1));
    EQUAL(read_file(t / "f"), "startA");
    OK(::fcntl(fd, F_SETFL, 0));
    OK(::pwrite(fd, "B", 1, 0));
    EQUAL(read_file(t / "f"), "BtartA");
  });
  list.add("records appended by eight processes are all there, whole and in order", [](Context& t) {
    write_file(t / "log", "");
    constexpr int kWriters = 8, kRecords = 200;
    {
      std::vector<std::unique_ptr<Child>> writers;
      for (int writer = 0; writer < kWriters; ++writer) {
        writers.push_back(std::make_unique<Child>([&, writer] {
          Fd fd = open_file(t / "log", O_WRONLY | O_APPEND);
          for (int i = 0; i < kRecords; ++i) {
            char record[32];
            std::snprintf(record, sizeof record, "%02d %05d %20s\n", writer, i, "x");
            EQUAL(OK(::write(fd, record, 30)), 30);
          }
        }));
      }
      for (auto& writer : writers) writer->join();
    }
    const std::string log = read_file(t / "log");
    EQUAL(log.size(), size_t{30 * kWriters * kRecords});
    int next[kWriters] = {};
    for (size_t at = 0; at < log.size(); at += 30) {
      const int writer = std::atoi(log.c_str() + at);
      CHECK(writer >= 0 && writer < kWriters);
      EQUAL(std::atoi(log.c_str() + at + 3), next[writer]++);
    }
  });
  list.add("records appended through two mounts are all there", [](Context& t) {
    const Path there = t.there();
    write_file(t / "log", "");
    const auto append = [](const Path& path, char who) {
      Fd fd = open_file(path, O_WRONLY | O_APPEND);
      for (int i = 0; i < 200; ++i) {
        const std::string record(19, who);
        EQUAL(OK(::write(fd, (record + "\n").data(), 20)), 20);
      }
    };
    Child one([&] { append(t / "log", 'a'); });
    Child two([&] { append(there / "log", 'b'); });
    one.join();
    two.join();
    const std::string log = read_file(t / "log");
    EQUAL(log.size(), 8000u);
    int counted[2] = {};
    for (size_t at = 0; at < log.size(); at += 20) {
      CHECK(log.substr(at, 20) == std::string(19, log[at]) + "\n");
      ++counted[log[at] == 'a' ? 0 : 1];
    }
    EQUAL(counted[0], 200);
    EQUAL(counted[1], 200);
  });
  list.add("offsets move with read and write and are shared after dup and fork", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    OK(::write(fd, "0123456789", 10));
    EQUAL(OK(::lseek(fd, 3, SEEK_SET)), 3);
    Fd same(OK(::dup(fd)));
    char byte = 0;
    OK(::read(same, &byte, 1));
    EQUAL(byte, '3');
    Child child([&] {
      char inner = 0;
      OK(::read(fd, &inner, 1));
      EQUAL(inner, '4');
    });
    child.join();
    EQUAL(OK(::lseek(fd, 0, SEEK_CUR)), 5);
    EQUAL(OK(::lseek(fd, -2, SEEK_END)), 8);
    FAILS(EINVAL, ::lseek(fd, -11, SEEK_END));
  });
  list.add("bad arguments: EINVAL for a negative offset, EFAULT for a bad buffer", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    write_at(fd, 0, "x");
    char byte = 0;
    FAILS(EINVAL, ::pread(fd, &byte, 1, -1));
    FAILS(EINVAL, ::pwrite(fd, &byte, 1, -1));
    void* nowhere = ::mmap(nullptr, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(EFAULT, ::pread(fd, nowhere, 1, 0));
    FAILS(EFAULT, ::pwrite(fd, nowhere, 1, 0));
    EQUAL(read_at(fd, 0, 5), "x");
  });
  list.add("the process's file size limit gives EFBIG and SIGXFSZ", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
    const rlimit limit{10000, 10000};
    OK(::setrlimit(RLIMIT_FSIZE, &limit));
    ::signal(SIGXFSZ, SIG_IGN);
    const std::string data = pattern(6000);
    EQUAL(OK(::pwrite(fd, data.data(), 6000, 0)), 6000);
    EQUAL(OK(::pwrite(fd, data.data(), 6000, 6000)), 4000);
    FAILS(EFBIG, ::pwrite(fd, data.data(), 1, 10000));
    FAILS(EFBIG, ::ftruncate(fd, 10001));
    EQUAL(fstat_of(fd).st_size, 10000);
  });
  list.add("O_DIRECT reads and writes aligned blocks coherently with the rest", [](Context& t) {
    const int direct_fd = ::open(t / "f", O_RDWR | O_CREAT | O_DIRECT, 0644);
    if (direct_fd < 0) {
      EQUAL(errno_name(errno), errno_name(EINVAL));
      t.unsupported("O_DIRECT");
    }
    Fd direct(direct_fd);
    std::unique_ptr<char, void (*)(void*)> block(
        static_cast<char*>(std::aligned_alloc(4096, 65536)), std::free);
    const std::string data = pattern(65536);
    std::memcpy(block.get(), data.data(), data.size());
    EQUAL(OK(::pwrite(direct, block.get(), 65536, 8192)), 65536);
    Fd buffered = open_file(t / "f", O_RDWR);
    CHECK(read_at(buffered, 8192, 65536) == data);
    write_at(buffered, 8192, std::string(4096, 'b'));
    EQUAL(OK(::pread(direct, block.get(), 8192, 8192)), 8192);
    CHECK(std::string(block.get(), 8192) == std::string(4096, 'b') + data.substr(4096, 4096));
    EQUAL(OK(::pread(direct, block.get(), 65536, 65536)), 8192);
  });
  list.add("fsync, fdatasync, syncfs, sync_file_range and O_SYNC writes succeed", [](Context& t) {
    Fd fd = open_file(t / "f", O_RDWR | O_CREAT | O_SYNC);
    write_at(fd, 0, pattern(100000));
    OK(::fsync(fd));
    OK(::fdatasync(fd));
    OK(::syncfs(fd));
    Fd data_sync = open_file(t / "f", O_RDWR | O_DSYNC);
    write_at(data_sync, 5, "x");
    Fd dir(OK(::open(t.dir(), O_RDONLY | O_DIRECTORY)));
    OK(::fsync(dir));
    CHECK(read_at(fd, 0, 100000).substr(6) == pattern(100000).substr(6));
  });
}

}  // namespace pairfs::posix
