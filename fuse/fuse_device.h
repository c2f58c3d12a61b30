// The kernel's side of a mount: makes the FUSE session, mounts it, reads requests from /dev/fuse
// and passes each to its operation. Unmounting: mount_point.h. One thread.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "fuse/buffer_pool.h"
#include "fuse/mount.h"

namespace pairfs {

class FuseDevice {
 public:
  // `options` are mount options ("allow_other", "ro", "fsname=pairfs" ...). nullptr: `why` is a
  // sentence. `mount` must outlive the device.
  static std::unique_ptr<FuseDevice> open(Mount& mount, const std::string& path,
                                          const std::vector<std::string>& options,
                                          std::string* why);
  ~FuseDevice();
  FuseDevice(const FuseDevice&) = delete;
  FuseDevice& operator=(const FuseDevice&) = delete;

  int fd() const;
  // Reads and starts up to `count_max` requests. False: the filesystem has been unmounted.
  bool process(size_t count_max);
  // The kernel has said INIT and been answered: operations can come.
  bool initialised() const { return initialised_; }

 private:
  FuseDevice(Mount& mount, std::string path);
  // libfuse's hooks; user_data is the Mount.
  static ssize_t write_reply(int fd, iovec* reply, int count, void* user_data);
  static ssize_t read_request(int fd, void* buffer, size_t length, void* user_data);

  Mount& mount_;
  std::string path_;
  fuse_session* session_ = nullptr;
  std::shared_ptr<BufferPool> buffers_;
  bool initialised_ = false;
};

}  // namespace pairfs
