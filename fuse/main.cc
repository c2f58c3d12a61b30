// pairfs-mount: mounts a pairfs filesystem and serves it to the kernel.
#include <fmt/ranges.h>

#include <stdexcept>

#include "common/config.h"
#include "common/ready_file.h"
#include "fuse/daemonise.h"
#include "fuse/mount_loop.h"
#include "fuse/mount_point.h"

namespace {

constexpr pairfs::Duration kRouterLimit = std::chrono::seconds(5);

int run(pairfs::MountSettings settings, pairfs::StartReport& report) {
  using namespace pairfs;
  const auto fail = [&](const std::string& why) {
    report.failed(why);
    return kExitUsage;
  };
  std::string why;
  if (!prepare_mount_point({settings.nonempty, settings.replace}, &settings.path, &why))
    return fail(why);
  if (!start_logging(settings.log, &why)) return fail(why);
  StopSignal stop;
  ReadyFile ready(settings.ready_file);
  try {
    Context context;
    MountLoop loop(context, settings, stop);
    if (!loop.find_cluster(settings.wait ? Duration::max() : kRouterLimit)) {
      if (stop.requested()) return fail("stopped before the mount was ready");
      return fail(fmt::format(
          "no router answers at {}: check that the cluster is up, or wait for it with -o wait",
          fmt::join(settings.routers, ", ")));
    }
    if (settings.embedded_router && !loop.embed_router(&why)) return fail(why);
    if (!loop.enter_subtree(settings.wait ? Duration::max() : kRouterLimit, &why)) return fail(why);
    if (settings.own_root && !loop.take_root(settings.wait ? Duration::max() : kRouterLimit, &why))
      return fail(why);
    if (!loop.mount(&why)) return fail(why);
    if (!ready.announce(settings.path))
      log_warn("ready_file.failed", "path={}", printable(settings.ready_file));
    log_info("mount.ready", "path={} routers={}", printable(settings.path),
             fmt::join(settings.routers, ","));
    report.ready();
    loop.run();
  } catch (const std::runtime_error& error) {
    return fail(error.what());
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  int exit_code = 0;
  auto settings = pairfs::read_mount_settings(argc, argv, &exit_code);
  if (!settings) return exit_code;
  if (settings->fake) return 0;
  // In the background it has a stderr only until it is mounted: that of a person, or of mount(8).
  if (settings->log.file.empty() && !settings->foreground) settings->log.level = "warn";
  pairfs::StartReport report(!settings->foreground);
  return run(std::move(*settings), report);
}
