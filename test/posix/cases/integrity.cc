// Data stays what it was: patterns that are written in many ways, synced, pushed out of the page
// cache and read again, through the second mount too when there is one.
#include <fcntl.h>
#include <sys/stat.h>

#include <map>
#include <random>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

// Where the same file is read: through the second mount, or here again.
Path other_side(Context& t) {
  try {
    return t.there();
  } catch (const CaseSkipped&) {
    return t.dir();
  }
}

void sync_and_forget(int fd) {
  OK(::fsync(fd));
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

void check_contents(const Path& path, const std::string& wanted) {
  Fd fd = open_file(path, O_RDONLY);
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  const std::string got = read_at(fd, 0, wanted.size() + 1);
  EQUAL(got.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i)
    if (got[i] != wanted[i]) fail(__FILE__, __LINE__, "byte " + std::to_string(i) + " differs");
}

}  // namespace

void add_integrity_cases(CaseList& list) {
  list.group("integrity");
  list.add(
      "a large file reads back as it was written",
      [](Context& t) {
        constexpr size_t kPieceBytes = 1 << 20;
        constexpr unsigned kPieces = 32;
        Fd fd = open_file(t / "large", O_RDWR | O_CREAT);
        for (unsigned i = 0; i < kPieces; ++i)
          write_at(fd, static_cast<off_t>(i * kPieceBytes), pattern(kPieceBytes, i));
        sync_and_forget(fd);
        Fd again = open_file(other_side(t) / "large", O_RDONLY);
        for (unsigned i = 0; i < kPieces; ++i)
          CHECK(read_at(again, static_cast<off_t>(i * kPieceBytes), kPieceBytes) ==
                pattern(kPieceBytes, i));
      },
      300);
  list.add(
      "pieces written over each other at odd offsets are what a copy in memory says",
      [](Context& t) {
        std::mt19937 random(20);
        std::string model(300'000, '\0');
        Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
        OK(::ftruncate(fd, static_cast<off_t>(model.size())));
        for (unsigned i = 0; i < 300; ++i) {
          const size_t length = 1 + random() % 20'000;
          const size_t at = random() % (model.size() - length);
          const std::string piece = pattern(length, i);
          write_at(fd, static_cast<off_t>(at), piece);
          model.replace(at, length, piece);
          if (i % 60 == 59) {
            sync_and_forget(fd);
            check_contents(other_side(t) / "f", model);
          }
        }
      },
      300);
  list.add(
      "hundreds of small files keep their names and contents",
      [](Context& t) {
        std::map<std::string, std::string> model;
        for (unsigned i = 0; i < 300; ++i) {
          const std::string name = "file " + std::to_string(i);
          model[name] = pattern(i * 37 % 9000, i);
          write_file(t / name, model[name]);
          if (i % 3 == 2) {
            const std::string from = "file " + std::to_string(i - 1),
                              to = "moved " + std::to_string(i);
            OK(::rename(t / from, t / to));
            model[to] = model[from];
            model.erase(from);
          }
        }
        const Path there = other_side(t);
        EQUAL(names_in(there).size(), model.size());
        for (const auto& [name, contents] : model) check_contents(there / name, contents);
      },
      300);
  list.add(
      "a file that was cut and grown has zeros where nothing was written",
      [](Context& t) {
        Fd fd = open_file(t / "f", O_RDWR | O_CREAT);
        std::string model = pattern(200'000);
        write_at(fd, 0, model);
        for (const size_t size : {131'073u, 5u, 70'000u, 4'096u, 150'001u}) {
          OK(::ftruncate(fd, static_cast<off_t>(size)));
          model.resize(size, '\0');
          sync_and_forget(fd);
          check_contents(other_side(t) / "f", model);
        }
        const std::string tail = pattern(999, 7);
        write_at(fd, 1'000'000, tail);
        model.resize(1'000'000, '\0');
        model += tail;
        check_contents(other_side(t) / "f", model);
      },
      120);
  list.add(
      "a renamed file replaces the old contents as a whole, as often as one looks",
      [](Context& t) {
        const Path there = other_side(t);
        write_file(t / "f", pattern(50'000, 0));
        for (unsigned i = 1; i <= 50; ++i) {
          Fd fd = open_file(t / "f.new", O_RDWR | O_CREAT | O_TRUNC);
          write_at(fd, 0, pattern(50'000, i));
          OK(::fsync(fd));
          fd.close();
          OK(::rename(t / "f.new", t / "f"));
          check_contents(there / "f", pattern(50'000, i));
        }
      },
      120);
}

}  // namespace pairfs::posix
