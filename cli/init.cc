// pairfs init: writes what a cluster of real machines needs: one annotated TOML file per daemon, in
// a directory per host, and the first map. Starts nothing and talks to nobody.
#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <random>
#include <set>

#include "cli/commands.h"
#include "cli/create.h"
#include "cli/files.h"
#include "cli/init_config.h"

namespace pairfs::cli {
namespace {

uint64_t random_id() {
  std::random_device random;
  uint64_t id = 0;
  while (id == 0) id = uint64_t{random()} << 32 | random();
  return id;
}

// An absent or empty directory becomes ours; anything else is left alone.
Trouble claim(const fs::path& output) {
  boost::system::error_code error;
  if (fs::exists(output, error)) {
    if (!fs::is_directory(output, error)) return refused("{} is not a directory", output.string());
    if (!fs::is_empty(output, error) || error)
      return refused("{} is not empty, and a cluster that is there is not overwritten; name another"
                     " directory with --out", output.string());
    return std::nullopt;
  }
  if (::mkdir(output.c_str(), 0700) != 0)
    return refused("cannot make the directory {}: {}", output.string(), std::strerror(errno));
  return std::nullopt;
}

Trouble write_files(const InitRequest& request, const InitPlan& plan, const fs::path& output) {
  const auto file = [&](const std::string& name) {
    return output / plan.host_of.at(name) / (name + ".toml");
  };
  for (const auto& [name, host] : plan.host_of)
    if (Trouble trouble = make_private_directory(output / host)) return trouble;
  for (const RouterInfo& router : plan.map.routers)
    if (Trouble trouble = write_file(file(router.name), annotated_router(request, plan, router)))
      return trouble;
  for (const PairInfo& pair : plan.map.pairs)
    for (const NodeInfo& node : pair.nodes)
      if (Trouble trouble = write_file(file(node.name), annotated_node(request, plan, node)))
        return trouble;
  if (Trouble trouble = write_file(output / "mount.toml", annotated_mount(plan))) return trouble;
  return store_first_map(output / "map", plan.map);
}

void say_what_to_do(const InitRequest& request, const InitPlan& plan, const fs::path& output) {
  const RouterInfo& first = plan.map.routers.front();
  say(fmt::format("wrote a cluster of {} pairs and {} routers to {}\n\n"
                  "There is no authentication yet: run it on a network that you trust.\n\n"
                  "1. Give each host its files, in /etc/pairfs:",
                  plan.map.pairs.size(), plan.map.routers.size(), output.string()));
  std::set<std::string> hosts;
  for (const auto& [name, host] : plan.host_of) hosts.insert(host);
  for (const std::string& host : hosts)
    say(fmt::format("     scp {}/*.toml root@{}:/etc/pairfs/", (output / host).string(), host));
  if (request.map.empty())
    say(fmt::format("2. Give the first router its first map, once:\n"
                    "     scp -r {} root@{}:{}/{}/map",
                    (output / "map").string(), plan.host_of.at(first.name), request.state_directory,
                    first.name.c_str()));
  else
    say(fmt::format("2. Put the first map into ZooKeeper, once:\n     pairfs map copy {} {}",
                    (output / "map").string(), request.map));
  say("3. Mount the disks of each pair where both of its hosts reach them, and make on them:");
  for (const PairInfo& pair : plan.map.pairs)
    for (const VolumeInfo& volume : pair.volumes)
      for (const ElementInfo& element : volume.elements) say("     " + std::string(element.path));
  say("4. Start them, each on its host:");
  for (const auto& [name, host] : plan.host_of)
    say(fmt::format("     {}: systemctl enable --now pairfs-{}@{}", host,
                    name[0] == 'r' ? "router" : "node", name));
  std::string routers;
  for (const RouterInfo& router : plan.map.routers)
    routers += (routers.empty() ? "" : ",") + router.endpoint.substr(6);
  say(fmt::format("5. Mount it on any machine, or say the same in /etc/fstab:\n"
                  "     mount -t fuse.pairfs {} /mnt\n\n"
                  "docs/operating.md says the rest.", routers));
}

int init(const InitRequest& request) {
  auto plan = plan_cluster(request, random_id());
  if (!plan.ok()) return report(plan.problem());
  ClusterPlan storage;
  storage.elements = request.elements;
  storage.raid_level = request.raid_level;
  if (Trouble trouble = check_plan(storage)) return report(*trouble);
  const fs::path output = canonical_path(request.output);
  boost::system::error_code error;
  const bool was_there = fs::exists(output, error);
  if (Trouble trouble = claim(output)) return report(*trouble);
  if (Trouble trouble = write_files(request, *plan, output)) {
    for (fs::directory_iterator entry(output, error), end; !error && entry != end;
         entry.increment(error))
      fs::remove_all(entry->path(), error);
    if (!was_there) fs::remove(output, error);
    return report(*trouble);
  }
  say_what_to_do(request, *plan, output);
  return kExitFine;
}

}  // namespace

void add_init(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("init", "Write the configuration of a cluster of real machines");
  auto request = std::make_shared<InitRequest>();
  command->add_option("--pair", request->pairs, "The two hosts of a pair; once per pair")
      ->type_name("HOSTA,HOSTB")->required()->allow_extra_args(false);
  command->add_option("--router", request->routers,
                      "A router's host; once per router (default: the hosts of the first pair)")
      ->type_name("HOST")->allow_extra_args(false);
  command->add_option("--out", request->output, "Where to write; absent or empty")
      ->type_name("DIR")->required();
  command->add_option("--map", request->map,
                      "Keep the map in ZooKeeper: zookeeper://HOST:2181[,HOST:2181...]/DIRECTORY"
                      " (default: the first router holds it)");
  command->add_option("--elements", request->elements, "Storage elements of each volume")
      ->capture_default_str();
  command->add_option("--raid", request->raid_level, "RAID level of the volumes")
      ->type_name("LEVEL")->capture_default_str();
  command->add_option("--element-dir", request->element_directory,
                      "Where each host mounts the elements: DIR/1.0-e0 and so on")
      ->type_name("DIR")->capture_default_str();
  command->add_option("--state-dir", request->state_directory, "Where daemons keep their state")
      ->type_name("DIR")->capture_default_str();
  command->add_option("--port", request->port, "A host's first port")->capture_default_str();
  command->footer(
      "Example:\n"
      "  pairfs init --pair node1,node2 --pair node3,node4 --router node1 --router node3 --out cluster");
  command->callback([=, &exit_code] { exit_code = init(*request); });
}

}  // namespace pairfs::cli
