// Many processes at once on the same names, through all mounts there are; then everything must add
// up.
#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <map>
#include <memory>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

constexpr double kSeconds = 3;

double now_s() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

class Dice {
 public:
  explicit Dice(unsigned seed) : state_(seed * 2654435761u + 12345) {}
  unsigned below(unsigned bound) {
    state_ = state_ * 1664525u + 1013904223u;
    return (state_ >> 8) % bound;
  }

 private:
  unsigned state_;
};

// Runs `work(number, directory)` in so many processes; every second one on the second mount.
void in_parallel(const std::vector<Path>& dirs, unsigned processes,
                 const std::function<void(unsigned, const Path&)>& work) {
  std::vector<std::unique_ptr<Child>> children;
  for (unsigned i = 0; i < processes; ++i) {
    children.push_back(std::make_unique<Child>([&, i] { work(i, dirs[i % dirs.size()]); }));
  }
  for (auto& child : children) child->join();
}

// A call that may fail only in ways that a race explains.
void may_fail(long result, std::initializer_list<int> allowed) {
  if (result >= 0) return;
  for (const int number : allowed) {
    if (errno == number) return;
  }
  throw CaseFailed("a call in a race failed with " + errno_name(errno));
}

void one_random_call(Dice& dice, const Path& dir) {
  const auto name = [&] {
    const std::string file = "n" + std::to_string(dice.below(12));
    return dice.below(3) == 0 ? dir / ("d" + std::to_string(dice.below(3))) / file : dir / file;
  };
  const auto directory = [&] { return dir / ("d" + std::to_string(dice.below(3))); };
  const Path one = name(), two = name();
  switch (dice.below(9)) {
    case 0:
    case 1: {
      const int fd = ::open(one, O_CREAT | O_RDWR, 0644);
      may_fail(fd, {ENOENT, EISDIR, ELOOP});
      if (fd < 0) break;
      may_fail(::pwrite(fd, "data", 4, 0), {});
      ::close(fd);
      break;
    }
    case 2:
      may_fail(::unlink(one), {ENOENT, EISDIR});
      break;
    case 3:
      may_fail(::rename(one, two), {ENOENT, EISDIR, ENOTDIR, ENOTEMPTY});
      break;
    case 4:
      may_fail(::link(one, two), {ENOENT, EEXIST, EPERM});
      break;
    case 5:
      may_fail(::mkdir(directory(), 0755), {EEXIST});
      break;
    case 6:
      may_fail(::rmdir(directory()), {ENOENT, ENOTEMPTY});
      break;
    case 7:
      may_fail(::renameat2(AT_FDCWD, one, AT_FDCWD, two, RENAME_EXCHANGE), {ENOENT, EINVAL});
      break;
    default:
      may_fail(::symlink("n1", one), {ENOENT, EEXIST});
      break;
  }
}

// Counts names per inode below a directory; every listed name must be there.
void count_names(const Path& dir, std::map<ino_t, nlink_t>& names,
                 std::map<ino_t, nlink_t>& links) {
  nlink_t subdirectories = 0;
  for (const std::string& name : names_in(dir)) {
    const struct stat status = lstat_of(dir / name);
    if (S_ISDIR(status.st_mode)) {
      ++subdirectories;
      count_names(dir / name, names, links);
    } else {
      ++names[status.st_ino];
      links[status.st_ino] = status.st_nlink;
    }
  }
  EQUAL(links_of(dir), subdirectories + 2);
}

std::vector<Path> all_mounts(Context& t, bool both) {
  std::vector<Path> dirs = {t.dir()};
  if (both) dirs.push_back(t.there());
  return dirs;
}

void race_on_names(Context& t, bool both) {
  const std::vector<Path> dirs = all_mounts(t, both);
  in_parallel(dirs, 8, [](unsigned number, const Path& dir) {
    Dice dice(number + 1);
    for (const double start = now_s(); now_s() - start < kSeconds;) one_random_call(dice, dir);
  });
  for (const Path& dir : dirs) {
    std::map<ino_t, nlink_t> names, links;
    count_names(dir, names, links);
    for (const auto& [ino, count] : names) EQUAL(links[ino], count);
  }
}

// Each process moves a token file between directories; none is lost or doubled.
void move_tokens(Context& t, bool both) {
  constexpr unsigned kTokens = 30, kDirectories = 4;
  const std::vector<Path> dirs = all_mounts(t, both);
  for (unsigned i = 0; i < kDirectories; ++i) OK(::mkdir(t / ("d" + std::to_string(i)), 0755));
  for (unsigned i = 0; i < kTokens; ++i) write_file(t / "d0" / ("t" + std::to_string(i)), "token");
  in_parallel(dirs, 6, [](unsigned number, const Path& dir) {
    Dice dice(number + 100);
    for (const double start = now_s(); now_s() - start < kSeconds;) {
      const std::string token = "t" + std::to_string(dice.below(kTokens));
      const Path from = dir / ("d" + std::to_string(dice.below(kDirectories))) / token;
      const Path to = dir / ("d" + std::to_string(dice.below(kDirectories))) / token;
      may_fail(::rename(from, to), {ENOENT});
    }
  });
  for (const Path& dir : dirs) {
    std::map<std::string, int> found;
    for (unsigned i = 0; i < kDirectories; ++i) {
      for (const std::string& name : names_in(dir / ("d" + std::to_string(i)))) {
        ++found[name];
        EQUAL(read_file(dir / ("d" + std::to_string(i)) / name), "token");
      }
    }
    EQUAL(found.size(), size_t{kTokens});
    for (const auto& [name, times] : found) EQUAL(name + std::to_string(times), name + "1");
  }
}

// Processes add to a counter under a lock; no addition is lost.
void count_under_lock(Context& t, bool both, bool whole_file) {
  const std::vector<Path> dirs = all_mounts(t, both);
  write_file(t / "counter", "0");
  constexpr int kRounds = 50;
  in_parallel(dirs, 4, [whole_file](unsigned, const Path& dir) {
    Fd fd = open_file(dir / "counter", O_RDWR);
    for (int i = 0; i < kRounds; ++i) {
      struct flock lock {};
      lock.l_type = F_WRLCK;
      OK(whole_file ? ::flock(fd, LOCK_EX) : ::fcntl(fd, F_SETLKW, &lock));
      const int value = std::stoi(read_at(fd, 0, 20));
      write_at(fd, 0, std::to_string(value + 1));
      lock.l_type = F_UNLCK;
      OK(whole_file ? ::flock(fd, LOCK_UN) : ::fcntl(fd, F_SETLK, &lock));
    }
  });
  EQUAL(read_file(t / "counter"), std::to_string(4 * kRounds));
}

}  // namespace

void add_stress_cases(CaseList& list) {
  list.group("race");
  for (const bool both : {false, true}) {
    const std::string where = both ? ", from two mounts" : "";
    list.add(
        "link counts add up after processes raced on names" + where,
        [both](Context& t) { race_on_names(t, both); }, 120);
    list.add(
        "no file is lost or doubled while processes move files" + where,
        [both](Context& t) { move_tokens(t, both); }, 120);
    list.add(
        "no addition under flock is lost" + where,
        [both](Context& t) { count_under_lock(t, both, true); }, 120);
    list.add(
        "no addition under a record lock is lost" + where,
        [both](Context& t) { count_under_lock(t, both, false); }, 120);
  }
  list.add("a directory is removed only when it is empty, however many create in it",
           [](Context& t) {
             OK(::mkdir(t / "d", 0755));
             in_parallel({t.dir()}, 4, [](unsigned number, const Path& dir) {
               for (int i = 0; i < 150; ++i) {
                 if (number == 0) {
                   if (::rmdir(dir / "d") == 0) OK(::mkdir(dir / "d", 0755));
                   continue;
                 }
                 const Path file = dir / "d" / (std::to_string(number) + "-" + std::to_string(i));
                 const int fd = ::open(file, O_CREAT | O_EXCL | O_WRONLY, 0644);
                 may_fail(fd, {ENOENT});
                 if (fd < 0) continue;
                 ::close(fd);
                 OK(::unlink(file));
               }
             });
             EQUAL(names_in(t / "d").size(), 0u);
           });
}

}  // namespace pairfs::posix
