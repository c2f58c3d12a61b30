#include "cli/first_map.h"

namespace pairfs::cli {
namespace {

constexpr unsigned kVolumesPerPair = 2;

// Hands out one endpoint after the other.
class Endpoints {
 public:
  Endpoints(const fs::path& directory, const std::vector<uint16_t>& ports)
      : directory_(directory), ports_(ports) {}
  std::string next(const std::string& name) {
    if (ports_.empty()) return "ipc://" + (directory_ / name).string();
    return fmt::format("tcp://127.0.0.1:{}", ports_.at(used_++));
  }

 private:
  const fs::path& directory_;
  const std::vector<uint16_t>& ports_;
  size_t used_ = 0;
};

VolumeInfo make_volume(const ClusterPlan& plan, VolumeId id, const std::string& home) {
  VolumeInfo volume;
  volume.id = id;
  volume.home = home;
  volume.raid_level = static_cast<uint8_t>(plan.raid_level);
  for (unsigned i = 0; i < plan.elements; ++i) {
    const std::string name = fmt::format("{}-e{}", to_string(id), i);
    // With partner reach: every second one is on each node, so that mirrors straddle the nodes.
    const std::string reach =
        plan.reach == "dir" ? "dir" : fmt::format("partner:{}{}", id.pair, i % 2 == 0 ? 'a' : 'b');
    volume.elements.push_back({name, (plan.directory / "elements" / name).string(), reach});
  }
  return volume;
}

PairInfo make_pair(const ClusterPlan& plan, uint16_t id, Endpoints& endpoints) {
  PairInfo pair;
  pair.id = id;
  for (unsigned half = 0; half < kVolumesPerPair; ++half) {
    const std::string name = fmt::format("{}{}", id, half == 0 ? 'a' : 'b');
    std::string endpoint = endpoints.next(name);
    NodeInfo node{name, std::move(endpoint), endpoints.next(name + ".link"), {}};
    if (plan.reach == "partner") node.element_endpoint = endpoints.next(name + ".elements");
    pair.nodes.push_back(std::move(node));
    pair.volumes.push_back(make_volume(plan, {id, static_cast<uint16_t>(half)}, name));
  }
  return pair;
}

}  // namespace

PairInfo new_pair(const ClusterPlan& plan, uint16_t id, const fs::path& runtime_directory,
                  const std::vector<uint16_t>& ports) {
  Endpoints endpoints(runtime_directory, ports);
  return make_pair(plan, id, endpoints);
}

size_t endpoint_count(const ClusterPlan& plan) {
  return plan.routers + 1 + plan.pairs * 2 * (plan.reach == "partner" ? 3 : 2);
}

ClusterMap first_map(const ClusterPlan& plan, uint64_t cluster_id,
                     const fs::path& runtime_directory, const std::vector<uint16_t>& ports) {
  ClusterMap map;
  map.cluster_id = cluster_id;
  Endpoints endpoints(runtime_directory, ports);
  for (unsigned i = 1; i <= plan.routers; ++i) {
    const std::string name = fmt::format("r{}", i);
    RouterInfo router{name, endpoints.next(name), {}};
    if (i == 1) router.map_endpoint = endpoints.next(name + ".map");
    map.routers.push_back(router);
  }
  const unsigned volumes = plan.pairs * kVolumesPerPair;
  for (unsigned i = 1; i <= plan.pairs; ++i) {
    map.pairs.push_back(make_pair(plan, static_cast<uint16_t>(i), endpoints));
    for (unsigned half = 0; half < kVolumesPerPair; ++half) {
      const unsigned index = (i - 1) * kVolumesPerPair + half;
      const unsigned first = kSliceCount * index / volumes;
      const unsigned next = kSliceCount * (index + 1) / volumes;
      map.slices.push_back(
          {static_cast<Slice>(first), next - first, map.pairs.back().volumes[half].id});
    }
  }
  return map;
}

}  // namespace pairfs::cli
