// pairfs volume start and resolve: what only an operator can decide (P9, P10). Both say first what
// would be lost, and do it only with --yes.
#include <thread>

#include "cli/ask.h"
#include "cli/commands.h"
#include "cli/volumes.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

struct Wish {
  ClusterOptions cluster;
  std::string volume, node, keep;
  bool alone = false, yes = false;
  int timeout_seconds = 30;
};

// One volume, as its pair's nodes tell of it. A node that does not answer has a null history.
struct Case {
  VolumeId id;
  std::string volume;
  VolumeRecord record;
  std::string names[2];
  Json history[2];
  bool serves[2] = {};
};

Outcome<Json> ask(const Picture& picture, const std::string& node, const char* verb,
                  const Json& arguments) {
  const auto answers = ask_all({question(picture.map.find_node(node)->endpoint,
                                         AdminRequest{Bytes(verb), arguments.dump()})},
                               picture.cluster_id, seconds(2));
  const auto reply = answers[0] ? decode<AdminReply>(answers[0]->body) : std::nullopt;
  if (!reply) return failed("node {} does not answer", node);
  Json json = Json::parse(reply->json, nullptr, false);
  if (!json.is_object()) return failed("node {} gives an answer that cannot be read", node);
  if (!reply->ok) return failed("node {}: {}", node, json.value("error", "no reason given"));
  return json;
}

bool serves(const Picture& picture, const std::string& node, const std::string& volume) {
  const auto found = picture.nodes.find(node);
  if (found == picture.nodes.end() || !found->second.contains("volumes")) return false;
  for (const Json& each : found->second["volumes"])
    if (each.value("id", "") == volume) return each.value("serving", false);
  return false;
}

Case case_of(const Picture& picture, const PairInfo& pair, const VolumeInfo& volume) {
  Case out{volume.id, to_string(volume.id), {}, {}, {}, {}};
  const auto record = picture.records.find(volume.id);
  if (record != picture.records.end()) out.record = record->second;
  for (size_t i = 0; i < 2 && i < pair.nodes.size(); ++i) {
    out.names[i] = std::string(pair.nodes[i].name);
    out.serves[i] = serves(picture, out.names[i], out.volume);
    auto history = ask(picture, out.names[i], "history", {{"volume", out.volume}});
    if (history.ok()) out.history[i] = std::move(*history);
  }
  return out;
}

// The volumes that are meant: one, or all of the pairs (of the node's pair, when one is named).
Outcome<std::vector<Case>> cases(const Picture& picture, const std::string& volume,
                                 const std::string& node) {
  if (!picture.map_live) return failed("none of the cluster's routers answers");
  if (!node.empty() && picture.map.pair_of(node) == nullptr)
    return refused("the cluster has no node \"{}\"; pairfs status lists them", node);
  std::vector<Case> out;
  for (const PairInfo& pair : picture.map.pairs) {
    if (!node.empty() && picture.map.pair_of(node)->id != pair.id) continue;
    for (const VolumeInfo& each : pair.volumes)
      if (volume.empty() || to_string(each.id) == volume)
        out.push_back(case_of(picture, pair, each));
  }
  if (out.empty())
    return refused("there is no volume \"{}\" there; pairfs status lists them", volume);
  return out;
}

uint64_t number(const Json& history, const char* key) { return history.value(key, uint64_t{0}); }

bool better(const Json& a, const Json& b) {
  const auto rank = [](const Json& h) {
    return std::tuple(!h.value("damaged", false), number(h, "last_epoch"), number(h, "last"));
  };
  return rank(a) > rank(b);
}

// ---- start --alone ----

// What a start of the volume on that node costs.
std::string loss_of_start(const Case& c, size_t i) {
  const Json& h = c.history[i];
  const std::string& node = c.names[i];
  const std::string& other = c.names[1 - i];
  std::string text =
      fmt::format("volume {} would start on {}, whose log ends with record {} of epoch {}",
                  c.volume, node, number(h, "last"), number(h, "last_epoch"));
  const bool other_alone = c.record.solo && c.record.executor.name == other;
  if (h.value("damaged", false))
    text += fmt::format(
        "; the records behind it, which were on stable storage once, cannot be read there:"
        " they are lost");
  if (other_alone)
    text += fmt::format(
        "; since epoch {} {} has served the volume alone: whatever it answered since then"
        " is lost, until its log is kept instead (pairfs volume resolve)",
        c.record.epoch, other);
  else if (number(h, "last_epoch") < c.record.epoch)
    text += fmt::format("; the map knows epoch {}: whatever was answered since it began is lost",
                        c.record.epoch);
  else if (!h.value("power_kept", true))
    text +=
        "; its machine has restarted since: of what nobody fsynced, at most the last 50 ms before"
        " that are lost";
  else
    text += "; nothing that was answered is known to be missing";
  if (c.history[1 - i].is_null()) text += fmt::format(" ({} does not answer)", other);
  return text;
}

int start(const Wish& wish) {
  if (!wish.alone)
    return report(
        refused("volumes start by themselves when nothing can be lost by it; with --alone one"
                " starts although something may be"));
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  Picture picture = gather(*reach, seconds(1));
  auto all = cases(picture, wish.volume, wish.node);
  if (!all.ok()) return report(all.problem());
  std::vector<std::pair<std::string, std::string>> chosen;  // volume, node
  for (const Case& c : *all) {
    if (c.serves[0] || c.serves[1]) {
      say(fmt::format("volume {} is served by {}", c.volume, c.names[c.serves[0] ? 0 : 1]));
      continue;
    }
    size_t i =
        c.history[0].is_null() || (!c.history[1].is_null() && better(c.history[1], c.history[0]));
    if (!wish.node.empty()) i = c.names[0] == wish.node ? 0 : 1;
    if (c.history[i].is_null())
      return report(failed("node {} does not answer, so nothing can start there", c.names[i]));
    auto checked = ask(picture, c.names[i], "start_alone", {{"volume", c.volume}, {"check", true}});
    if (!checked.ok()) return report(checked.problem());
    say(loss_of_start(c, i));
    chosen.emplace_back(c.volume, c.names[i]);
  }
  if (chosen.empty()) return kExitFine;
  if (!wish.yes) return report(refused("nothing was changed; add --yes to do it"));
  for (const auto& [volume, node] : chosen)
    if (auto asked = ask(picture, node, "start_alone", {{"volume", volume}}); !asked.ok())
      return report(asked.problem());
  const auto limit = std::chrono::steady_clock::now() + seconds(wish.timeout_seconds);
  for (const auto& [volume, node] : chosen) {
    while (!serves(picture, node, volume)) {
      if (std::chrono::steady_clock::now() > limit)
        return report(
            failed("{} does not serve volume {} yet; its log file says why", node, volume));
      std::this_thread::sleep_for(milliseconds(50));
      picture = gather(*reach, seconds(1));
    }
    say(fmt::format("volume {} is served by {} now", volume, node));
  }
  return kExitFine;
}

// ---- resolve ----

Outcome<std::string> chain(const Picture& picture, const std::string& node,
                           const std::string& volume, uint64_t at) {
  auto answer = ask(picture, node, "history", {{"volume", volume}, {"at", at}});
  if (!answer.ok()) return answer.problem();
  return answer->value("chain", std::string());
}

// The last record that both logs have in common, as far as they reach back.
Outcome<uint64_t> fork_of(const Picture& picture, const Case& c) {
  uint64_t low = std::max(number(c.history[0], "base"), number(c.history[1], "base"));
  uint64_t high = std::min(number(c.history[0], "last"), number(c.history[1], "last"));
  while (low < high) {
    const uint64_t middle = low + (high - low + 1) / 2;
    auto a = chain(picture, c.names[0], c.volume, middle);
    auto b = chain(picture, c.names[1], c.volume, middle);
    if (!a.ok()) return a.problem();
    if (!b.ok()) return b.problem();
    if (*a == *b)
      low = middle;
    else
      high = middle - 1;
  }
  return low;
}

int resolve(const Wish& wish) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  Picture picture = gather(*reach, seconds(1));
  auto all = cases(picture, wish.volume, wish.keep);
  if (!all.ok()) return report(all.problem());
  std::vector<const Case*> diverged;
  for (const Case& c : *all) {
    const size_t keep = c.names[0] == wish.keep ? 0 : 1, drop = 1 - keep;
    for (const size_t i : {keep, drop})
      if (c.history[i].is_null())
        return report(
            failed("node {} does not answer; both nodes must be up, to be compared", c.names[i]));
    if (!c.history[keep].value("diverged", false) && !c.history[drop].value("diverged", false)) {
      say(fmt::format("volume {}: its histories have not diverged", c.volume));
      continue;
    }
    auto fork = fork_of(picture, c);
    if (!fork.ok()) return report(fork.problem());
    const auto beyond = [&](size_t i) {
      const uint64_t last = number(c.history[i], "last");
      return last <= *fork ? std::string("nothing of its own")
                           : fmt::format("records {} to {}", *fork + 1, last);
    };
    say(fmt::format(
        "volume {}: both logs are the same up to record {}; behind it {} has {}, which stay, and"
        " {} has {}, which would be lost",
        c.volume, *fork, c.names[keep], beyond(keep), c.names[drop], beyond(drop)));
    diverged.push_back(&c);
  }
  if (diverged.empty()) return kExitFine;
  if (!wish.yes) return report(refused("nothing was changed; add --yes to do it"));
  for (const Case* c : diverged) {
    const std::string& drop = c->names[c->names[0] == wish.keep ? 1 : 0];
    if (c->record.executor.name != wish.keep) {
      auto asked = ask(picture, wish.keep, "start_alone", {{"volume", c->volume}, {"force", true}});
      if (!asked.ok()) return report(asked.problem());
    }
    auto asked = ask(picture, drop, "drop_history", {{"volume", c->volume}});
    if (!asked.ok()) return report(asked.problem());
  }
  const auto limit = std::chrono::steady_clock::now() + seconds(wish.timeout_seconds);
  for (const Case* c : diverged) {
    for (;;) {
      picture = gather(*reach, seconds(1));
      const auto record = picture.records.find(c->id);
      if (record != picture.records.end() && !record->second.solo &&
          record->second.executor.name == wish.keep && serves(picture, wish.keep, c->volume))
        break;
      if (std::chrono::steady_clock::now() > limit)
        return report(
            failed("volume {} is not in step on both nodes yet; pairfs status shows how far it is",
                   c->volume));
      std::this_thread::sleep_for(milliseconds(50));
    }
    say(fmt::format("volume {} is served by {}, and its partner has caught up", c->volume,
                    wish.keep));
  }
  return kExitFine;
}

}  // namespace

void add_volume(CLI::App& app, int& exit_code) {
  auto* group = app.add_subcommand("volume", "Decide for a volume that cannot decide by itself");
  group->require_subcommand(1);
  auto wish = std::make_shared<Wish>();
  const auto common = [wish](CLI::App* command) {
    add_cluster_options(*command, wish->cluster);
    command->add_option("VOLUME", wish->volume,
                        "As in pairfs status: 1.0 (default: all that need it)");
    command->add_flag("--yes", wish->yes, "Do it; without this, only say what would be lost");
    command
        ->add_option("--timeout", wish->timeout_seconds, "Give up waiting after this many seconds")
        ->check(CLI::Range(1, 3600))
        ->capture_default_str();
  };
  auto* starting =
      group->add_subcommand("start", "Start a volume on a node whose log may lack something");
  common(starting);
  starting->add_flag("--alone", wish->alone, "Without its partner");
  starting->add_option("--node", wish->node, "Where (default: the node that answers, or has more)");
  starting->footer(
      "For a volume that waits for a node which will not come back soon.\n\nExamples:\n"
      "  pairfs volume start --alone\n  pairfs volume start 1.0 --alone --node 1b --yes");
  starting->callback([=, &exit_code] { exit_code = start(*wish); });

  auto* resolving =
      group->add_subcommand("resolve", "Keep one of two histories that have diverged");
  common(resolving);
  resolving->add_option("--keep", wish->keep, "The node whose history stays")->required();
  resolving->footer(
      "After a start --alone, when the other node came back with answers of its own. Its log\n"
      "is set aside (previous.*) until the next consistency point.\n\nExample:\n"
      "  pairfs volume resolve --keep 1b --yes");
  resolving->callback([=, &exit_code] { exit_code = resolve(*wish); });
}

}  // namespace pairfs::cli
