#include "router/router_config.h"

#include "common/config.h"
#include "common/network_policy.h"

namespace pairfs {
namespace {

void check_listen(Config& config, const char* key, const std::string& endpoint, bool insecure) {
  if (endpoint.empty()) return;
  if (const auto refusal = refuse_listen(endpoint, insecure)) config.problem(key, *refusal);
}

}  // namespace

std::optional<RouterSettings> read_router_settings(const std::string& path) {
  Config config = Config::load_file(path);
  RouterSettings settings;
  settings.name = config.required_string("name");
  settings.cluster_id = config.required_identifier("cluster_id");
  settings.listen = config.required_string("listen");
  settings.map_dir = config.string("map.dir", "");
  settings.map_listen = config.string("map.listen", "");
  settings.map_endpoints = config.strings("map.endpoints");
  settings.ready_file = config.string("ready_file", "");
  settings.insecure_network = config.boolean("insecure_network", false);
  settings.log = read_log_settings(config);

  check_listen(config, "listen", settings.listen, settings.insecure_network);
  check_listen(config, "map.listen", settings.map_listen, settings.insecure_network);
  if (settings.map_dir.empty() != settings.map_listen.empty())
    config.problem(settings.map_dir.empty() ? "map.listen" : "map.dir",
                   "map.dir and map.listen belong together: a router that holds the map has both");
  if (settings.map_dir.empty() && settings.map_endpoints.empty())
    config.problem("map.endpoints",
                   "no map; expected map.endpoints, the list of places where it is served, or "
                   "map.dir and map.listen for a router that holds it");
  if (!config.finish(stderr)) return std::nullopt;
  return settings;
}

}  // namespace pairfs
