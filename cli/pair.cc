// pairfs pair add, drain, remove: a cluster grows and shrinks while it runs.
#include <signal.h>

#include <thread>

#include "cli/add_pair.h"
#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/endpoints.h"
#include "cli/init_output.h"
#include "cli/local_daemons.h"
#include "cli/map_change.h"
#include "cli/rebalance.h"
#include "common/slice_plan.h"

namespace pairfs::cli {
namespace {

struct Wish {
  ClusterOptions cluster;
  bool local = false;
  InitRequest hosts;
  std::vector<std::string> nodes, elements;
  unsigned pair = 0;
  bool wait = false, undo = false, forget = false;
  int timeout_seconds = 86'400;
};

int add_local(const Wish& wish) {
  const fs::path directory = chosen_directory(wish.cluster);
  auto cluster = read_cluster(directory);
  if (!cluster.ok()) return report(cluster.problem());
  auto settings = read_supervisor_settings(*cluster);
  if (!settings.ok()) return report(settings.problem());
  auto lock = FileLock::try_take(cluster->lock());
  if (!lock.ok()) return report(lock.problem());
  if (!*lock)
    return report(
        refused("another pairfs up or down is at work on {}; wait for it", directory.string()));
  if (Trouble trouble = add_local_pair(directory, *settings)) return report(*trouble);
  say("it has nothing yet; pairfs rebalance start gives it its share");
  return kExitFine;
}

Outcome<RemotePair> remote_pair(const Wish& wish) {
  RemotePair pair;
  for (const std::string& text : wish.nodes) {
    auto endpoints = parse_endpoints(text);
    if (!endpoints.ok()) return endpoints.problem();
    if (endpoints->size() != 2)
      return refused(
          "--node \"{}\" should be two endpoints, for commands and for the partner:"
          " tcp://HOST:PORT,tcp://HOST:PORT",
          text);
    pair.nodes.push_back({(*endpoints)[0], (*endpoints)[1]});
  }
  if (pair.nodes.size() != 2)
    return refused(
        "a pair has two nodes: give --local, --pair HOSTA,HOSTB, or --node twice (you gave it {} "
        "times)",
        pair.nodes.size());
  if (wish.elements.size() < 2)
    return refused("give --element at least twice: directories on disks that both nodes can open");
  pair.elements = wish.elements;
  pair.raid_level = wish.hosts.raid_level;
  return pair;
}

int add(const Wish& wish) {
  if (wish.local) {
    if (!wish.nodes.empty() || !wish.elements.empty())
      return report(
          refused("--local makes nodes and elements itself; leave --node and --element out"));
    return add_local(wish);
  }
  const bool by_hosts = !wish.hosts.pairs.empty();
  if (by_hosts && wish.hosts.output.empty())
    return report(
        refused("--pair needs --out DIR, where the configuration of its nodes is written"));
  if (by_hosts && (!wish.nodes.empty() || !wish.elements.empty()))
    return report(
        refused("--pair chooses endpoints and elements itself; leave --node and --element out"));
  if (by_hosts)
    if (Trouble trouble = check_storage(wish.hosts)) return report(*trouble);
  auto pair = by_hosts ? Outcome<RemotePair>(RemotePair()) : remote_pair(wish);
  if (!pair.ok()) return report(pair.problem());
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  const Picture picture = gather(*reach, std::chrono::seconds(1));
  if (!picture.map_live) return report(failed("none of the cluster's routers answers"));
  Trouble trouble =
      by_hosts ? add_pair_of_hosts(picture, wish.hosts) : add_remote_pair(picture, *pair);
  if (trouble) return report(*trouble);
  return kExitFine;
}

const PairInfo* find_pair(const Picture& picture, unsigned id) {
  for (const PairInfo& pair : picture.map.pairs)
    if (pair.id == id) return &pair;
  return nullptr;
}

// The live picture with the pair in it.
Outcome<Picture> picture_with(const Wish& wish) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return reach.problem();
  Picture picture = gather(*reach, std::chrono::seconds(1));
  if (!picture.map_live) return failed("none of the cluster's routers answers");
  if (find_pair(picture, wish.pair) == nullptr)
    return refused("the cluster has no pair {}; pairfs status lists them", wish.pair);
  return picture;
}

int drain(const Wish& wish) {
  auto picture = picture_with(wish);
  if (!picture.ok()) return report(picture.problem());
  const auto id = static_cast<uint16_t>(wish.pair);
  size_t others = 0;
  for (const PairInfo& pair : picture->map.pairs)
    others += pair.id != id && !picture->policy.is_draining(pair.id) ? 1 : 0;
  if (!wish.undo && others == 0)
    return report(
        refused("pair {} is the last one that is not drained, so nobody could take what it"
                " has; add another pair first",
                id));
  Trouble trouble = change_policy(*picture, [&](ClusterPolicy& policy) {
    std::erase(policy.draining, id);
    if (wish.undo) return;
    policy.draining.push_back(id);
    policy.rebalance = ClusterPolicy::kRunning;
  });
  if (trouble) return report(*trouble);
  if (wish.undo) {
    say(fmt::format(
        "pair {} is a pair as the others again; pairfs rebalance start gives it its share", id));
    return kExitFine;
  }
  if (!wish.wait) {
    say(fmt::format("pair {} is being drained; pairfs rebalance status shows how far it is", id));
    return kExitFine;
  }
  return wait_for_rebalance(wish.cluster, wish.timeout_seconds);
}

// Why the pair cannot go yet; empty: it can.
std::string what_it_has(const Picture& picture, const PairInfo& pair) {
  for (const VolumeInfo& volume : pair.volumes) {
    const size_t slices = picture.map.slices_of(volume.id).size();
    if (slices != 0)
      return fmt::format("volume {} still has {} slices; pairfs pair drain {} moves them away",
                         to_string(volume.id), slices, pair.id);
    const auto record = picture.records.find(volume.id);
    const std::string executor =
        record == picture.records.end() ? "" : record->second.executor.name;
    const auto node = picture.nodes.find(executor);
    if (node == picture.nodes.end())
      return fmt::format(
          "nobody who executes volume {} answers, so it is not known whether others"
          " still need it",
          to_string(volume.id));
    for (const auto& status : node->second["volumes"]) {
      if (status.value("id", "") != to_string(volume.id) || !status.contains("slices")) continue;
      const size_t open = status["slices"].value("moving", size_t{0}) +
                          status["transactions"].value("held", size_t{0}) +
                          status["transactions"].value("decided", size_t{0});
      if (open != 0)
        return fmt::format("volume {} still ends {} moves and transactions; try again in a moment",
                           to_string(volume.id), open);
    }
  }
  return "";
}

int remove(const Wish& wish) {
  auto picture = picture_with(wish);
  if (!picture.ok()) return report(picture.problem());
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  for (;;) {
    const std::string why = what_it_has(*picture, *find_pair(*picture, wish.pair));
    if (why.empty()) break;
    if (why.find("slices") != std::string::npos || std::chrono::steady_clock::now() > limit)
      return report(refused("pair {} cannot be removed: {}", wish.pair, why));
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
    picture = picture_with(wish);
    if (!picture.ok()) return report(picture.problem());
  }
  Trouble trouble =
      change_map(*picture, kClusterKey, [&](const auto& current, const auto&) -> Outcome<Bytes> {
        auto map = current ? decode<ClusterMap>(*current) : std::nullopt;
        if (!map) return failed("the cluster's map cannot be read");
        for (const SliceRange& range : map->slices)
          if (range.volume.pair == wish.pair)
            return refused("pair {} got slices again at this moment; drain it first", wish.pair);
        std::erase_if(map->pairs, [&](const PairInfo& pair) { return pair.id == wish.pair; });
        return encode(*map);
      });
  if (trouble) return report(*trouble);
  trouble = change_policy(*picture, [&](ClusterPolicy& policy) {
    std::erase(policy.draining, static_cast<uint16_t>(wish.pair));
  });
  if (trouble) return report(*trouble);
  auto reach = find_cluster(wish.cluster);
  if (reach.ok() && reach->local) {
    Cluster& cluster = *reach->local;
    for (const NodeInfo& node : find_pair(*picture, wish.pair)->nodes)
      std::erase(cluster.nodes, std::string(node.name));
    if (Trouble failure = write_cluster(cluster)) return report(*failure);
    if (const auto supervisor = running_supervisor(cluster)) send_signal(*supervisor, SIGHUP);
  }
  say(fmt::format(
      "removed pair {}; the directories of its nodes and elements are still there, and hold"
      " nothing that the cluster needs",
      wish.pair));
  return kExitFine;
}

void add_pair_option(CLI::App& command, Wish& wish) {
  command.add_option("ID", wish.pair, "A pair's number, as in pairfs status")->required();
  add_cluster_options(command, wish.cluster);
}

}  // namespace

void add_pair(CLI::App& app, int& exit_code) {
  auto* group = app.add_subcommand("pair", "Add, drain and remove pairs of a running cluster");
  group->require_subcommand(1);
  auto wish = std::make_shared<Wish>();

  auto* adding = group->add_subcommand("add", "Add a pair");
  add_cluster_options(*adding, wish->cluster);
  adding->add_flag("--local", wish->local, "Make its nodes on this machine, and start them");
  adding
      ->add_option("--node", wish->nodes,
                   "Where a node is reached, by all and by its partner; twice")
      ->type_name("ENDPOINT,ENDPOINT");
  adding->add_option("--element", wish->elements, "A directory that both nodes can open; repeat it")
      ->type_name("DIR");
  adding->add_option("--pair", wish->hosts.pairs, "The two hosts of the pair, as for pairfs init")
      ->type_name("HOSTA,HOSTB")
      ->expected(1);
  adding->add_option("--out", wish->hosts.output, "With --pair: where to write; absent or empty")
      ->type_name("DIR");
  add_host_options(*adding, wish->hosts);
  adding->footer(
      "The new pair has nothing until pairfs rebalance start.\n\n"
      "Examples:\n"
      "  pairfs pair add --local\n"
      "  pairfs pair add --router router1:7400 --pair node5,node6 --out pair3\n"
      "  pairfs pair add --node tcp://n1:7400,tcp://n1:7401 --node tcp://n2:7400,tcp://n2:7401"
      " \\\n      --element /disks/0 --element /disks/1");
  adding->callback([=, &exit_code] { exit_code = add(*wish); });

  auto* draining = group->add_subcommand("drain", "Move all that a pair has to the others");
  add_pair_option(*draining, *wish);
  draining->add_flag("--wait", wish->wait, "Wait until it is done, and show how far it is");
  draining->add_flag("--undo", wish->undo, "Let it have its share again");
  draining->add_option("--timeout", wish->timeout_seconds,
                       "Give up waiting after this many seconds");
  draining->footer("Clients go on meanwhile.\n\nExample:\n  pairfs pair drain 2 --wait");
  draining->callback([=, &exit_code] { exit_code = drain(*wish); });

  auto* removing = group->add_subcommand("remove", "Remove a pair that was drained");
  add_pair_option(*removing, *wish);
  removing->footer("Example:\n  pairfs pair remove 2");
  removing->callback([=, &exit_code] { exit_code = remove(*wish); });
}

}  // namespace pairfs::cli
