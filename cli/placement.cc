// pairfs placement: where a path lives, where new directories go, and who decided.
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "cli/commands.h"
#include "cli/gather.h"
#include "cli/map_change.h"
#include "cli/mount_point.h"

namespace pairfs::cli {
namespace {

constexpr const char* kPinAttribute = "user.pairfs.pair";

struct Wish {
  std::string path, pin;
  bool json = false;
  int spread_levels = -1, fuller_by = -1;
};

// The cluster whose mount `path` is in.
Outcome<Reach> cluster_of(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0)
    return refused("cannot look at {}: {}", path, std::strerror(errno));
  for (fs::path at = canonical_path(path); !at.empty(); at = at.parent_path()) {
    const auto mounted = mounted_at(at);
    if (!mounted) continue;
    if (!mounted->is_pairfs()) break;
    if (const auto routers = routers_of_source(mounted->source))
      return Reach{*routers, std::nullopt};
    return refused(
        "the mount of {} does not say where its routers are, as it was given a name of its"
        " own (fsname)",
        path);
  }
  return refused("{} is not on a pairfs mount", path);
}

Trouble pin(const Picture& picture, const std::string& path, const std::string& pair) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 || !S_ISDIR(found.st_mode))
    return refused("{} is not a directory; only the children of directories are pinned", path);
  int done = 0;
  if (pair == "none") {
    done = ::removexattr(path.c_str(), kPinAttribute);
    if (done != 0 && errno == ENODATA) done = 0;
  } else {
    const bool known = std::any_of(picture.map.pairs.begin(), picture.map.pairs.end(),
                                   [&](const PairInfo& p) { return std::to_string(p.id) == pair; });
    if (!known)
      return refused("--pin takes a pair's number, or none; the cluster has no pair \"{}\"", pair);
    done = ::setxattr(path.c_str(), kPinAttribute, pair.data(), pair.size(), 0);
  }
  if (done != 0) return failed("cannot pin {}: {}", path, std::strerror(errno));
  return std::nullopt;
}

nlohmann::ordered_json report_of(const Picture& picture, const std::string& path) {
  struct stat found {};
  ::lstat(path.c_str(), &found);
  const auto slice = static_cast<Slice>(static_cast<uint64_t>(found.st_ino) >> 48);
  const VolumeId volume = picture.map.volume_of(slice);
  const auto record = picture.records.find(volume);
  const bool known = record != picture.records.end();
  char pinned[16] = {};
  const ssize_t length = ::lgetxattr(path.c_str(), kPinAttribute, pinned, sizeof pinned - 1);
  nlohmann::ordered_json out = {
      {"path", path},
      {"inode", fmt::format("{:x}", static_cast<uint64_t>(found.st_ino))},
      {"slice", slice},
      {"volume", to_string(volume)},
      {"pair", volume.pair},
      {"executor", known ? std::string(record->second.executor.name) : ""},
      {"logger", known ? std::string(record->second.logger.name) : ""},
      {"pinned_to", nullptr},
      {"policy",
       {{"spread_levels", picture.policy.spread_levels},
        {"fuller_by_percent", picture.policy.fuller_by_percent},
        {"draining", std::vector<uint16_t>(picture.policy.draining)}}}};
  if (length > 0) out["pinned_to"] = std::atoi(pinned);
  return out;
}

int placement(const Wish& wish) {
  auto reach = cluster_of(wish.path);
  if (!reach.ok()) return report(reach.problem());
  Picture picture = gather(*reach, std::chrono::seconds(1));
  if (!picture.map_live) return report(failed("none of the cluster's routers answers"));
  if (!wish.pin.empty())
    if (Trouble trouble = pin(picture, wish.path, wish.pin)) return report(*trouble);
  if (wish.spread_levels >= 0 || wish.fuller_by >= 0) {
    Trouble trouble = change_policy(picture, [&](ClusterPolicy& policy) {
      if (wish.spread_levels >= 0) policy.spread_levels = static_cast<uint8_t>(wish.spread_levels);
      if (wish.fuller_by >= 0) policy.fuller_by_percent = static_cast<uint8_t>(wish.fuller_by);
      picture.policy = policy;
    });
    if (trouble) return report(*trouble);
  }
  const auto found = report_of(picture, wish.path);
  if (wish.json) {
    say(found.dump(2));
    return kExitFine;
  }
  say(fmt::format("{} is in slice {}, on volume {} of pair {}, executed by {} and logged by {}",
                  wish.path, found["slice"].get<int>(), found["volume"].get<std::string>(),
                  found["pair"].get<int>(), found["executor"].get<std::string>(),
                  found["logger"].get<std::string>()));
  if (!found["pinned_to"].is_null())
    say(fmt::format("directories made in it go to pair {}", found["pinned_to"].get<int>()));
  say(fmt::format(
      "directories of the top {} levels are spread over all volumes, without those that are"
      " {} points fuller than the emptiest",
      picture.policy.spread_levels, picture.policy.fuller_by_percent));
  return kExitFine;
}

}  // namespace

void add_placement(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("placement", "Show or change where files live");
  auto wish = std::make_shared<Wish>();
  command->add_option("PATH", wish->path, "Anything on a pairfs mount")->required();
  command->add_flag("--json", wish->json, "As JSON");
  command->add_option("--pin", wish->pin, "Directories made in PATH from now on go to this pair")
      ->type_name("PAIR|none");
  command
      ->add_option("--spread-levels", wish->spread_levels,
                   "Of the whole cluster: directories of so many top levels are spread (2)")
      ->check(CLI::Range(0, 255));
  command
      ->add_option("--fuller-by", wish->fuller_by,
                   "Of the whole cluster: a volume that is so many points fuller than the emptiest"
                   " gets no new directories (10)")
      ->check(CLI::Range(1, 100));
  command->footer(
      "Examples:\n  pairfs placement mnt/projects\n  pairfs placement mnt/videos --pin 2\n"
      "  pairfs placement mnt --spread-levels 3");
  command->callback([=, &exit_code] { exit_code = placement(*wish); });
}

}  // namespace pairfs::cli
