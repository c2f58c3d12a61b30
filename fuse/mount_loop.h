// The loop of a mount: one thread that polls /dev/fuse and the routers' sockets, feeds ClientCore
// and the FUSE operations, and carries out what they want.
//
// It never touches the mounted path itself, which would wait for this very thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "common/embedded_router.h"
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
  // Makes the settings' subtree the root. Call between find_cluster() and mount(). False: `why` is
  // a sentence.
  bool enter_subtree(Duration limit, std::string* why);
  // Gives the root directory, if it is uid 0's, to who mounts. For a cluster that an ordinary user
  // made: nobody else could make the first file in it. As enter_subtree().
  bool take_root(Duration limit, std::string* why);
  // Routes inside this process from now on; the routers stay as a way out. Call after
  // find_cluster(). False: `why` is a sentence.
  bool embed_router(std::string* why);
  // False: `why` is a sentence. Returns when the kernel has opened the connection.
  bool mount(std::string* why);
  // Serves until unmounted or stopped; ends the sessions.
  void run();

 private:
  // Sends a command ahead of the mount and waits for its outcome. nullopt: none within the limit.
  template <class C>
  std::optional<Outcome<C>> ask(const C& command, Instant until);
  enum class Phase { kServing, kUnmounting, kDone };
  void step(Duration limit);
  void serve_sockets();
  void learn_routers();
  size_t add_router(const std::string& endpoint);
  void take_embedded_answers();
  void perform();
  void begin_unmount();
  void close_sessions();

  Context& context_;
  const MountSettings settings_;
  StopSignal& stop_;
  ClientCore core_;
  Mount mount_;
  std::vector<std::optional<Socket>> sockets_;  // of the routers, as ClientCore counts them; the
                                                // embedded one has none
  std::vector<std::string> endpoints_;          // likewise; empty: the embedded one
  uint64_t learned_version_ = 0;                // of the map that routers were learned from
  Poller poller_;
  std::unique_ptr<EmbeddedRouter> embedded_;
  size_t embedded_index_ = 0;
  std::unique_ptr<FuseDevice> device_;
  Phase phase_ = Phase::kServing;
  Instant unmount_until_{};
  std::jthread unmounter_;
};

}  // namespace pairfs
