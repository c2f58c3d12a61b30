// pairfs-router: passes each command to the node that executes it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <stdexcept>

#include "common/config.h"
#include "common/ready_file.h"
#include "common/stop_signal.h"
#include "router/router_loop.h"

namespace {

int run(const pairfs::RouterSettings& settings) {
  using namespace pairfs;
  StopSignal stop;
  ReadyFile ready(settings.ready_file);
  std::unique_ptr<FileMapStore> store;
  if (!settings.map_dir.empty()) {
    std::string why;
    store = FileMapStore::open(settings.map_dir, &why);
    if (store == nullptr) {
      fmt::print(stderr, "pairfs-router: {}\n", why);
      return kExitUsage;
    }
  }
  Context context;
  std::unique_ptr<RouterLoop> loop;
  try {
    loop = std::make_unique<RouterLoop>(context, settings, std::move(store));
  } catch (const std::runtime_error& error) {
    fmt::print(stderr, "pairfs-router: {}\n", error.what());
    return kExitUsage;
  }
  if (!ready.announce(loop->endpoint())) {
    fmt::print(stderr, "pairfs-router: cannot write {}: {}\n", settings.ready_file,
               std::strerror(errno));
    return kExitUsage;
  }
  log_info("router.ready", "name={} endpoint={} map_endpoint={} insecure_network={}",
           printable(settings.name), loop->endpoint(), loop->map_endpoint(),
           settings.insecure_network);
  loop->run(stop.fd());
  log_info("router.stopped", "name={}", printable(settings.name));
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Passes each command of the pairfs clients to the node that executes it.");
  app.footer("Example: pairfs-router --config /etc/pairfs/r1.toml");
  std::string config;
  app.add_option("--config", config, "The router's TOML file")->required()->type_name("FILE");
  bool only_check = false;
  app.add_flag("--check", only_check, "Only say whether the configuration is right");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : pairfs::kExitUsage;
  }
  const auto settings = pairfs::read_router_settings(config);
  if (!settings) return pairfs::kExitUsage;
  if (only_check) return 0;
  std::string why;
  if (!pairfs::start_logging(settings->log, &why)) {
    fmt::print(stderr, "pairfs-router: {}\n", why);
    return pairfs::kExitUsage;
  }
  return run(*settings);
}
