#include "cli/init_output.h"

#include <sys/stat.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "cli/commands.h"
#include "cli/create.h"

namespace pairfs::cli {

void add_host_options(CLI::App& command, InitRequest& request) {
  command.add_option("--elements", request.elements, "Storage elements of each volume")
      ->capture_default_str();
  command.add_option("--raid", request.raid_level, "RAID level of the volumes")
      ->type_name("LEVEL")
      ->capture_default_str();
  command
      .add_option("--reach", request.reach,
                  "dir: both hosts of a pair open every element; partner: each has every second"
                  " one to itself, and reaches the others through its partner")
      ->check(CLI::IsMember({"dir", "partner"}))
      ->capture_default_str();
  command
      .add_option("--element-dir", request.element_directory,
                  "Where each host mounts the elements: DIR/1.0-e0 and so on")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_option("--state-dir", request.state_directory, "Where daemons keep their state")
      ->type_name("DIR")
      ->capture_default_str();
  command.add_option("--port", request.port, "A host's first port")->capture_default_str();
}

Trouble check_storage(const InitRequest& request) {
  ClusterPlan storage;
  storage.elements = request.elements;
  storage.raid_level = request.raid_level;
  storage.reach = request.reach;
  return check_plan(storage);
}

Trouble claim_output(const fs::path& output) {
  boost::system::error_code error;
  if (fs::exists(output, error)) {
    if (!fs::is_directory(output, error)) return refused("{} is not a directory", output.string());
    if (!fs::is_empty(output, error) || error)
      return refused(
          "{} is not empty, and a cluster that is there is not overwritten; name another"
          " directory with --out",
          output.string());
    return std::nullopt;
  }
  if (::mkdir(output.c_str(), 0700) != 0)
    return refused("cannot make the directory {}: {}", output.string(), std::strerror(errno));
  return std::nullopt;
}

void give_up_output(const fs::path& output, bool was_there) {
  boost::system::error_code error;
  for (fs::directory_iterator entry(output, error), end; !error && entry != end;
       entry.increment(error))
    fs::remove_all(entry->path(), error);
  if (!was_there) fs::remove(output, error);
}

Trouble write_node(const InitRequest& request, const InitPlan& plan, const NodeInfo& node,
                   const fs::path& output) {
  const fs::path directory = output / plan.host_of.at(node.name);
  if (Trouble trouble = make_private_directory(directory)) return trouble;
  return write_file(directory / (std::string(node.name) + ".toml"),
                    annotated_node(request, plan, node));
}

Trouble write_nodes(const InitRequest& request, const InitPlan& plan, const PairInfo& pair,
                    const fs::path& output) {
  for (const NodeInfo& node : pair.nodes)
    if (Trouble trouble = write_node(request, plan, node, output)) return trouble;
  return std::nullopt;
}

void say_files_of(const InitPlan& plan, const fs::path& output) {
  std::set<std::string> hosts;
  for (const auto& [name, host] : plan.host_of) hosts.insert(host);
  for (const std::string& host : hosts)
    say(fmt::format("     scp {}/*.toml root@{}:/etc/pairfs/", (output / host).string(), host));
}

void say_elements_of(const InitPlan& plan, const PairInfo& pair) {
  std::string both;
  for (const NodeInfo& node : pair.nodes)
    both += (both.empty() ? "" : " and ") + plan.host_of.at(node.name);
  for (const VolumeInfo& volume : pair.volumes)
    for (const ElementInfo& element : volume.elements) {
      const BytesView reach = element.reach;
      const std::string where =
          reach == "dir" ? both : plan.host_of.at(std::string(reach.substr(reach.find(':') + 1)));
      say(fmt::format("     {} on {}", element.path.c_str(), where));
    }
}

void say_starts_of(const InitPlan& plan) {
  for (const auto& [name, host] : plan.host_of)
    say(fmt::format("     {}: systemctl enable --now pairfs-{}@{}", host,
                    name[0] == 'r' ? "router" : "node", name));
}

}  // namespace pairfs::cli
