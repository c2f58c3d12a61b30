#include "cli/up_plan.h"

#include <cstdlib>

#include "cli/local_daemons.h"
#include "cli/mount_point.h"

namespace pairfs::cli {
namespace {

constexpr int kProbeMs = 1'000;

// The options describe a new cluster; on an old one they may only say what is so already.
Trouble check_fits(const UpRequest& request, const Cluster& cluster) {
  const ClusterPlan& plan = request.plan;
  const size_t pairs = cluster.nodes.size() / 2;
  const std::string directory = cluster.directory.string();
  if (request.gave_pairs && plan.pairs < pairs)
    return refused(
        "the cluster in {} has {} pairs already, so --pairs {} does not fit; pairfs pair"
        " drain and pairfs pair remove make it smaller",
        directory, pairs, plan.pairs);
  if (request.gave_routers && plan.routers != cluster.routers.size())
    return refused(
        "the cluster in {} has {} routers, so --routers {} does not fit; leave the option"
        " out",
        directory, cluster.routers.size(), plan.routers);
  if (request.gave_transport && plan.transport != cluster.transport)
    return refused(
        "the cluster in {} uses {}, so --transport {} does not fit; leave the option out",
        directory, cluster.transport, plan.transport);
  if (request.gave_link && plan.link != cluster.link)
    return refused(
        "the nodes of the cluster in {} use the link {}, so --link {} does not fit; leave the"
        " option out",
        directory, cluster.link, plan.link);
  if (request.gave_raid && plan.raid_level != cluster.raid_level)
    return refused(
        "the cluster in {} has volumes of RAID level {}, so --raid {} does not fit; leave"
        " the option out",
        directory, cluster.raid_level, plan.raid_level);
  if (request.gave_reach && plan.reach != cluster.reach)
    return refused(
        "the cluster in {} has elements of reach {}, so --reach {} does not fit; leave the"
        " option out",
        directory, cluster.reach, plan.reach);
  unsigned elements = 0;
  boost::system::error_code error;
  while (fs::exists(cluster.directory / "elements" / fmt::format("1.0-e{}", elements), error))
    ++elements;
  if (request.gave_elements && plan.elements != elements)
    return refused(
        "the cluster in {} has {} elements per volume, so --elements {} does not fit; leave"
        " the option out",
        directory, elements, plan.elements);
  return std::nullopt;
}

fs::path default_mount() {
  const char* environment = std::getenv("PAIRFS_MOUNT");
  return environment != nullptr && *environment != '\0' ? environment : "mnt";
}

Trouble check_mount(const fs::path& mount, const fs::path& directory, bool ours) {
  if (is_within(mount, directory) || is_within(directory, mount))
    return refused("the mount point {} and the cluster's directory {} may not contain each other",
                   mount.string(), directory.string());
  if (Trouble trouble = check_fuse_available()) return trouble;
  const auto mounted = mounted_at(mount);
  const bool dead = mounted && mounted->is_pairfs() && probe(mount, kProbeMs) == Answer::kDead;
  return check_mount_point(mount, ours || dead);
}

}  // namespace

Outcome<UpPlan> check_up(const UpRequest& request) {
  UpPlan up;
  const fs::path& directory = request.plan.directory;
  if (Trouble trouble = check_plan(request.plan)) return *trouble;
  for (const char* program : {"pairfs-router", "pairfs-node", "pairfs-mount"}) {
    auto found = find_program(program);
    if (!found.ok()) return found.problem();
  }
  up.kind = look_at(directory);
  if (up.kind == DirectoryKind::kForeign)
    return refused("{} is not empty and holds no cluster; name an empty directory with --dir",
                   directory.string());
  fs::path mounted_before;
  if (up.kind == DirectoryKind::kCluster) {
    auto cluster = read_cluster(directory);
    if (!cluster.ok()) return cluster.problem();
    if (Trouble trouble = check_fits(request, *cluster)) return *trouble;
    up.cluster = *cluster;
    auto settings = read_supervisor_settings(*cluster);
    if (!settings.ok()) return settings.problem();
    up.settings = *settings;
    mounted_before = settings->mount;
  }
  up.settings.restart = request.restart;
  if (request.no_mount) {
    if (mounted_before.empty() || !up.cluster || !running(up.cluster->mount()))
      up.settings.mount.clear();
    return up;
  }
  if (!request.mount_text.empty())
    up.settings.mount = canonical_path(request.mount_text);
  else if (mounted_before.empty())
    up.settings.mount = canonical_path(default_mount());
  if (!request.mount_options.empty()) up.settings.mount_options = request.mount_options;
  const bool same = up.settings.mount == mounted_before;
  if (!same && up.cluster && running(up.cluster->mount()) && mounted_at(mounted_before))
    return refused(
        "this cluster is mounted at {}; mount it a second time with pairfs mount, or stop"
        " it first with pairfs down",
        mounted_before.string());
  if (Trouble trouble = check_mount(up.settings.mount, directory, same)) return *trouble;
  return up;
}

}  // namespace pairfs::cli
