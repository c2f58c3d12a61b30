// pairfs-node: reads its configuration, then serves its half of a pair.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "common/config.h"
#include "common/logging.h"
#include "node/node_loop.h"
#include "node/offline_check.h"

namespace pairfs {
namespace {

constexpr int kExitFailed = 1;

NodeConfig read_config(Config& file) {
  using namespace std::chrono_literals;
  NodeConfig c;
  c.name = file.required_string("name");
  c.cluster_id = file.required_identifier("cluster_id");
  c.state_dir = file.required_string("state_dir");
  c.listen = file.string("listen", "");
  c.link_listen = file.string("link_listen", "");
  c.element_listen = file.string("element_listen", "");
  c.map_endpoints = file.required_strings("map.endpoints");
  c.ready_file = file.string("ready_file", "");
  c.insecure_network = file.boolean("insecure_network", false);
  const std::string link = file.choice("link.kind", "zmq", {"zmq", "shm"});
  const std::string ring_dir = file.string("link.dir", "");
  if (link == "shm") {
    c.ring_dir = ring_dir;
    if (ring_dir.empty())
      file.problem("link.dir",
                   "expected a directory that both nodes reach, with link.kind = \"shm\"");
  }
  PairTimings& t = c.timings;
  t.lease = file.duration("pair.lease", t.lease, 20ms, 60s);
  t.heartbeat = file.duration("pair.heartbeat", t.heartbeat, 1ms, 10s);
  t.silence = file.duration("pair.silence", t.silence, 50ms, 300s);
  t.unsynced_max = file.duration("pair.unsynced_max", t.unsynced_max, 1ms, 60s);
  t.background_sync = file.duration("pair.background_sync", t.background_sync, 1ms, 60s);
  t.automatic_giveback = file.boolean("pair.automatic_giveback", t.automatic_giveback);
  t.giveback_delay = file.duration("pair.giveback_delay", t.giveback_delay, 0ms, 24h);
  t.giveback_delay_max = file.duration("pair.giveback_delay_max", t.giveback_delay_max, 0ms, 24h);
  c.stall_max = file.duration("pair.stall_max", c.stall_max, 1s, 300s);
  if (t.heartbeat * 2 > t.lease)
    file.problem("pair.heartbeat", "expected at most half of pair.lease");
  if (t.lease * 2 > t.silence) file.problem("pair.silence", "expected at least twice pair.lease");
  c.log_segment_bytes = file.size_bytes("log_segment", c.log_segment_bytes, 1 << 20, 1 << 30);
  c.checkpoint_log_bytes =
      file.size_bytes("checkpoint.log_size", c.checkpoint_log_bytes, 1 << 20, 256 << 20);
  c.checkpoint_interval = file.duration("checkpoint.interval", c.checkpoint_interval, 100ms, 10s);
  c.replay_max = file.duration("checkpoint.replay_max", c.replay_max, 1ms, 60s);
  return c;
}

int serve(const std::string& config_path, bool only_check, const OfflineCheck& fsck) {
  Config file = Config::load_file(config_path);
  NodeConfig config = read_config(file);
  const LogSettings log_settings = read_log_settings(file);
  if (!file.finish(stderr)) return kExitUsage;
  if (only_check) return 0;
  std::string why;
  if (!start_logging(log_settings, &why)) {
    std::fprintf(stderr, "pairfs-node: %s\n", why.c_str());
    return kExitUsage;
  }
  if (!fsck.volume.empty()) return check_offline(config, fsck);
  StopSignal stop;
  std::error_code error;
  std::filesystem::create_directories(config.state_dir, error);
  if (!error)
    std::filesystem::permissions(config.state_dir, std::filesystem::perms::owner_all, error);
  if (error) {
    std::fprintf(stderr, "pairfs-node: cannot use the state directory %s: %s\n",
                 config.state_dir.c_str(), error.message().c_str());
    return kExitUsage;
  }
  // A node that misses its turns looks like a dead one to its partner. Where it may, it goes first.
  ::setpriority(PRIO_PROCESS, 0, -10);
  NodeLoop loop(std::move(config), stop);
  const int code = loop.run();
  if (code == kExitFailed) {  // nothing that a worker still does may be waited for
    std::fflush(nullptr);
    std::_Exit(code);
  }
  return code;
}

}  // namespace
}  // namespace pairfs

int main(int argc, char** argv) {
  CLI::App app{"pairfs-node: one node of a highly available pair", "pairfs-node"};
  app.footer("Example:\n  pairfs-node --config var/1a/node.toml");
  std::string config;
  app.add_option("--config", config, "the node's configuration file (TOML)")->required();
  bool only_check = false;
  app.add_flag("--check", only_check, "only say whether the configuration is right");
  pairfs::OfflineCheck fsck;
  auto* volume =
      app.add_option("--fsck", fsck.volume, "check this volume while no node serves it, and end");
  app.add_flag("--repair", fsck.repair, "with --fsck: mend what is good elsewhere")->needs(volume);
  app.add_flag("--only-log", fsck.only_log, "with --fsck: only this node's log")->needs(volume);
  volume->needs(
      app.add_option("--report", fsck.report_path, "with --fsck: the file for what was found"));
  app.set_version_flag("--version", "pairfs-node " PAIRFS_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : pairfs::kExitUsage;
  }
  return pairfs::serve(config, only_check, fsck);
}
