#include "cli/init_plan.h"

#include <algorithm>
#include <sstream>

namespace pairfs::cli {
namespace {

constexpr unsigned kVolumesPerPair = 2;
constexpr size_t kPairsMax = 1024;
constexpr unsigned kNodePortsFrom = 10;  // above a host's first port
constexpr size_t kRoutersPerHostMax = kNodePortsFrom / 2;

bool is_host(const std::string& text) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '-' || c == '_'; };
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), allowed);
}

// Hands out each host's ports one after the other.
class Ports {
 public:
  explicit Ports(unsigned first) : first_(first) {}
  std::string next(const std::string& host) {
    return fmt::format("tcp://{}:{}", host, first_ + used_[host]++);
  }
  size_t used(const std::string& host) { return used_[host]; }

 private:
  const unsigned first_;
  std::map<std::string, unsigned> used_;
};

Outcome<std::vector<std::string>> hosts_of_pair(const std::string& text) {
  std::vector<std::string> hosts;
  std::istringstream in(text);
  for (std::string host; std::getline(in, host, ',');) hosts.push_back(host);
  if (hosts.size() != 2 || !is_host(hosts[0]) || !is_host(hosts[1]))
    return refused("--pair {}: expected two hosts, as in --pair node1.example,node2.example", text);
  if (hosts[0] == hosts[1] && hosts[0].rfind("127.", 0) != 0 && hosts[0] != "localhost")
    return refused("--pair {}: both nodes of a pair on one host would go down together; name two"
                   " hosts", text);
  return hosts;
}

VolumeInfo make_volume(const InitRequest& request, VolumeId id, const std::string& home) {
  VolumeInfo volume;
  volume.id = id;
  volume.home = home;
  volume.raid_level = static_cast<uint8_t>(request.raid_level);
  for (unsigned i = 0; i < request.elements; ++i) {
    const std::string name = fmt::format("{}-e{}", to_string(id), i);
    volume.elements.push_back({name, request.element_directory + "/" + name, Bytes("dir")});
  }
  return volume;
}

}  // namespace

Outcome<InitPlan> plan_cluster(const InitRequest& request, uint64_t cluster_id) {
  if (request.pairs.empty() || request.pairs.size() > kPairsMax)
    return refused("name 1 to {} pairs, each as --pair HOSTA,HOSTB", kPairsMax);
  for (const std::string& directory : {request.state_directory, request.element_directory})
    if (directory.empty() || directory[0] != '/')
      return refused("\"{}\" is no absolute path", directory);
  if (request.port < 1 || request.port > 65'000)
    return refused("--port must be 1 to 65000, not {}", request.port);
  InitPlan plan;
  ClusterMap& map = plan.map;
  map.cluster_id = cluster_id;
  Ports router_ports(request.port), node_ports(request.port + kNodePortsFrom);
  std::vector<std::string> routers = request.routers;
  const size_t volumes = request.pairs.size() * kVolumesPerPair;
  for (size_t i = 1; i <= request.pairs.size(); ++i) {
    auto hosts = hosts_of_pair(request.pairs[i - 1]);
    if (!hosts.ok()) return hosts.problem();
    if (routers.empty()) routers = *hosts;
    PairInfo pair;
    pair.id = static_cast<uint16_t>(i);
    for (unsigned half = 0; half < kVolumesPerPair; ++half) {
      const std::string name = fmt::format("{}{}", i, half == 0 ? 'a' : 'b');
      const std::string& host = (*hosts)[half];
      plan.host_of[name] = host;
      const std::string endpoint = node_ports.next(host), link = node_ports.next(host);
      pair.nodes.push_back({name, endpoint, link});
      const VolumeId id{pair.id, static_cast<uint16_t>(half)};
      pair.volumes.push_back(make_volume(request, id, name));
      const size_t index = (i - 1) * kVolumesPerPair + half;
      const size_t first = kSliceCount * index / volumes, next = kSliceCount * (index + 1) / volumes;
      map.slices.push_back({static_cast<Slice>(first), static_cast<uint32_t>(next - first), id});
    }
    map.pairs.push_back(pair);
  }
  for (size_t i = 1; i <= routers.size(); ++i) {
    const std::string& host = routers[i - 1];
    if (!is_host(host)) return refused("--router {}: expected a host's name or address", host);
    if (router_ports.used(host) / 2 >= kRoutersPerHostMax)
      return refused("--router {}: at most {} routers fit on one host", host, kRoutersPerHostMax);
    const std::string name = fmt::format("r{}", i);
    RouterInfo router{name, router_ports.next(host), {}};
    const std::string map_endpoint = router_ports.next(host);
    if (i == 1 && request.map.empty()) router.map_endpoint = map_endpoint;
    map.routers.push_back(router);
    plan.host_of[name] = host;
  }
  return plan;
}

}  // namespace pairfs::cli
