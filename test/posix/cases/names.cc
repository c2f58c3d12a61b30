// What may be a name, and what directories list.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <map>

#include "test/posix/cases/cases.h"

namespace pairfs::posix {

void add_name_cases(CaseList& list) {
  list.group("name");
  list.add("every byte but slash and NUL may be in a name", [](Context& t) {
    std::set<std::string> wanted;
    for (int byte = 1; byte < 256; ++byte) {
      if (byte == '/' || byte == '.') continue;
      const std::string name(1, static_cast<char>(byte));
      write_file(t / name, name);
      wanted.insert(name);
    }
    CHECK(names_in(t.dir()) == wanted);
    for (const std::string& name : wanted) EQUAL(read_file(t / name), name);
  });
  list.add("names of 255 bytes, also of bytes that are no UTF-8", [](Context& t) {
    for (const char byte : {'n', '\x80', '\xff', '\xc3'}) {
      const std::string name(255, byte);
      OK(::mkdir(t / name, 0755));
      write_file(t / name / name, "x");
      OK(::rename(t / name / name, t / name / name.substr(1)));
      OK(::symlink("x", t / name / name));
      OK(::link(t / name / name.substr(1), t / name / name.substr(2)));
      EQUAL(names_in(t / name).size(), 3u);
      FAILS(ENAMETOOLONG, ::mkdir(t / (name + "x"), 0755));
    }
  });
  list.add("names that differ only in case or normal form are different", [](Context& t) {
    for (const char* name : {"a", "A", "\xc3\xa9", "e\xcc\x81", "a ", " a", "a.", "..a", "..."}) {
      write_file(t / name, name);
    }
    EQUAL(names_in(t.dir()).size(), 9u);
    EQUAL(read_file(t / "A"), "A");
    EQUAL(read_file(t / "e\xcc\x81"), "e\xcc\x81");
  });
  list.add("a path of 4095 bytes works, one more is ENAMETOOLONG", [](Context& t) {
    std::string path = t.dir().text();
    while (path.size() < 4095 - 255) {
      path += "/" + std::string(std::min<size_t>(200, 4095 - 252 - path.size()), 'd');
      OK(::mkdir(path.c_str(), 0755));
    }
    path += "/" + std::string(4095 - path.size() - 1, 'f');
    EQUAL(path.size(), 4095u);
    write_file(path, "deep");
    EQUAL(read_file(path), "deep");
    FAILS(ENAMETOOLONG, ::open((path + "f").c_str(), O_RDONLY));
    struct stat status {};
    FAILS(ENAMETOOLONG, ::stat((path + "f").c_str(), &status));
    FAILS(ENAMETOOLONG, ::unlink((path + "f").c_str()));
  });
  list.add("dot and dot-dot are listed once, with types and numbers as stat gives them",
           [](Context& t) {
             OK(::mkdir(t / "d", 0755));
             write_file(t / "d" / "file", "");
             OK(::mkdir(t / "d" / "dir", 0755));
             OK(::mkfifo(t / "d" / "fifo", 0644));
             OK(::symlink("x", t / "d" / "link"));
             OK(::mknod(t / "d" / "socket", S_IFSOCK | 0644, 0));
             DIR* directory = ::opendir(t / "d");
             CHECK(directory != nullptr);
             std::map<std::string, int> seen;
             while (const dirent* entry = ::readdir(directory)) {
               ++seen[entry->d_name];
               const struct stat status = lstat_of(t / "d" / entry->d_name);
               EQUAL(entry->d_ino, status.st_ino);
               if (entry->d_type != DT_UNKNOWN) EQUAL(entry->d_type, IFTODT(status.st_mode));
             }
             ::closedir(directory);
             EQUAL(seen.size(), 7u);
             EQUAL(seen["."], 1);
             EQUAL(seen[".."], 1);
           });
  list.add("inode numbers are unique within one device and do not change", [](Context& t) {
    std::set<ino_t> numbers;
    const dev_t device = stat_of(t.dir()).st_dev;
    for (int i = 0; i < 200; ++i) {
      const Path name = t / ("n" + std::to_string(i));
      if (i % 2 == 0) {
        write_file(name, "");
      } else {
        OK(::mkdir(name, 0755));
      }
      const struct stat status = lstat_of(name);
      EQUAL(status.st_dev, device);
      CHECK(numbers.insert(status.st_ino).second);
      EQUAL(lstat_of(name).st_ino, status.st_ino);
    }
  });
}

}  // namespace pairfs::posix
