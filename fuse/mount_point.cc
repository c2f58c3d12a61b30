#include "fuse/mount_point.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <spawn.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <vector>

extern char** environ;

namespace pairfs {
namespace {

bool is_root() { return ::geteuid() == 0; }

// mountinfo writes a space, tab, newline and backslash in paths as \ooo.
std::string unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      out += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      out += text[i];
    }
  }
  return out;
}

struct Mounted {
  std::string type;    // empty: nothing is mounted there
  std::string device;  // "0:41"
};

// What is mounted at the path. Does not touch the path itself: the servers behind a mount may be
// gone.
Mounted mounted_at(const std::string& path) {
  std::ifstream file("/proc/self/mountinfo");
  std::string line;
  Mounted topmost;
  while (std::getline(file, line)) {
    std::istringstream fields(line);
    std::string id, parent, device, root, target, field, type;
    fields >> id >> parent >> device >> root >> target;
    if (unescape(target) != path) continue;
    while (fields >> field && field != "-") {
    }
    fields >> type;
    topmost = {type.empty() ? "unknown" : type, device};
  }
  return topmost;
}

std::string mounted_type(const std::string& path) { return mounted_at(path).type; }

// The absolute path without symbolic links, where only the last component may be a dead mount.
std::string resolve(const std::string& path) {
  char buffer[PATH_MAX];
  if (::realpath(path.c_str(), buffer) != nullptr) return buffer;
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') trimmed.pop_back();
  const size_t slash = trimmed.rfind('/');
  const std::string parent = slash == std::string::npos ? "." : trimmed.substr(0, slash + 1);
  const std::string last = slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  if (::realpath(parent.c_str(), buffer) == nullptr) return path;
  const std::string directory = buffer;
  return directory == "/" ? "/" + last : directory + "/" + last;
}

bool is_empty(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return true;
  bool empty = true;
  while (const dirent* entry = ::readdir(directory))
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
      empty = false;
  ::closedir(directory);
  return empty;
}

bool has_fusermount() {
  const char* search = std::getenv("PATH");
  std::istringstream directories(search != nullptr ? search : "/usr/bin:/bin");
  std::string directory;
  while (std::getline(directories, directory, ':'))
    if (::access((directory + "/fusermount3").c_str(), X_OK) == 0) return true;
  return false;
}

bool check_device(std::string* why) {
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  if (fd >= 0) {
    ::close(fd);
  } else if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
    *why =
        "there is no /dev/fuse: load the module (modprobe fuse), or give the container the "
        "device (--device /dev/fuse --cap-add SYS_ADMIN)";
    return false;
  } else {
    *why =
        fmt::format("cannot open /dev/fuse: {}{}", std::strerror(errno),
                    errno == EACCES ? "; as root, let everyone use it: chmod 666 /dev/fuse" : "");
    return false;
  }
  if (is_root() || has_fusermount()) return true;
  *why = "there is no fusermount3, which an ordinary user needs to mount: apt-get install fuse3";
  return false;
}

}  // namespace

bool prepare_mount_point(const MountPointCheck& check, std::string* path, std::string* why) {
  if (!check_device(why)) return false;
  const std::string absolute = resolve(*path);
  struct stat status {};
  if (::stat(absolute.c_str(), &status) != 0 && errno == ENOTCONN) {
    const std::string type = mounted_type(absolute);
    if (type != "fuse.pairfs") {
      *why =
          fmt::format("{} holds a dead mount of something else ({}): detach it with: umount -l {}",
                      absolute, type, absolute);
      return false;
    }
    if (!check.replace) {
      *why = fmt::format(
          "{} holds a dead mount, whose pairfs-mount is gone: mount with --replace, or detach it "
          "with: umount -l {}",
          absolute, absolute);
      return false;
    }
    if (!unmount(absolute, true, why)) return false;
  }
  if (::stat(absolute.c_str(), &status) != 0) {
    *why = errno == ENOENT
               ? fmt::format("{} does not exist: make it with: mkdir -p {}", absolute, absolute)
               : fmt::format("cannot mount on {}: {}", absolute, std::strerror(errno));
    return false;
  }
  if (!S_ISDIR(status.st_mode)) {
    *why = fmt::format("{} is not a directory: choose one to mount on", absolute);
    return false;
  }
  if (!mounted_type(absolute).empty()) {
    *why =
        fmt::format("{} is a mount point already: unmount it first (umount {}), or choose another",
                    absolute, absolute);
    return false;
  }
  if (!check.nonempty_allowed && !is_empty(absolute)) {
    *why = fmt::format(
        "{} is not empty, and a mount would hide what is in it: choose another, or use -o nonempty",
        absolute);
    return false;
  }
  *path = absolute;
  return true;
}

bool unmount(const std::string& path, bool lazy, std::string* why) {
  if (is_root()) {
    if (::umount2(path.c_str(), UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return true;
    *why = fmt::format("cannot unmount {}: {}", path, std::strerror(errno));
    return false;
  }
  std::vector<std::string> words = {"fusermount3", "-u", "-q"};
  if (lazy) words.push_back("-z");
  words.push_back("--");
  words.push_back(path);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  pid_t child = 0;
  int status = -1;
  if (::posix_spawnp(&child, "fusermount3", nullptr, nullptr, arguments.data(), environ) == 0)
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  if (status == 0) return true;
  *why = fmt::format("cannot unmount {}: fusermount3 failed", path);
  return false;
}

void raise_read_ahead(const std::string& path, size_t bytes) {
  const std::string device = mounted_at(path).device;
  if (device.empty()) return;
  std::ofstream file("/sys/class/bdi/" + device + "/read_ahead_kb");
  file << bytes / 1024;
}

}  // namespace pairfs
