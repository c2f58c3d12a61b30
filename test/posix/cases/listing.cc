// readdir, telldir and seekdir on big directories and on directories that change meanwhile.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <map>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {
namespace {

struct Directory {
  explicit Directory(const Path& path) : stream(::opendir(path)) { CHECK(stream != nullptr); }
  ~Directory() { ::closedir(stream); }
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;
  // The next name, or empty at the end.
  std::string next() {
    const dirent* entry = ::readdir(stream);
    return entry == nullptr ? "" : entry->d_name;
  }
  DIR* stream;
};

void make_files(const Path& dir, int count) {
  for (int i = 0; i < count; ++i) {
    Fd fd(OK(::open(dir / ("file-" + std::to_string(i)), O_CREAT | O_WRONLY, 0644)));
  }
}

}  // namespace

void add_listing_cases(CaseList& list) {
  list.group("listing");
  list.add(
      "twenty thousand entries are each listed once",
      [](Context& t) {
        constexpr int kCount = 20000;
        make_files(t.dir(), kCount);
        std::map<std::string, int> seen;
        Directory directory(t.dir());
        for (std::string name = directory.next(); !name.empty(); name = directory.next())
          ++seen[name];
        EQUAL(seen.size(), static_cast<size_t>(kCount + 2));
        for (const auto& [name, times] : seen) EQUAL(name + std::to_string(times), name + "1");
        struct stat status {};
        OK(::stat(t / "file-0", &status));
        OK(::stat(t / "file-19999", &status));
        FAILS(ENOENT, ::stat(t / "file-20000", &status));
      },
      240);
  list.add("seekdir leads back to where telldir was, in any order", [](Context& t) {
    make_files(t.dir(), 500);
    Directory directory(t.dir());
    std::vector<std::pair<long, std::string>> places;
    for (;;) {
      const long place = ::telldir(directory.stream);
      const std::string name = directory.next();
      places.emplace_back(place, name);
      if (name.empty()) break;
    }
    EQUAL(places.size(), 503u);
    for (size_t i = 0; i < places.size(); i += 7) {
      const auto& [place, name] = places[(i * 331) % places.size()];
      ::seekdir(directory.stream, place);
      EQUAL(directory.next(), name);
    }
  });
  list.add("entries that stay are listed exactly once while others come and go", [](Context& t) {
    make_files(t.dir(), 2000);
    std::map<std::string, int> seen;
    Directory directory(t.dir());
    int step = 0;
    for (std::string name = directory.next(); !name.empty(); name = directory.next()) {
      ++seen[name];
      if (++step % 10 != 0) continue;
      OK(::unlink(t / ("file-" + std::to_string(step % 2000 / 10 * 2 + 1))));
      write_file(t / ("new-" + std::to_string(step)), "");
      OK(::rename(t / ("new-" + std::to_string(step)), t / ("newer-" + std::to_string(step))));
      if (step >= 1900) break;
    }
    for (std::string name = directory.next(); !name.empty(); name = directory.next()) ++seen[name];
    for (int i = 0; i < 2000; i += 2) {
      const std::string name = "file-" + std::to_string(i);
      EQUAL(name + ":" + std::to_string(seen[name]), name + ":1");
    }
    for (const auto& [name, times] : seen) CHECK(times == 1);
  });
  list.add("an offset stays good when everything before it is removed", [](Context& t) {
    make_files(t.dir(), 1000);
    Directory directory(t.dir());
    std::vector<std::string> before;
    for (int i = 0; i < 500; ++i) before.push_back(directory.next());
    const long place = ::telldir(directory.stream);
    std::set<std::string> wanted;
    for (std::string name = directory.next(); !name.empty(); name = directory.next()) {
      if (name[0] != '.') wanted.insert(name);
    }
    for (const std::string& name : before) {
      if (name[0] != '.') OK(::unlink(t / name));
    }
    ::seekdir(directory.stream, place);
    std::set<std::string> found;
    for (std::string name = directory.next(); !name.empty(); name = directory.next()) {
      if (name[0] != '.') found.insert(name);
    }
    CHECK(found == wanted);
  });
  list.add("removing what was just read, until nothing is left, leaves nothing", [](Context& t) {
    OK(::mkdir(t / "d", 0755));
    make_files(t / "d", 3000);
    Directory directory(t / "d");
    int removed = 0;
    for (std::string name = directory.next(); !name.empty(); name = directory.next()) {
      if (name[0] == '.') continue;
      OK(::unlink(t / "d" / name));
      ++removed;
    }
    EQUAL(removed, 3000);
    OK(::rmdir(t / "d"));
  });
  list.add("rewinddir shows what changed since", [](Context& t) {
    Directory directory(t.dir());
    while (!directory.next().empty()) continue;
    write_file(t / "late", "");
    ::rewinddir(directory.stream);
    std::set<std::string> found;
    for (std::string name = directory.next(); !name.empty(); name = directory.next()) {
      found.insert(name);
    }
    EQUAL(found.count("late"), 1u);
    OK(::unlink(t / "late"));
    ::rewinddir(directory.stream);
    for (std::string name = directory.next(); !name.empty(); name = directory.next()) {
      CHECK(name != "late");
    }
  });
  list.add("two streams of one directory do not disturb each other", [](Context& t) {
    make_files(t.dir(), 300);
    Directory one(t.dir());
    Directory two(t.dir());
    for (int i = 0; i < 100; ++i) one.next();
    size_t counted = 0;
    while (!two.next().empty()) ++counted;
    EQUAL(counted, 302u);
    size_t rest = 0;
    while (!one.next().empty()) ++rest;
    EQUAL(rest, 202u);
  });
  list.add("long names fill several buffers", [](Context& t) {
    std::set<std::string> wanted;
    for (int i = 0; i < 600; ++i) {
      std::string name = std::to_string(i);
      name.resize(200 + static_cast<size_t>(i % 56), '-');
      write_file(t / name, "");
      wanted.insert(name);
    }
    CHECK(names_in(t.dir()) == wanted);
  });
}

}  // namespace pairfs::posix
