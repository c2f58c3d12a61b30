// Where the daemons of a local cluster listen: short ipc paths or free tcp ports of 127.0.0.1,
// chosen once, when the cluster is made. Any thread.
#pragma once

#include <string>
#include <vector>

#include "cli/files.h"

namespace pairfs::cli {

// The directory of a cluster's ipc sockets: short however deep the cluster is, and its own.
fs::path runtime_directory_for(const fs::path& cluster_directory);

// Makes it (0700), as it may be gone since the last boot. Refused when something there is not a
// directory that belongs to this user alone.
Trouble prepare_runtime_directory(const fs::path& directory);

// `count` different ports that nobody listens on now.
Outcome<std::vector<uint16_t>> choose_free_ports(size_t count);

// Refused when `endpoint` is a tcp port of this machine that somebody listens on already.
Trouble check_port_free(const std::string& endpoint, const std::string& owner);

}  // namespace pairfs::cli
