// What pairfs-mount is told: command line, -o options, and the TOML file of --config. Bad input
// ends in sentences, before anything is started. The file:
//   routers = ["tcp://router1:7400", "router2:7400"]
//   subtree = "/projects"             # mount what is below this directory only
//   mountpoint = "/mnt/pairfs"
//   options = "noatime,retry=60"      # as for -o
//   own_root = true                   # a root directory of uid 0 becomes the mounting user's
//   ready_file = "/run/pairfs/ready"  # common/ready_file.h
//   [log]                             # common/logging.h
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/logging.h"

namespace pairfs {

struct MountSettings {
  std::vector<std::string> routers;  // endpoints
  std::string subtree;               // "/a/b": the directory that becomes the root; empty: all
  std::string path;                  // of the mount point
  bool allow_other = false;          // others than the one who mounts may use it
  bool kernel_permissions = false;   // the kernel checks permissions too (default_permissions)
  bool read_only = false;
  bool update_atime = true;
  bool cache = true;          // answers what it holds leases on
  bool write_behind = false;  // answers writes before they are executed, where it is alone
  bool wait = false;          // for a router, however long it takes
  bool nonempty = false;      // the mount point may have entries, which it hides
  std::optional<Duration> retry_limit;  // nullopt: for ever
  std::string fsname;  // as what the mount table shows it: by default its routers and subtree
  std::vector<std::string> kernel_options;  // passed on: "nosuid", "noexec" ...
  bool replace = false;                     // detach a dead mount at the path first
  bool embedded_router = false;  // route in this process, and use the routers only without it
  bool own_root = false;  // a root directory that is still uid 0's becomes the mounting user's
  bool fake = false;      // of mount(8)'s -f: only the settings are looked at
  bool foreground = false;
  std::string ready_file;
  LogSettings log;
};

// "host:port", "tcp://host:port" or "ipc:///path" as an endpoint; nullopt: none of these.
std::optional<std::string> to_endpoint(const std::string& router);
// Reads a comma-separated list of mount options into `settings`. False: `why` is a sentence.
bool apply_options(const std::string& options, MountSettings* settings, std::string* why);
// A whole number of seconds, at least 1, or "forever".
bool parse_retry(const std::string& text, std::optional<Duration>* limit);

// nullopt: it has said why on stderr (or printed --help), and the process is to exit with
// `exit_code`.
std::optional<MountSettings> read_mount_settings(int argc, char** argv, int* exit_code);

}  // namespace pairfs
