#include "test/posix/fsx/world.h"

#include <fcntl.h>
#include <grp.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace pairfs::fsx {
namespace {

struct Identity {
  uid_t uid;
  gid_t gid;
  std::vector<gid_t> groups;
};

const Identity& identity(int user) {
  static const Identity kUsers[] = {
      {0, 0, {}}, {61001, 61001, {61500}}, {61002, 61001, {}}, {61004, 61004, {61400, 61001}}};
  return kUsers[user];
}

// Effective ids of a user until the end of the scope.
class Acting {
 public:
  explicit Acting(int user) : active_(user != 0) {
    if (!active_) return;
    const Identity& who = identity(user);
    if (::setgroups(who.groups.size(), who.groups.data()) != 0 || ::setegid(who.gid) != 0 ||
        ::seteuid(who.uid) != 0) {
      std::perror("cannot become another user");
      std::abort();
    }
  }
  Acting(const Acting&) = delete;
  Acting& operator=(const Acting&) = delete;
  ~Acting() {
    if (active_ && (::seteuid(0) != 0 || ::setegid(0) != 0 || ::setgroups(0, nullptr) != 0)) {
      std::abort();
    }
  }

 private:
  bool active_;
};

std::string parent_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? path : path.substr(0, slash);
}

std::optional<struct stat> lstat_of(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return std::nullopt;
  return status;
}

bool uses_slot(Kind kind) { return kind >= Kind::close && kind <= Kind::range_lock; }

}  // namespace

Outcome outcome_of(long result) {
  Outcome outcome;
  outcome.result = result;
  outcome.error = result == -1 ? errno : 0;
  return outcome;
}

std::string outcome_text(const Outcome& outcome) {
  std::string text =
      outcome.result == -1 ? strerrorname_np(outcome.error) : std::to_string(outcome.result);
  if (!outcome.bytes.empty()) {
    const bool printable = outcome.bytes.size() < 200 &&
                           outcome.bytes.find_first_not_of(
                               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                               " .:;,/_-=+()<>'") == std::string::npos;
    text += " [" + (printable ? outcome.bytes : hash_text(outcome.bytes)) + "]";
  }
  return text + (outcome.detail.empty() ? "" : "\n      " + outcome.detail);
}

World::World(std::vector<std::string> mounts, SnapshotOptions options, Plant plant)
    : mounts_(std::move(mounts)), options_(options), plant_(plant) {
  slots_.fill(-1);
}

World::~World() { close_all(); }

void World::close_all() {
  for (int& fd : slots_) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
}

std::string World::full(const Op& op, const std::string& relative) const {
  return mounts_[static_cast<size_t>(op.mount)] + "/" + relative;
}

std::map<std::string, std::string> World::tree(size_t mount) const {
  return tree_text(mounts_[mount], options_);
}

std::vector<std::optional<struct stat>> World::look(const Op& op) const {
  std::vector<std::optional<struct stat>> seen;
  if (!op.path.empty()) {
    seen.push_back(lstat_of(full(op, op.path)));
    seen.push_back(lstat_of(parent_of(full(op, op.path))));
  }
  if (!op.path2.empty() && op.kind != Kind::symlink) {
    seen.push_back(lstat_of(full(op, op.path2)));
    seen.push_back(lstat_of(parent_of(full(op, op.path2))));
  }
  for (const int slot : {op.slot, op.other_slot}) {
    // A descriptor that open replaces has nothing to do with the one before.
    if (op.kind == Kind::open && slot == op.slot) continue;
    struct stat status {};
    const int fd = slots_[static_cast<size_t>(slot)];
    if (fd >= 0 && ::fstat(fd, &status) == 0) {
      seen.emplace_back(status);
    } else {
      seen.emplace_back();
    }
  }
  return seen;
}

Outcome World::play(const Op& op) {
  const auto before = look(op);
  Outcome outcome = perform(op);
  spoil(op, outcome);
  const auto after = look(op);
  for (size_t i = 0; i < after.size(); ++i) {
    if (before[i] || after[i]) outcome.detail += change_text(before[i], after[i], options_) + "; ";
  }
  return outcome;
}

Outcome World::perform(const Op& op) {
  const int fd = slots_[static_cast<size_t>(op.slot)];
  if (uses_slot(op.kind) && fd < 0) return {};
  if (op.kind == Kind::close) {
    slots_[static_cast<size_t>(op.slot)] = -1;
    return outcome_of(::close(fd));
  }
  if (op.kind == Kind::umask) {
    ::umask(op.mode);
    return {};
  }
  Acting acting(op.user);
  if (op.kind == Kind::open) return open(op);
  if (uses_slot(op.kind)) {
    return play_on_descriptor(op, fd, slots_[static_cast<size_t>(op.other_slot)]);
  }
  return play_on_name(op, full(op, op.path),
                      op.kind == Kind::symlink ? op.path2 : full(op, op.path2));
}

Outcome World::open(const Op& op) {
  int& slot = slots_[static_cast<size_t>(op.slot)];
  if (slot >= 0) ::close(slot);
  slot = ::open(full(op, op.path).c_str(), op.flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, op.mode);
  Outcome outcome = outcome_of(slot < 0 ? -1 : 0);
  struct stat status {};
  if (slot >= 0 && ::fstat(slot, &status) == 0) outcome.detail = stat_text(status, options_) + "; ";
  return outcome;
}

// Does on purpose what a broken filesystem would do by mistake, when the moment is right.
void World::spoil(const Op& op, Outcome& outcome) {
  if (plant_ == Plant::none || outcome.result == -1) return;
  const int fd = slots_[static_cast<size_t>(op.slot)];
  const std::string path = full(op, op.path);
  struct stat status {};
  if (plant_ == Plant::flip_byte && op.kind == Kind::pwrite && op.length > 4096 && fd >= 0) {
    const char byte = 'X';
    if (::pwrite(fd, &byte, 1, op.offset + 4095) < 0) return;
  }
  if (plant_ == Plant::stale_hole && op.kind == Kind::ftruncate && fd >= 0 && op.length > 5000) {
    if (::pwrite(fd, "old", 3, op.length - 3) < 0) return;
  }
  if (plant_ == Plant::lose_mode_bit && op.kind == Kind::chmod && (op.mode & 02000) != 0) {
    if (::lstat(path.c_str(), &status) == 0 && !S_ISLNK(status.st_mode)) {
      ::chmod(path.c_str(), status.st_mode & 05777);
    }
  }
  if (plant_ == Plant::forget_unlink && op.kind == Kind::unlink) {
    ::mknod(path.c_str(), S_IFREG | 0644, 0);
  }
  if (plant_ == Plant::wrong_errno && op.kind == Kind::rmdir) outcome = {-1, EEXIST, "", ""};
  if (plant_ == Plant::keep_mtime && op.kind == Kind::truncate) {
    const timespec times[2] = {{0, UTIME_OMIT}, {1, 1}};
    ::utimensat(AT_FDCWD, path.c_str(), times, 0);
  }
}

}  // namespace pairfs::fsx
