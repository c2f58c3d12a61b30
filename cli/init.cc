// pairfs init: writes what a cluster of real machines needs: one annotated TOML file per daemon, in
// a directory per host, and the first map. Starts nothing and talks to nobody.
#include <random>

#include "cli/commands.h"
#include "cli/create.h"
#include "cli/files.h"
#include "cli/init_output.h"

namespace pairfs::cli {
namespace {

uint64_t random_id() {
  std::random_device random;
  uint64_t id = 0;
  while (id == 0) id = uint64_t{random()} << 32 | random();
  return id;
}

Trouble write_files(const InitRequest& request, const InitPlan& plan, const fs::path& output) {
  const auto file = [&](const std::string& name) {
    return output / plan.host_of.at(name) / (name + ".toml");
  };
  for (const RouterInfo& router : plan.map.routers)
    if (Trouble trouble = make_private_directory(output / plan.host_of.at(router.name)))
      return trouble;
  for (const RouterInfo& router : plan.map.routers)
    if (Trouble trouble = write_file(file(router.name), annotated_router(request, plan, router)))
      return trouble;
  for (const PairInfo& pair : plan.map.pairs)
    if (Trouble trouble = write_nodes(request, plan, pair, output)) return trouble;
  if (Trouble trouble = write_file(output / "mount.toml", annotated_mount(plan))) return trouble;
  return store_first_map(output / "map", plan.map);
}

void say_what_to_do(const InitRequest& request, const InitPlan& plan, const fs::path& output) {
  const RouterInfo& first = plan.map.routers.front();
  say(fmt::format(
      "wrote a cluster of {} pair{} and {} router{} to {}\n\n"
      "There is no authentication yet: run it on a network that you trust.\n\n"
      "1. Give each host its files, in /etc/pairfs:",
      plan.map.pairs.size(), plan.map.pairs.size() == 1 ? "" : "s", plan.map.routers.size(),
      plan.map.routers.size() == 1 ? "" : "s", output.string()));
  say_files_of(plan, output);
  if (request.map.empty())
    say(
        fmt::format("2. Give the first router its first map, once:\n"
                    "     scp -r {} root@{}:{}/{}/map",
                    (output / "map").string(), plan.host_of.at(first.name), request.state_directory,
                    first.name.c_str()));
  else
    say(fmt::format("2. Put the first map into ZooKeeper, once:\n     pairfs map copy {} {}",
                    (output / "map").string(), request.map));
  say("3. Mount the disks, and make these directories on them, one disk each:");
  for (const PairInfo& pair : plan.map.pairs) say_elements_of(plan, pair);
  say("4. Start them, each on its host:");
  say_starts_of(plan);
  std::string routers;
  for (const RouterInfo& router : plan.map.routers)
    routers += (routers.empty() ? "" : ",") + router.endpoint.substr(6);
  say(
      fmt::format("5. Mount it on any machine, or say the same in /etc/fstab:\n"
                  "     mount -t fuse.pairfs {} /mnt\n\n"
                  "docs/operating.md says the rest.",
                  routers));
}

int init(const InitRequest& request) {
  auto plan = plan_cluster(request, random_id());
  if (!plan.ok()) return report(plan.problem());
  if (Trouble trouble = check_storage(request)) return report(*trouble);
  const fs::path output = canonical_path(request.output);
  boost::system::error_code error;
  const bool was_there = fs::exists(output, error);
  if (Trouble trouble = claim_output(output)) return report(*trouble);
  if (Trouble trouble = write_files(request, *plan, output)) {
    give_up_output(output, was_there);
    return report(*trouble);
  }
  say_what_to_do(request, *plan, output);
  return kExitFine;
}

}  // namespace

void add_init(CLI::App& app, int& exit_code) {
  auto* command =
      app.add_subcommand("init", "Write the configuration of a cluster of real machines");
  auto request = std::make_shared<InitRequest>();
  command->add_option("--pair", request->pairs, "The two hosts of a pair; once per pair")
      ->type_name("HOSTA,HOSTB")
      ->required()
      ->allow_extra_args(false);
  command
      ->add_option("--router", request->routers,
                   "A router's host; once per router (default: the hosts of the first pair)")
      ->type_name("HOST")
      ->allow_extra_args(false);
  command->add_option("--out", request->output, "Where to write; absent or empty")
      ->type_name("DIR")
      ->required();
  command->add_option("--map", request->map,
                      "Keep the map in ZooKeeper: zookeeper://HOST:2181[,HOST:2181...]/DIRECTORY"
                      " (default: the first router holds it)");
  add_host_options(*command, *request);
  command->footer(
      "Example:\n"
      "  pairfs init --pair node1,node2 --pair node3,node4 --router node1 --router node3 --out "
      "cluster");
  command->callback([=, &exit_code] { exit_code = init(*request); });
}

}  // namespace pairfs::cli
