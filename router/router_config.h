// A router's configuration file; every key is documented in docs/router.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/logging.h"

namespace pairfs {

struct RouterSettings {
  std::string name;
  uint64_t cluster_id = 0;
  std::string listen;                      // where clients reach it
  std::string map_dir;                     // of the map that it holds; empty: it holds none
  std::string map_listen;                  // where it serves that map
  std::vector<std::string> map_endpoints;  // where the map is; empty: its own
  std::string ready_file;                  // empty: none
  bool insecure_network = false;
  LogSettings log;
};

// nullopt: each problem was printed to stderr, as file, line and what was expected.
std::optional<RouterSettings> read_router_settings(const std::string& path);

}  // namespace pairfs
