// A local cluster's directory: what is where in it, and the file DIR/cluster.toml that makes it
// one. Knows nothing of what runs. Any thread.
//
//   DIR/cluster.toml      who is in the cluster; the last thing that its creation writes
//   DIR/r1 ..., DIR/1a ...  one directory per daemon: its configuration, log, pid, ready file,
//   state DIR/mount             the same for the mount DIR/elements/1.0-e0   the storage elements
//   DIR/link              what partners copy to each other through memory (link = "shm")
//   DIR/supervisor.*      the supervisor's settings, pid and log
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cli/files.h"

namespace pairfs::cli {

inline constexpr int64_t kFormatVersion = 2;

struct Daemon {
  enum class Kind { kRouter, kNode, kMount };
  Kind kind;
  std::string name;     // "r1", "1a", "mount"
  std::string program;  // "pairfs-router" ...
  fs::path directory;
  fs::path config() const;
  fs::path log() const { return directory / "log"; }
  fs::path pid_file() const { return directory / "pid"; }
  fs::path ready_file() const { return directory / "ready"; }
  fs::path last_exit() const { return directory / "last_exit"; }  // how it ended, for people
};

struct Cluster {
  fs::path directory;  // canonical
  uint64_t id = 0;
  std::string transport = "ipc";
  std::string link = "zmq";  // of the nodes of a pair: zmq or shm
  unsigned raid_level = 1;
  std::string reach = "dir";   // of the elements: dir or partner
  fs::path runtime_directory;  // of ipc sockets; empty with tcp
  std::vector<std::string> routers;
  std::vector<std::string> nodes;
  std::vector<std::string> router_endpoints;  // as routers

  std::vector<Daemon> daemons() const;  // routers, then nodes; not the mount
  Daemon mount() const;
  fs::path link_directory() const { return directory / "link"; }
  fs::path supervisor_pid() const { return directory / "supervisor.pid"; }
  fs::path supervisor_log() const { return directory / "supervisor.log"; }
  fs::path lock() const { return directory / "lock"; }
  fs::path supervisor_settings() const { return directory / "supervisor.toml"; }
};

enum class DirectoryKind {
  kEmpty,       // absent, or only incidental things in it
  kCluster,     // cluster.toml is there
  kUnfinished,  // a creation of this program was interrupted
  kForeign,     // something else
};
// A file that says nothing about the directory: lost+found, and the lock that `up` and `down` hold.
bool is_incidental(const fs::path& file);
DirectoryKind look_at(const fs::path& directory);
inline fs::path unfinished_mark(const fs::path& directory) {
  return directory / "cluster.toml.unfinished";
}

// Refused when the directory holds no cluster, or one that another version made.
Outcome<Cluster> read_cluster(const fs::path& directory);
Trouble write_cluster(const Cluster& cluster);

// What the supervisor keeps up beside the daemons.
struct SupervisorSettings {
  fs::path mount;             // canonical; empty: nothing is mounted
  std::string mount_options;  // as after -o
  bool restart = true;
};
Outcome<SupervisorSettings> read_supervisor_settings(const Cluster& cluster);
Trouble write_supervisor_settings(const Cluster& cluster, const SupervisorSettings& settings);

}  // namespace pairfs::cli
