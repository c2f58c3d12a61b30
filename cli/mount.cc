// pairfs mount and pairfs umount.
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "cli/commands.h"
#include "cli/find_cluster.h"
#include "cli/mount_point.h"
#include "cli/process.h"
#include "common/mount_source.h"

namespace pairfs::cli {
namespace {

struct MountRequest {
  std::string source, path, router;
  std::vector<std::string> options;
  bool foreground = false;
};

// Becomes pairfs-mount, which says the rest itself.
int mount(const MountRequest& request) {
  const MountSource source = split_mount_source(request.source);
  auto routers = parse_endpoints(source.routers);
  if (!routers.ok()) return report(routers.problem());
  auto program = find_program("pairfs-mount");
  if (!program.ok()) return report(program.problem());
  // The path may not look like an option, so it is given as an absolute one.
  std::vector<std::string> words = {program->string(),
                                    request.source,
                                    fs::absolute(request.path).string(),
                                    "-o",
                                    "fsname=" + mount_source(*routers, source.subtree),
                                    "--replace"};  // a dead mount of ours, and nothing else
  if (!request.router.empty()) words.push_back("--router=" + request.router);
  if (request.foreground) words.push_back("--foreground");
  for (const std::string& option : request.options) {  // a later fsname wins
    words.push_back("-o");
    words.push_back(option);
  }
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  ::execv(argv[0], argv.data());
  return report(failed("cannot run {}: {}", words[0], std::strerror(errno)));
}

// The mount point as /proc/mounts has it. A mount whose servers are gone is not looked at: only its
// parent is, unless the name is a link or no mount point.
fs::path mount_point_of(const std::string& text) {
  fs::path whole = fs::absolute(text).lexically_normal();
  if (whole.filename() == "." || whole.filename().empty()) whole = whole.parent_path();
  if (whole.has_parent_path() && whole.has_filename()) {
    const fs::path path = canonical_path(whole.parent_path()) / whole.filename();
    if (mounted_at(path)) return path;
  }
  return canonical_path(whole);
}

int unmount_pairfs(const std::string& text, bool force) {
  const fs::path path = mount_point_of(text);
  const auto mounted = mounted_at(path);
  if (!mounted) return report(refused("nothing is mounted at {}", path.string()));
  if (!mounted->is_pairfs())
    return report(refused("{} is not a pairfs mount but {}", path.string(), mounted->type));
  if (Trouble trouble = unmount(path, force ? Force::kAbort : Force::kNo)) return report(*trouble);
  return kExitFine;
}

}  // namespace

void add_mount(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("mount", "Mount a cluster at a directory");
  auto request = std::make_shared<MountRequest>();
  command
      ->add_option("ROUTER", request->source,
                   "Its routers: ENDPOINT[,ENDPOINT...], and :/DIRECTORY behind them for what is"
                   " below one directory only")
      ->required();
  command->add_option("PATH", request->path, "An empty directory")->required();
  command->add_option("-o", request->options, "Mount options, see pairfs-mount --help")
      ->type_name("OPTION[,OPTION...]")
      ->allow_extra_args(false);
  command->add_flag("-f,--foreground", request->foreground, "Stay in the foreground");
  command
      ->add_option("--router", request->router,
                   "embedded: route inside the mount, which saves a hop; separate: not")
      ->check(CLI::IsMember({"embedded", "separate"}));
  command->footer(
      "Examples:\n"
      "  pairfs mount tcp://127.0.0.1:7400,tcp://127.0.0.1:7401 /mnt/files\n"
      "  pairfs mount router1:7400,router2:7400:/projects /mnt/projects\n"
      "  pairfs mount ipc:///run/pairfs-0123/r1 /mnt/files -o noatime,wait");
  command->callback([=, &exit_code] { exit_code = mount(*request); });
}

void add_umount(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("umount", "Unmount a cluster");
  auto path = std::make_shared<std::string>();
  auto force = std::make_shared<bool>(false);
  command->add_option("PATH", *path, "Where it is mounted")->required();
  command->add_flag(
      "--force", *force,
      "Take it out of the tree even if it is busy, and end what waits in it with an error");
  command->footer("Examples:\n  pairfs umount /mnt/files\n  pairfs umount --force /mnt/files");
  command->callback([=, &exit_code] { exit_code = unmount_pairfs(*path, *force); });
}

}  // namespace pairfs::cli
