#include "fuse/mount_settings.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>

#include "common/config.h"
#include "common/mount_source.h"
#include "fuse/mount_helper.h"

namespace pairfs {
namespace {

// Options of mount(8) and fstab(5) that mean nothing to this program.
bool is_ignored(const std::string& option) {
  static const char* const kIgnored[] = {
      "rw",       "defaults", "auto",       "noauto",     "nofail",      "_netdev",
      "user",     "nouser",   "users",      "nousers",    "group",       "nogroup",
      "owner",    "noowner",  "relatime",   "norelatime", "strictatime", "nodiratime",
      "diratime", "lazytime", "nolazytime", "loud",       "silent"};
  return option.starts_with("x-") || option.starts_with("X-") || option.starts_with("comment=") ||
         option.starts_with("user=") ||
         std::find(std::begin(kIgnored), std::end(kIgnored), option) != std::end(kIgnored);
}

bool is_for_kernel(const std::string& option) {
  static const char* const kKernel[] = {"suid", "nosuid", "dev", "nodev", "exec", "noexec"};
  return std::find(std::begin(kKernel), std::end(kKernel), option) != std::end(kKernel);
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> parts;
  size_t from = 0;
  while (from <= text.size()) {
    const size_t comma = std::min(text.find(',', from), text.size());
    if (comma > from) parts.push_back(text.substr(from, comma - from));
    from = comma + 1;
  }
  return parts;
}

bool add_routers(const std::vector<std::string>& routers, MountSettings* settings,
                 std::string* why) {
  for (const std::string& router : routers) {
    const auto endpoint = to_endpoint(router);
    if (!endpoint) {
      *why = fmt::format("\"{}\" is no router: expected host:port, tcp://host:port or ipc:///path",
                         router);
      return false;
    }
    settings->routers.push_back(*endpoint);
  }
  return true;
}

bool read_config(const std::string& file, MountSettings* settings) {
  Config config = Config::load_file(file);
  std::string why;
  if (!add_routers(config.strings("routers"), settings, &why)) config.problem("routers", why);
  settings->subtree = config.string("subtree", "");
  if (!settings->subtree.empty() && settings->subtree[0] != '/')
    config.problem("subtree", "expected an absolute path, as in \"/projects\"");
  settings->path = config.string("mountpoint", "");
  if (!apply_options(config.string("options", ""), settings, &why)) config.problem("options", why);
  settings->own_root = config.boolean("own_root", false);
  settings->ready_file = config.string("ready_file", "");
  settings->log = read_log_settings(config);
  return config.finish(stderr);
}

// As behind `pairfs-mount`, by which other commands find the cluster of a mount.
std::string source_of(const MountSettings& settings) {
  std::string source;
  for (const std::string& router : settings.routers)
    source +=
        (source.empty() ? "" : ",") + (router.starts_with("tcp://") ? router.substr(6) : router);
  return settings.subtree.empty() ? source : source + ":" + settings.subtree;
}

}  // namespace

std::optional<std::string> to_endpoint(const std::string& router) {
  if (router.starts_with("ipc:///")) return router;
  const std::string address = router.starts_with("tcp://") ? router.substr(6) : router;
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon == 0 || address.find('/') != std::string::npos)
    return std::nullopt;
  unsigned port = 0;
  const char* end = address.data() + address.size();
  const auto parsed = std::from_chars(address.data() + colon + 1, end, port);
  if (parsed.ec != std::errc() || parsed.ptr != end || port == 0 || port > 65535)
    return std::nullopt;
  return "tcp://" + address;
}

bool parse_retry(const std::string& text, std::optional<Duration>* limit) {
  if (text == "forever") {
    limit->reset();
    return true;
  }
  unsigned seconds = 0;
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, seconds);
  if (parsed.ec != std::errc() || parsed.ptr != end || seconds == 0) return false;
  *limit = std::chrono::seconds(seconds);
  return true;
}

// The command line of mount(8)'s helper.
static bool read_helper(int argc, char** argv, MountSettings* settings, std::string* why) {
  const auto call = read_helper_call({argv + 1, argv + argc}, why);
  if (!call) return false;
  const MountSource source = split_mount_source(call->source);
  settings->subtree = source.subtree;
  settings->path = call->path;
  settings->fake = call->fake;
  settings->replace = true;         // of a dead mount of our own, and of nothing else
  settings->fsname = call->source;  // by which mount -a knows that it is mounted
  bool right = add_routers(split(source.routers), settings, why);
  for (const std::string& option : call->options)
    right = right && apply_options(option, settings, why);
  if (right && settings->routers.empty()) *why = "no router is named in " + call->source;
  return right && !settings->routers.empty();
}

bool apply_options(const std::string& options, MountSettings* settings, std::string* why) {
  for (const std::string& option : split(options)) {
    if (option == "allow_other")
      settings->allow_other = true;
    else if (option == "default_permissions")
      settings->kernel_permissions = true;
    else if (option == "ro")
      settings->read_only = true;
    else if (option == "noatime")
      settings->update_atime = false;
    else if (option == "nocache")
      settings->cache = false;
    else if (option == "async")
      settings->write_behind = true;
    else if (option == "sync")
      settings->write_behind = false;
    else if (option == "wait")
      settings->wait = true;
    else if (option == "nonempty")
      settings->nonempty = true;
    else if (option == "router=embedded")
      settings->embedded_router = true;
    else if (option == "router=separate")
      settings->embedded_router = false;
    else if (option.starts_with("fsname=") && option.size() > 7)
      settings->fsname = option.substr(7);
    else if (is_for_kernel(option))
      settings->kernel_options.push_back(option);
    else if (option.starts_with("retry=")) {
      if (!parse_retry(option.substr(6), &settings->retry_limit)) {
        *why = fmt::format("option \"{}\": expected retry=forever or retry=SECONDS", option);
        return false;
      }
    } else if (!is_ignored(option)) {
      *why = fmt::format(
          "unknown mount option \"{}\"; there are allow_other, default_permissions, ro, noatime, "
          "nocache, async, sync, "
          "retry=forever|SECONDS, wait, nonempty, router=embedded|separate, fsname=NAME, [no]suid, "
          "[no]dev "
          "and [no]exec",
          option);
      return false;
    }
  }
  return true;
}

std::optional<MountSettings> read_mount_settings(int argc, char** argv, int* exit_code) {
  MountSettings settings;
  if (::geteuid() == 0) {
    settings.allow_other = true;
    settings.kernel_options = {"suid", "dev"};
  }
  std::string why;
  if (argc > 0 && is_mount_helper(argv[0])) {
    *exit_code = kExitUsage;
    if (read_helper(argc, argv, &settings, &why)) return settings;
    fmt::print(stderr, "{}: {}\n", argv[0], why);
    return std::nullopt;
  }
  std::string config, routers, path, router;
  std::vector<std::string> options;
  CLI::App app("Mounts a pairfs filesystem.");
  app.footer(
      "Examples:\n"
      "  pairfs-mount 127.0.0.1:7400 /mnt/pairfs\n"
      "  pairfs-mount router1:7400,router2:7400 /mnt/pairfs -o noatime,retry=60\n"
      "  pairfs-mount router1:7400,router2:7400:/projects /mnt/projects\n"
      "  pairfs-mount --config /etc/pairfs/mount.toml\n"
      "  mount -t fuse.pairfs router1:7400,router2:7400 /mnt/pairfs      (and as such in fstab)\n"
      "Unmount with: umount /mnt/pairfs (or fusermount3 -u /mnt/pairfs)");
  app.add_option(
         "ROUTER", routers,
         "Routers to reach the cluster by: host:port, tcp://host:port or ipc:///path; behind"
         " the last one :/DIRECTORY mounts what is below it")
      ->type_name("ENDPOINT[,ENDPOINT...][:/DIRECTORY]");
  app.add_option("PATH", path, "Directory to mount on");
  app.add_option("--config", config,
                 "TOML file with routers, mountpoint, options, ready_file, log.file, log.level; "
                 "stays in the foreground, as daemons under a supervisor do")
      ->type_name("FILE");
  app.add_option("-o", options,
                 "Options: allow_other, ro, noatime, nocache, async, sync, retry=forever|SECONDS, "
                 "wait, nonempty,"
                 " router=embedded|separate, fsname=NAME")
      ->type_name("OPTION[,OPTION...]");
  app.add_flag("-f,--foreground", settings.foreground, "Stay in the foreground");
  app.add_flag("--replace", settings.replace, "First detach a dead mount from PATH");
  app.add_option("--router", router,
                 "embedded: route in this process, which saves a hop; the routers stay the way "
                 "out; separate: not")
      ->check(CLI::IsMember({"embedded", "separate"}));
  std::string log_file;
  app.add_option("--log", log_file, "Log to this file rather than to stderr")->type_name("FILE");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : kExitUsage;
    return std::nullopt;
  }
  *exit_code = kExitUsage;
  if (!config.empty()) {
    settings.foreground = true;
    if (!read_config(config, &settings)) return std::nullopt;
  }
  bool right = true;
  if (!routers.empty()) {
    const MountSource source = split_mount_source(routers);
    settings.routers.clear();
    settings.subtree = source.subtree;
    right = add_routers(split(source.routers), &settings, &why);
  }
  if (!router.empty()) settings.embedded_router = router == "embedded";
  for (const std::string& option : options) right = right && apply_options(option, &settings, &why);
  if (!path.empty()) settings.path = path;
  if (!log_file.empty()) settings.log.file = log_file;
  if (right && (settings.routers.empty() || settings.path.empty())) {
    right = false;
    why = "say where the cluster is and where to mount it: pairfs-mount ROUTER[,ROUTER...] PATH";
  }
  if (!right) {
    fmt::print(stderr, "pairfs-mount: {}\n", why);
    return std::nullopt;
  }
  if (settings.fsname.empty()) settings.fsname = source_of(settings);
  return settings;
}

}  // namespace pairfs
