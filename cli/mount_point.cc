#include "cli/mount_point.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <thread>

#include "cli/process.h"

namespace pairfs::cli {
namespace {

// /proc/self/mountinfo writes space, tab, newline and backslash as \ooo.
std::string unescape(const std::string& text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 3 < text.size()) {
      plain += static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8));
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::optional<fs::path> find_fusermount() {
  auto found = find_program("fusermount3");
  if (!found.ok()) return std::nullopt;
  return *found;
}

Trouble busy(const fs::path& path) {
  std::string names;
  for (const std::string& user : users_of(path, 5)) names += (names.empty() ? "" : ", ") + user;
  return failed("{} is busy{}; end its users and try again, or use --force", path.string(),
                names.empty() ? "" : ": used by " + names);
}

// As an ordinary user, through the setuid helper.
Trouble unmount_as_user(const fs::path& path, bool lazy) {
  const auto helper = find_fusermount();
  if (!helper)
    return refused("fusermount3 is needed to unmount as an ordinary user; install fuse3");
  std::vector<std::string> arguments = {"-u", "-q"};
  if (lazy) arguments.push_back("-z");
  arguments.push_back("--");
  arguments.push_back(path.string());
  if (run_quietly(*helper, arguments) == 0) return std::nullopt;
  if (!mounted_at(path)) return std::nullopt;
  return busy(path);
}

bool write_abort(const fs::path& connections, unsigned number) {
  const int fd =
      ::open((connections / std::to_string(number) / "abort").c_str(), O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool told = ::write(fd, "1", 1) == 1;
  ::close(fd);
  return told;
}

// Ends what waits in the connection, through the kernel's control filesystem, which in a container
// is often not mounted: then root mounts it for as long as this takes.
void abort_connection(unsigned number) {
  if (write_abort("/sys/fs/fuse/connections", number) || ::geteuid() != 0) return;
  char directory[] = "/tmp/pairfs-abort-XXXXXX";
  if (::mkdtemp(directory) == nullptr) return;
  if (::mount("none", directory, "fusectl", MS_NOSUID | MS_NOEXEC | MS_NODEV, nullptr) == 0) {
    write_abort(directory, number);
    ::umount2(directory, MNT_DETACH);
  }
  ::rmdir(directory);
}

}  // namespace

std::optional<Mounted> mounted_at(const fs::path& path) {
  // "36 35 98:0 /root /mount/point options [optional]* - type source superoptions"
  std::istringstream lines(read_file("/proc/self/mountinfo").value_or(""));
  std::optional<Mounted> found;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, point, field;
    fields >> id >> parent >> device >> root >> point;
    if (unescape(point) != path.string()) continue;
    while (fields >> field && field != "-") {
    }
    Mounted mounted;
    fields >> mounted.type >> mounted.source;
    mounted.source = unescape(mounted.source);
    const size_t colon = device.find(':');
    mounted.device_minor =
        static_cast<unsigned>(std::strtoul(device.c_str() + colon + 1, nullptr, 10));
    found = mounted;
  }
  return found;
}

Answer probe(const fs::path& path, int timeout_ms) {
  const std::string name = path.string();
  const pid_t child = ::fork();
  if (child < 0) return Answer::kSilent;
  if (child == 0) {
    struct stat attributes {};
    ::_exit(::stat(name.c_str(), &attributes) == 0 ? 0 : errno);
  }
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  int status = 0;
  while (::waitpid(child, &status, WNOHANG) == 0) {
    if (std::chrono::steady_clock::now() > deadline) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, WNOHANG);
      return Answer::kSilent;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  if (!WIFEXITED(status)) return Answer::kSilent;
  const int error = WEXITSTATUS(status);
  return error == ENOTCONN || error == ECONNABORTED ? Answer::kDead : Answer::kAlive;
}

Trouble unmount(const fs::path& path, Force force) {
  const auto mounted = mounted_at(path);
  if (!mounted) return refused("nothing is mounted at {}", path.string());
  if (::geteuid() != 0) {
    if (Trouble trouble = unmount_as_user(path, force != Force::kNo)) return trouble;
  } else if (::umount2(path.c_str(), UMOUNT_NOFOLLOW | (force == Force::kNo ? 0 : MNT_DETACH)) !=
             0) {
    if (errno == EBUSY) return busy(path);
    return failed("{} cannot be unmounted: {}", path.string(), std::strerror(errno));
  }
  if (force == Force::kAbort) abort_connection(mounted->device_minor);
  return std::nullopt;
}

Trouble check_fuse_available() {
  const int fd = ::open("/dev/fuse", O_RDWR | O_CLOEXEC);
  struct stat device {};
  if (fd < 0 || ::fstat(fd, &device) != 0 || !S_ISCHR(device.st_mode)) {
    const int reason = fd < 0 ? errno : ENODEV;
    if (fd >= 0) ::close(fd);
    if (reason == EACCES)
      return refused(
          "/dev/fuse may not be used by this user; as root, let everyone use it:"
          " chmod 666 /dev/fuse");
    return refused(
        "/dev/fuse cannot be used ({}); load the kernel module (modprobe fuse), or start"
        " the container with --device /dev/fuse --cap-add SYS_ADMIN",
        std::strerror(reason));
  }
  ::close(fd);
  if (::geteuid() != 0 && !find_fusermount())
    return refused("fusermount3 is needed to mount as an ordinary user; install the package fuse3");
  return std::nullopt;
}

Trouble check_mount_point(const fs::path& path, bool may_be_pairfs) {
  if (const auto mounted = mounted_at(path)) {
    if (mounted->is_pairfs() && may_be_pairfs) return std::nullopt;
    return refused("{} is already a mount point (of {}); unmount it, or name another directory",
                   path.string(), mounted->type);
  }
  boost::system::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status)) {
    if (fs::is_directory(path.parent_path(), error)) return std::nullopt;
    return refused("the directory {} for the mount point is not there",
                   path.parent_path().string());
  }
  if (!fs::is_directory(status)) return refused("{} is not a directory", path.string());
  if (!fs::is_empty(path, error) || error)
    return refused("{} is not an empty directory; a mount would hide what is in it", path.string());
  return std::nullopt;
}

}  // namespace pairfs::cli
