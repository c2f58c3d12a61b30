// The loop of a mount: one thread that polls /dev/fuse and the routers' sockets, feeds ClientCore
// and the FUSE operations, and carries out what they want.
//
// It never touches the mounted path itself, which would wait for this very thread.
#pragma once

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/stop_signal.h"
#include "common/transport.h"
#include "fuse/client_core.h"
#include "fuse/fuse_device.h"
#include "fuse/mount.h"
#include "fuse/mount_settings.h"

namespace pairfs {

class MountLoop {
 public:
  // Throws std::runtime_error with a sentence when a router's endpoint is malformed.
  MountLoop(Context& context, const MountSettings& settings, StopSignal& stop);
  ~MountLoop();

  // Waits until a router has told the map. False: none did within `limit`, or a stop was asked for.
  bool find_cluster(Duration limit);
  // False: `why` is a sentence. Returns when the kernel has opened the connection.
  bool mount(std::string* why);
  // Serves until unmounted or stopped; ends the sessions.
  void run();

 private:
  enum class Phase { kServing, kUnmounting, kDone };
  void step(Duration limit);
  void serve_sockets();
  void perform();
  void begin_unmount();
  void close_sessions();

  const MountSettings settings_;
  StopSignal& stop_;
  ClientCore core_;
  Mount mount_;
  std::vector<Socket> sockets_;
  Poller poller_;
  std::unique_ptr<FuseDevice> device_;
  Phase phase_ = Phase::kServing;
  Instant unmount_until_{};
  std::jthread unmounter_;
};

}  // namespace pairfs
