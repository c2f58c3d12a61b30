#include "cli/init_plan.h"

#include <algorithm>
#include <set>
#include <sstream>

namespace pairfs::cli {
namespace {

constexpr unsigned kVolumesPerPair = 2;
constexpr size_t kPairsMax = 1024;
constexpr unsigned kNodePortsFrom = 10;  // above a host's first port
constexpr size_t kRoutersPerHostMax = kNodePortsFrom / 2;

bool is_host(const std::string& text) {
  const auto allowed = [](unsigned char c) {
    return std::isalnum(c) || c == '.' || c == '-' || c == '_';
  };
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), allowed);
}

bool is_loopback(const std::string& host) {
  return host.rfind("127.", 0) == 0 || host == "localhost";
}

std::set<std::string> endpoints_of(const ClusterMap& map) {
  std::set<std::string> endpoints;
  for (const RouterInfo& router : map.routers)
    endpoints.insert({router.endpoint, router.map_endpoint});
  for (const PairInfo& pair : map.pairs)
    for (const NodeInfo& node : pair.nodes)
      endpoints.insert({node.endpoint, node.link_endpoint, node.element_endpoint});
  return endpoints;
}

// Hands out the ports of hosts, one after the other, that nobody in the map has.
class Ports {
 public:
  Ports(const ClusterMap& map, unsigned first) : first_(first), taken_(endpoints_of(map)) {}
  std::string next(const std::string& host) {
    for (unsigned port = first_;; ++port) {
      const std::string endpoint = fmt::format("tcp://{}:{}", host, port);
      if (taken_.insert(endpoint).second) return endpoint;
    }
  }

 private:
  const unsigned first_;
  std::set<std::string> taken_;
};

Outcome<std::vector<std::string>> hosts_of_pair(const std::string& text) {
  std::vector<std::string> hosts;
  std::istringstream in(text);
  for (std::string host; std::getline(in, host, ',');) hosts.push_back(host);
  if (hosts.size() != 2 || !is_host(hosts[0]) || !is_host(hosts[1]))
    return refused("--pair {}: expected two hosts, as in --pair node1.example,node2.example", text);
  if (hosts[0] == hosts[1] && !is_loopback(hosts[0]))
    return refused(
        "--pair {}: both nodes of a pair on one host would go down together; name two"
        " hosts",
        text);
  return hosts;
}

Trouble check_ports_and_paths(const InitRequest& request) {
  for (const std::string& directory : {request.state_directory, request.element_directory})
    if (directory.empty() || directory[0] != '/')
      return refused("\"{}\" is no absolute path", directory);
  if (request.port < 1 || request.port > 65'000)
    return refused("--port must be 1 to 65000, not {}", request.port);
  return std::nullopt;
}

NodeInfo node_on(const std::string& name, const std::string& host, bool serves_elements,
                 Ports& ports) {
  std::string endpoint = ports.next(host), link = ports.next(host);
  NodeInfo node{name, std::move(endpoint), std::move(link), {}};
  if (serves_elements) node.element_endpoint = ports.next(host);
  return node;
}

VolumeInfo make_volume(const InitRequest& request, VolumeId id, const std::string& home) {
  VolumeInfo volume;
  volume.id = id;
  volume.home = home;
  volume.raid_level = static_cast<uint8_t>(request.raid_level);
  for (unsigned i = 0; i < request.elements; ++i) {
    const std::string name = fmt::format("{}-e{}", to_string(id), i);
    // With partner reach: every second one is on each host, so that mirrors straddle them.
    const std::string reach = request.reach == "dir"
                                  ? "dir"
                                  : fmt::format("partner:{}{}", id.pair, i % 2 == 0 ? 'a' : 'b');
    volume.elements.push_back({name, request.element_directory + "/" + name, reach});
  }
  return volume;
}

}  // namespace

std::string host_in(const std::string& endpoint) {
  return endpoint.substr(6, endpoint.rfind(':') - 6);
}

Outcome<PairInfo> plan_pair(const InitRequest& request, const std::string& hosts, uint16_t id,
                            InitPlan& plan) {
  auto names = hosts_of_pair(hosts);
  if (!names.ok()) return names.problem();
  if (Trouble trouble = check_ports_and_paths(request)) return *trouble;
  Ports ports(plan.map, request.port + kNodePortsFrom);
  PairInfo pair;
  pair.id = id;
  for (unsigned half = 0; half < kVolumesPerPair; ++half) {
    const std::string name = fmt::format("{}{}", id, half == 0 ? 'a' : 'b');
    const std::string& host = (*names)[half];
    plan.host_of[name] = host;
    pair.nodes.push_back(node_on(name, host, request.reach == "partner", ports));
    pair.volumes.push_back(make_volume(request, {id, static_cast<uint16_t>(half)}, name));
  }
  return pair;
}

Outcome<NodeInfo> plan_move(const InitRequest& request, const std::string& name,
                            const std::string& host, InitPlan& plan) {
  if (!is_host(host)) return refused("--host {}: expected a host's name or address", host);
  if (Trouble trouble = check_ports_and_paths(request)) return *trouble;
  const NodeInfo* partner = plan.map.partner_of(name);
  if (partner == nullptr)
    return refused("the cluster has no node \"{}\"; pairfs status lists them", name);
  NodeInfo* node = nullptr;
  for (PairInfo& pair : plan.map.pairs)
    for (NodeInfo& candidate : pair.nodes)
      if (candidate.name == name) node = &candidate;
  if (!node->endpoint.starts_with("tcp://"))
    return refused("node {} is one of a cluster on one machine, which has no hosts", name);
  if (host_in(partner->endpoint) == host && !is_loopback(host))
    return refused("--host {}: its partner {} is there, and both would go down together", host,
                   partner->name.c_str());
  const NodeInfo before = *node;
  *node = NodeInfo{name, {}, {}, {}};  // it may have ports again that it had
  Ports ports(plan.map, request.port + kNodePortsFrom);
  *node = node_on(name, host, !before.element_endpoint.empty(), ports);
  if (node->endpoint == before.endpoint)
    return refused(
        "node {} is at {} already; a new machine with the old one's address needs no"
        " other map",
        name, before.endpoint.c_str());
  plan.host_of[name] = host;
  return *node;
}

Outcome<InitPlan> plan_cluster(const InitRequest& request, uint64_t cluster_id) {
  if (request.pairs.empty() || request.pairs.size() > kPairsMax)
    return refused("name 1 to {} pairs, each as --pair HOSTA,HOSTB", kPairsMax);
  InitPlan plan;
  ClusterMap& map = plan.map;
  map.cluster_id = cluster_id;
  std::vector<std::string> routers = request.routers;
  const size_t volumes = request.pairs.size() * kVolumesPerPair;
  for (size_t i = 1; i <= request.pairs.size(); ++i) {
    auto pair = plan_pair(request, request.pairs[i - 1], static_cast<uint16_t>(i), plan);
    if (!pair.ok()) return pair.problem();
    if (routers.empty())
      for (const NodeInfo& node : pair->nodes) routers.push_back(plan.host_of[node.name]);
    for (unsigned half = 0; half < kVolumesPerPair; ++half) {
      const size_t index = (i - 1) * kVolumesPerPair + half;
      const size_t first = kSliceCount * index / volumes,
                   next = kSliceCount * (index + 1) / volumes;
      map.slices.push_back(
          {static_cast<Slice>(first), static_cast<uint32_t>(next - first), pair->volumes[half].id});
    }
    map.pairs.push_back(std::move(*pair));
  }
  Ports ports(ClusterMap(), request.port);
  std::map<std::string, size_t> routers_on;
  for (size_t i = 1; i <= routers.size(); ++i) {
    const std::string& host = routers[i - 1];
    if (!is_host(host)) return refused("--router {}: expected a host's name or address", host);
    if (++routers_on[host] > kRoutersPerHostMax)
      return refused("--router {}: at most {} routers fit on one host", host, kRoutersPerHostMax);
    const std::string name = fmt::format("r{}", i);
    RouterInfo router{name, ports.next(host), {}};
    const std::string map_endpoint = ports.next(host);
    if (i == 1 && request.map.empty()) router.map_endpoint = map_endpoint;
    map.routers.push_back(router);
    plan.host_of[name] = host;
  }
  return plan;
}

}  // namespace pairfs::cli
