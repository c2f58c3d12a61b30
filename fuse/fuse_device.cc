#include "fuse/fuse_device.h"

#include <fcntl.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstring>

#include "common/ensure.h"
#include "common/logging.h"
#include "fuse/raw_request.h"

namespace pairfs {
namespace {

constexpr unsigned kRequestsMax = 256;  // asynchronous ones that the kernel sends at once
constexpr size_t kHeaderBytesMax = 64 << 10;

void init(void* userdata, fuse_conn_info* connection) {
  const auto want = [&](unsigned capability, bool wanted) {
    if (wanted)
      connection->want |= capability & connection->capable;
    else
      connection->want &= ~capability;
  };
  want(FUSE_CAP_POSIX_LOCKS, true);
  want(FUSE_CAP_FLOCK_LOCKS, true);
  // A change of mtime or size drops the cached pages: what other mounts wrote is seen.
  want(FUSE_CAP_AUTO_INVAL_DATA, true);
  want(FUSE_CAP_READDIRPLUS, true);
  want(FUSE_CAP_READDIRPLUS_AUTO, true);
  want(FUSE_CAP_PARALLEL_DIROPS, true);
  want(FUSE_CAP_ASYNC_READ, true);
  want(FUSE_CAP_ASYNC_DIO, true);
  // The executor knows whether a default ACL takes the umask's place.
  want(FUSE_CAP_DONT_MASK, true);
  want(FUSE_CAP_ATOMIC_O_TRUNC, false);
  want(FUSE_CAP_POSIX_ACL, static_cast<const Mount*>(userdata)->settings.kernel_permissions);
  want(FUSE_CAP_WRITEBACK_CACHE, false);
  want(FUSE_CAP_CACHE_SYMLINKS, false);
  want(FUSE_CAP_EXPORT_SUPPORT, false);  // a forgotten node's generation is not known
  want(FUSE_CAP_SPLICE_READ, false);
  want(FUSE_CAP_SPLICE_WRITE, false);
  connection->max_write = kIoMaxBytes;
  connection->max_background = kRequestsMax;
  connection->congestion_threshold = kRequestsMax * 3 / 4;
  connection->time_gran = 1;
}

fuse_lowlevel_ops make_operations() {
  fuse_lowlevel_ops operations{};
  operations.init = init;
  add_name_operations(operations);
  add_attribute_operations(operations);
  add_file_operations(operations);
  add_directory_operations(operations);
  add_xattr_operations(operations);
  add_lock_operations(operations);
  return operations;
}

// libfuse and fusermount3 take a comma for an option's end.
std::string escaped(const std::string& option) {
  std::string out;
  for (const char c : option) {
    if (c == ',' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

// What libfuse and fusermount3 say about a mount that fails, for the sentence.
std::string* mount_messages = nullptr;

void take_message(fuse_log_level level, const char* format, va_list arguments) {
  char text[512];
  std::vsnprintf(text, sizeof text, format, arguments);
  std::string line = text;
  while (!line.empty() && line.back() == '\n') line.pop_back();
  if (mount_messages != nullptr) {
    if (!mount_messages->empty()) *mount_messages += "; ";
    *mount_messages += line;
  } else if (level <= FUSE_LOG_ERR) {
    log_warn("fuse.message", "text=\"{}\"", printable(line));
  }
}

}  // namespace

FuseDevice::FuseDevice(Mount& mount, std::string path)
    : mount_(mount),
      path_(std::move(path)),
      buffers_(std::make_shared<BufferPool>(kIoMaxBytes + kHeaderBytesMax)) {}

std::unique_ptr<FuseDevice> FuseDevice::open(Mount& mount, const std::string& path,
                                             const std::vector<std::string>& options,
                                             std::string* why) {
  std::unique_ptr<FuseDevice> device(new FuseDevice(mount, path));
  std::string joined;
  for (const std::string& option : options) joined += (joined.empty() ? "" : ",") + escaped(option);
  std::string arguments[] = {"pairfs-mount", "-o", joined};
  char* pointers[] = {arguments[0].data(), arguments[1].data(), arguments[2].data(), nullptr};
  fuse_args args = FUSE_ARGS_INIT(3, pointers);
  static const fuse_lowlevel_ops kOperations = make_operations();
  std::string messages;
  mount_messages = &messages;
  fuse_set_log_func(take_message);
  device->session_ = fuse_session_new(&args, &kOperations, sizeof kOperations, &mount);
  const bool mounted =
      device->session_ != nullptr && fuse_session_mount(device->session_, path.c_str()) == 0;
  mount_messages = nullptr;
  fuse_opt_free_args(&args);
  if (!mounted) {
    *why = fmt::format("cannot mount on {}: {}", path,
                       messages.empty() ? std::strerror(errno) : messages);
    if (device->session_ != nullptr) fuse_session_destroy(device->session_);
    device->session_ = nullptr;
    return nullptr;
  }
  fuse_custom_io io{};
  io.writev = write_reply;
  io.read = read_request;
  const int fd = fuse_session_fd(device->session_);
  ENSURE(fuse_session_custom_io(device->session_, &io, fd) == 0, "custom io");
  ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  return device;
}

FuseDevice::~FuseDevice() {
  // Closes the descriptor, which ends the connection. Unmounting is the loop's business.
  if (session_ != nullptr) fuse_session_destroy(session_);
}

int FuseDevice::fd() const { return fuse_session_fd(session_); }

bool FuseDevice::process(size_t count_max) {
  for (size_t i = 0; i < count_max; ++i) {
    if (fuse_session_exited(session_)) return false;
    auto buffer = buffers_->take();
    const ssize_t length = ::read(fd(), buffer.get(), buffers_->buffer_bytes());
    if (length < 0) {
      if (errno == EAGAIN) return true;
      if (errno == EINTR || errno == ENOENT) continue;  // ENOENT: interrupted before it was read
      if (errno != ENODEV) log_error("fuse.read", "error=\"{}\"", std::strerror(errno));
      return false;  // ENODEV: unmounted
    }
    const BytesView octets(buffer.get(), static_cast<size_t>(length));
    mount_.raw_request = SharedBytes(buffer, octets);
    mount_.statistics.count_request(octets);
    fuse_buf request{};
    request.mem = buffer.get();
    request.size = octets.size();
    fuse_session_process_buf(session_, &request);
    mount_.raw_request = {};
    // The first request is INIT; libfuse answers it at once.
    initialised_ = true;
  }
  return true;
}

// Every answer passes here. That to INIT is given while INIT is being processed.
ssize_t FuseDevice::write_reply(int fd, iovec* reply, int count, void* user_data) {
  const auto& mount = *static_cast<Mount*>(user_data);
  if (offers_kill_privileges(mount.raw_request.view())) accept_kill_privileges(reply, count);
  return ::writev(fd, reply, count);
}

ssize_t FuseDevice::read_request(int fd, void* buffer, size_t length, void*) {
  return ::read(fd, buffer, length);
}

}  // namespace pairfs
