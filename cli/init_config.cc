#include "cli/init_config.h"

#include <arpa/inet.h>

#include "cli/files.h"

namespace pairfs::cli {
namespace {

bool is_address(const std::string& host) {
  in_addr address{};
  return ::inet_pton(AF_INET, host.c_str(), &address) == 1;
}

std::string head(const InitPlan& plan, const std::string& name, const std::string& what) {
  return fmt::format(
      "# {0} {1}, on the host {2}. Written once by pairfs init; yours to edit, then restart it.\n"
      "# A key behind a # is shown with its default. An unknown key or a wrong value is refused "
      "at\n"
      "# the start with file, line and what was expected; --check only looks.\n\n"
      "# Its name in the cluster's map, and the cluster that it belongs to.\n"
      "name = {3}\n"
      "cluster_id = \"{4:016x}\"\n\n",
      what, name, plan.host_of.at(name), toml_quoted(name), plan.map.cluster_id);
}

std::string insecure(const std::string& endpoint) {
  const bool loopback = host_in(endpoint).rfind("127.", 0) == 0;
  return fmt::format(
      "# There is no authentication and no encryption yet: whoever reaches the ports can read and\n"
      "# change every file. true allows to listen beyond this machine: on a network that you "
      "trust.\n"
      "insecure_network = {}\n\n"
      "# Written when it serves, as JSON with its pid and endpoint; removed when it ends.\n"
      "#ready_file = \"\"\n\n",
      !loopback);
}

std::string map_part(const InitRequest& request, const InitPlan& plan, const RouterInfo* router) {
  std::string text =
      "# The cluster's map: who exists, and who executes what. While it cannot be reached, "
      "healthy\n"
      "# pairs serve on, and only roles cannot change.\n[map]\n";
  if (!request.map.empty())
    return text + fmt::format(
                      "# Servers of a ZooKeeper ensemble, and the directory in it.\n"
                      "endpoints = [{}]\n\n",
                      toml_quoted(request.map));
  const std::string& holder = plan.map.routers.front().map_endpoint;
  if (router == nullptr || router->map_endpoint.empty())
    return text + fmt::format("# Where it is served: by the first router.\nendpoints = [{}]\n\n",
                              toml_quoted(holder));
  return text + fmt::format(
                    "# This router holds it: its directory, and where it serves it.\n"
                    "dir = {}\nlisten = {}\n\n",
                    toml_quoted(request.state_directory + "/" + router->name.c_str() + "/map"),
                    toml_quoted(listen_endpoint(router->map_endpoint)));
}

const char* const kLogPart =
    "[log]\n"
    "# \"\" is stderr, which systemd keeps in its journal (journalctl -u pairfs-...).\n"
    "#file = \"\"\n"
    "# \"debug\" (per command), \"info\" (changes of state), \"warn\" (degraded) or \"error\".\n"
    "#level = \"info\"\n";

const char* const kNodeTuning =
    "# Times are a whole number and us, ms, s, min or h; sizes a whole number and KiB, MiB or "
    "GiB.\n"
    "[pair]\n"
    "# For how long a partner promises not to take over; reads are answered under it.\n"
    "#lease = \"200ms\"\n"
    "# How often the partner is spoken to when there is nothing to say; at most half of the "
    "lease.\n"
    "#heartbeat = \"40ms\"\n"
    "# Without progress for this long a partner counts as lost; at least twice the lease.\n"
    "#silence = \"600ms\"\n"
    "# Acknowledgements wait when the oldest command that is not on disk is older: what a power "
    "loss\n"
    "# of both nodes can cost of what nobody fsynced.\n"
    "#unsynced_max = \"50ms\"\n"
    "# How often the log is written to disk in the background.\n"
    "#background_sync = \"20ms\"\n"
    "# A node that is back gets its home volumes again, after both were well for this long; the "
    "delay\n"
    "# doubles up to the maximum when nodes come and go.\n"
    "#automatic_giveback = true\n"
    "#giveback_delay = \"5s\"\n"
    "#giveback_delay_max = \"10min\"\n\n"
    "[checkpoint]\n"
    "# A consistency point is made when the log behind the last one is this big, or this old, or "
    "would\n"
    "# take this long to replay: the last bounds a takeover's pause.\n"
    "#log_size = \"96MiB\"\n"
    "#interval = \"10s\"\n"
    "#replay_max = \"100ms\"\n\n";

std::string element_part(const NodeInfo& node) {
  if (node.element_endpoint.empty()) return "\n";
  return fmt::format(
      "# Where its partner reaches the elements that this host has to itself ({}).\n"
      "element_listen = {}\n\n",
      node.element_endpoint.c_str(), toml_quoted(listen_endpoint(node.element_endpoint)));
}

}  // namespace

std::string listen_endpoint(const std::string& endpoint) {
  if (is_address(host_in(endpoint))) return endpoint;
  return "tcp://0.0.0.0" + endpoint.substr(endpoint.rfind(':'));
}

std::string annotated_router(const InitRequest& request, const InitPlan& plan,
                             const RouterInfo& router) {
  return head(plan, router.name, "Router") +
         fmt::format("# Where it listens for clients, who know it as {}.\nlisten = {}\n\n",
                     router.endpoint.c_str(), toml_quoted(listen_endpoint(router.endpoint))) +
         insecure(router.endpoint) + map_part(request, plan, &router) + kLogPart;
}

std::string annotated_node(const InitRequest& request, const InitPlan& plan, const NodeInfo& node) {
  return head(plan, node.name, "Node") +
         fmt::format(
             "# Where it listens: for routers and other pairs, who know it as {}, and for its\n"
             "# partner ({}). Without these keys: as the map says.\n"
             "listen = {}\nlink_listen = {}\n",
             node.endpoint.c_str(), node.link_endpoint.c_str(),
             toml_quoted(listen_endpoint(node.endpoint)),
             toml_quoted(listen_endpoint(node.link_endpoint))) +
         element_part(node) +
         fmt::format(
             "# Its command logs, on a disk of this machine that syncs fast. Whoever loses it\n"
             "# loses a node, not data: the partner has the same.\nstate_dir = {}\n\n",
             toml_quoted(request.state_directory + "/" + node.name.c_str())) +
         "# The log is preallocated in pieces of this size.\n#log_segment = \"8MiB\"\n\n" +
         insecure(node.endpoint) + map_part(request, plan, nullptr) + kNodeTuning + kLogPart;
}

std::string annotated_mount(const InitPlan& plan) {
  std::vector<std::string> routers;
  for (const RouterInfo& router : plan.map.routers) routers.push_back(router.endpoint.substr(6));
  return fmt::format(
      "# A mount, for pairfs-mount --config; /etc/fstab does the same and starts it with the "
      "machine.\n\n"
      "# One router that answers is enough: it names the others.\n"
      "routers = {}\n"
      "mountpoint = \"/mnt/pairfs\"\n"
      "# Mount what is below this directory of the cluster only.\n"
      "#subtree = \"\"\n"
      "# As behind -o: allow_other, ro, noatime, retry=forever|SECONDS, wait, router=embedded ...\n"
      "options = \"wait\"\n"
      "#ready_file = \"\"\n\n{}",
      toml_quoted(routers), kLogPart);
}

}  // namespace pairfs::cli
