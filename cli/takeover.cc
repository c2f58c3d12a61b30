// pairfs takeover and pairfs giveback: planned changes of who executes.
#include <thread>

#include "cli/commands.h"
#include "cli/moves.h"

namespace pairfs::cli {
namespace {

struct Wish {
  ClusterOptions cluster;
  std::string node;
  bool check = false;
  int timeout_seconds = 30;
};

// A partner that joins and catches up is ready in a moment, as after a takeover that has just been
// made.
constexpr std::chrono::seconds kJoinPatience(5);

Trouble ask_when_ready(const Picture& picture, const Move& move, bool check) {
  const auto limit = std::chrono::steady_clock::now() + kJoinPatience;
  for (;;) {
    Trouble problem = ask_hand_over(picture, move, check);
    const bool soon = problem && (problem->sentence.ends_with("the partner is catching up") ||
                                  problem->sentence.ends_with("the partner is not connected"));
    if (check || !soon || std::chrono::steady_clock::now() > limit) return problem;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

int change(const Wish& wish, bool back) {
  auto reach = find_cluster(wish.cluster);
  if (!reach.ok()) return report(reach.problem());
  Picture picture = gather(*reach, std::chrono::seconds(1));
  if (!picture.map_live) return report(failed("none of the cluster's routers answers"));
  if (picture.map.pair_of(wish.node) == nullptr)
    return report(refused("the cluster has no node \"{}\"; pairfs status lists them", wish.node));
  const std::vector<Move> moves = moves_for(picture, wish.node, back);
  for (const Move& move : moves)
    if (auto problem = ask_when_ready(picture, move, wish.check)) return report(*problem);
  if (wish.check) {
    say("yes");
    return kExitFine;
  }
  if (moves.empty()) say(back ? "its home volumes are with it already" : "it executes no volume");
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(wish.timeout_seconds);
  for (const Move& move : moves) {
    for (;;) {
      picture = gather(*reach, std::chrono::seconds(1));
      if (has_moved(picture, move)) break;
      if (std::chrono::steady_clock::now() > limit)
        return report(failed("{} does not serve volume {} yet", move.to, to_string(move.volume)));
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    say(fmt::format("volume {} is executed by {} now", to_string(move.volume), move.to));
  }
  return kExitFine;
}

std::shared_ptr<Wish> options(CLI::App& command) {
  auto wish = std::make_shared<Wish>();
  add_cluster_options(command, wish->cluster);
  command.add_option("NODE", wish->node, "A node's name, as in pairfs status: 1a, 1b, 2a ...")
      ->required();
  command.add_option("--timeout", wish->timeout_seconds, "Give up waiting after this many seconds")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  return wish;
}

}  // namespace

void add_takeover(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand(
      "takeover", "Let a node's partner take all its volumes, as before a reboot");
  auto wish = options(*command);
  command->add_flag("--check", wish->check, "Only tell whether it could be done now, and why not");
  command->footer(
      "The volumes stay with the partner until pairfs giveback, or until the node was\n"
      "restarted.\n\nExamples:\n  pairfs takeover 1a --check\n  pairfs takeover 1a");
  command->callback([=, &exit_code] { exit_code = change(*wish, false); });
}

void add_giveback(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("giveback", "Give a node its home volumes back");
  auto wish = options(*command);
  command->footer("Example:\n  pairfs giveback 1a");
  command->callback([=, &exit_code] { exit_code = change(*wish, true); });
}

}  // namespace pairfs::cli
