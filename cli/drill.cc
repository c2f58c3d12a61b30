// pairfs drill: makes something fail on a live cluster under load, on purpose, and shows what the
// cluster did about it, when, and what an application saw of it.
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cstring>
#include <thread>

#include "cli/commands.h"
#include "cli/drill_load.h"
#include "cli/drill_timeline.h"
#include "cli/local_daemons.h"
#include "cli/mount_point.h"
#include "cli/moves.h"
#include "cli/status_report.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Clock = std::chrono::steady_clock;

enum class Fault { kKill, kFreeze, kPlanned };

struct DrillWish {
  ClusterOptions where;
  bool kill = false, freeze = false, planned = false, json = false;
  std::string target;  // a node or, with kill, a router; empty: the first node that executes
  std::string mount;   // empty: the cluster's own
  std::string load = "creates";
  unsigned threads = 2;
  int timeout_seconds = 60;
  Fault fault() const { return kill ? Fault::kKill : freeze ? Fault::kFreeze : Fault::kPlanned; }
};

// A directory of the drill's own in the mounted filesystem, gone with everything in it at the end.
class DrillDirectory {
 public:
  ~DrillDirectory() {
    boost::system::error_code error;
    if (!top_.empty()) fs::remove_all(top_, error);
  }
  // Directories of the second level are spread over the volumes: one on the volume that is meant.
  Trouble make(const fs::path& mount, const ClusterMap& map, std::optional<VolumeId> volume) {
    std::string name = (mount / "pairfs-drill.XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr)
      return failed("cannot make a directory in {}: {}", mount.string(), std::strerror(errno));
    top_ = name;
    for (int i = 0; i < 256; ++i) {
      path_ = top_ / fmt::format("d{}", i);
      struct stat st {};
      if (::mkdir(path_.c_str(), 0700) != 0 || ::stat(path_.c_str(), &st) != 0)
        return failed("cannot make a directory in {}: {}", top_.string(), std::strerror(errno));
      const auto slice = static_cast<Slice>(static_cast<uint64_t>(st.st_ino) >> 48);
      if (!volume || map.volume_of(slice) == *volume) return std::nullopt;
    }
    return failed("no directory came to be on volume {}", to_string(*volume));
  }
  const fs::path& path() const { return path_; }
  void abandon() { top_.clear(); }

 private:
  fs::path top_, path_;
};

class Drill {
 public:
  explicit Drill(const DrillWish& wish) : wish_(wish) {}
  int run();

 private:
  Trouble choose();
  Trouble strike();
  Trouble change(const std::vector<Move>& moves, const char* what);
  Trouble wait_for_progress(const std::optional<Move>& move, const std::string& what);
  void note_period(const char* name, const std::optional<Move>& move);
  void print() const;
  std::chrono::time_point<Clock> limit() const {
    return Clock::now() + seconds(wish_.timeout_seconds);
  }
  void look() { picture_ = gather(*reach_, seconds(1)); }

  const DrillWish& wish_;
  std::optional<Reach> reach_;
  Picture picture_;
  SupervisorSettings settings_;
  fs::path mount_;
  std::optional<Daemon> daemon_;  // the target's process, for kill and freeze
  std::vector<Move> moves_;       // what is expected to move, or what is moved
  std::unique_ptr<DrillLoad> load_;
  int64_t began_ns_ = 0;  // of the period, CLOCK_REALTIME
  Json out_;
};

Trouble Drill::choose() {
  auto reach = find_cluster(wish_.where);
  if (!reach.ok()) return reach.problem();
  reach_ = std::move(*reach);
  look();
  if (!picture_.map_live) return failed("none of the cluster's routers answers");
  if (wish_.fault() != Fault::kPlanned && !reach_->local)
    return refused(
        "only processes of this machine can be killed or frozen: name the cluster by "
        "its directory (--dir), or use --planned");
  mount_ = wish_.mount;
  if (reach_->local) {
    auto settings = read_supervisor_settings(*reach_->local);
    if (!settings.ok()) return settings.problem();
    settings_ = *settings;
    if (mount_.empty()) mount_ = settings_.mount;
  }
  if (mount_.empty() || probe(mount_, 2000) != Answer::kAlive)
    return refused(
        "the cluster must be mounted where the drill can work; name the place by --mount");
  std::string target = wish_.target;
  for (const auto& [volume, record] : picture_.records)
    if (target.empty()) target = record.executor.name;
  const bool is_node = picture_.map.pair_of(target) != nullptr;
  if (reach_->local)
    for (const Daemon& daemon : reach_->local->daemons())
      if (daemon.name == target) daemon_ = daemon;
  if (!is_node && !(daemon_ && wish_.fault() == Fault::kKill))
    return refused("the cluster has no node \"{}\"{}; pairfs status lists them", target,
                   wish_.kill ? ", and no router of that name" : "");
  if (is_node) {
    moves_ = moves_for(picture_, target, false);
    if (moves_.empty()) return refused("node {} executes no volume now", target);
    for (const Move& move : moves_)
      if (auto trouble = ask_hand_over(picture_, move, true)) return trouble;
  }
  out_["fault"] = wish_.kill ? "kill" : wish_.freeze ? "freeze" : "planned";
  out_["target"] = target;
  out_["volume"] = moves_.empty() ? "" : to_string(moves_.front().volume);
  out_["load"] = wish_.load;
  out_["periods"] = Json::array();
  return std::nullopt;
}

// Until the loop has done a whole round since the period began, and the volume is served.
Trouble Drill::wait_for_progress(const std::optional<Move>& move, const std::string& what) {
  const auto until = limit();
  for (;;) {
    std::this_thread::sleep_for(milliseconds(100));
    bool there = load_->progressed();
    if (there && move) {
      look();
      there = has_moved(picture_, *move);
    }
    if (there) return std::nullopt;
    if (Clock::now() > until)
      return failed(
          "{} s after the {} no write has ended{}", wish_.timeout_seconds, what,
          move ? fmt::format(", or {} does not serve volume {}", move->to, to_string(move->volume))
               : "");
  }
}

void Drill::note_period(const char* name, const std::optional<Move>& move) {
  const DrillLoad::Pauses pauses = load_->since_mark();
  Json period = {{"what", name},
                 {"longest_pause_ms", pauses.longest_ms},
                 {"median_ms", pauses.median_ms},
                 {"rounds", pauses.rounds}};
  period["timeline"] =
      move ? timeline_of(picture_, move->volume, move->to, began_ns_) : Json::array();
  out_["periods"].push_back(period);
}

Trouble Drill::change(const std::vector<Move>& moves, const char* what) {
  load_->mark();
  began_ns_ = wall_clock_ns();
  for (const Move& move : moves)
    if (auto trouble = ask_hand_over(picture_, move, false)) return trouble;
  if (auto trouble = wait_for_progress(moves.front(), what)) return trouble;
  std::this_thread::sleep_for(milliseconds(500));
  note_period(what, moves.front());
  return std::nullopt;
}

Trouble Drill::strike() {
  if (wish_.fault() == Fault::kPlanned) {
    if (auto trouble = change(moves_, "takeover")) return trouble;
    for (Move& move : moves_) std::swap(move.from, move.to);
    return change(moves_, "giveback");
  }
  const auto process = running(*daemon_);
  if (!process) return failed("{} does not run", daemon_->name);
  const std::optional<Move> move =
      moves_.empty() ? std::nullopt : std::optional<Move>(moves_.front());
  load_->mark();
  began_ns_ = wall_clock_ns();
  send_signal(*process, wish_.kill ? SIGKILL : SIGSTOP);
  auto trouble = wait_for_progress(move, wish_.kill ? "kill" : "freeze");
  std::this_thread::sleep_for(seconds(1));
  note_period(wish_.kill ? "kill" : "freeze", move);
  if (wish_.kill || trouble) {
    if (wish_.freeze) send_signal(*process, SIGCONT);
    return trouble;
  }
  load_->mark();
  began_ns_ = wall_clock_ns();
  send_signal(*process, SIGCONT);  // it must answer nothing stale now, and change nothing
  trouble = wait_for_progress(std::nullopt, "thaw");
  std::this_thread::sleep_for(seconds(1));
  note_period("thaw", std::nullopt);
  return trouble;
}

void Drill::print() const {
  if (wish_.json) return say(out_.dump(2));
  for (const Json& period : out_["periods"]) {
    say(fmt::format("{}:", period["what"].get<std::string>()));
    for (const Json& step : period["timeline"])
      say(fmt::format("  {:8.1f} ms  {:<14} {}  ({})", step["at_ms"].get<double>(),
                      step["step"].get<std::string>(), step["what"].get<std::string>(),
                      step["node"].get<std::string>()));
    say(fmt::format("  longest pause of a 4 KiB write+fsync {:.1f} ms, median {:.1f} ms, {} rounds",
                    period["longest_pause_ms"].get<double>(), period["median_ms"].get<double>(),
                    period["rounds"].get<uint64_t>()));
  }
  say(fmt::format("{} operations acknowledged, {} lost, {} errors{}",
                  out_["acknowledged"].get<uint64_t>(), out_["lost"].get<uint64_t>(),
                  out_["errors"].get<uint64_t>(),
                  out_["first_error"] == "" ? "" : ": " + out_["first_error"].get<std::string>()));
  if (out_["both_again_ms"].is_number())
    say(fmt::format("both nodes again {:.0f} ms after the end",
                    out_["both_again_ms"].get<double>()));
}

int Drill::run() {
  if (auto trouble = choose()) return report(*trouble);
  DrillDirectory directory;
  const std::optional<VolumeId> volume =
      moves_.empty() ? std::nullopt : std::optional(moves_.front().volume);
  if (auto trouble = directory.make(mount_, picture_.map, volume)) return report(*trouble);
  load_ = std::make_unique<DrillLoad>(directory.path(),
                                      wish_.load == "creates"  ? LoadKind::kCreates
                                      : wish_.load == "writes" ? LoadKind::kWrites
                                                               : LoadKind::kNone,
                                      wish_.threads);
  std::this_thread::sleep_for(seconds(1));
  Trouble trouble;
  if (!load_->progressed())
    trouble = failed("writing in {} does not work: {}", directory.path().string(),
                     "no 4 KiB write with fsync has ended within a second");
  else
    trouble = strike();
  if (!load_->stop(seconds(trouble ? 1 : wish_.timeout_seconds))) {
    report(trouble ? *trouble : failed("an operation does not come back"));
    std::fflush(nullptr);
    std::_Exit(kExitFailed);  // its threads wait in the kernel
  }
  const DrillLoad::Findings findings = load_->verify();
  out_["acknowledged"] = findings.acknowledged;
  out_["lost"] = findings.lost;
  out_["errors"] = findings.errors;
  out_["first_error"] = findings.first_error;
  const auto since = Clock::now();
  const auto until = limit();
  const auto possible = [&] {
    look();
    return report_json(picture_)["takeover_possible"] == true;
  };
  bool both = possible();
  for (; !both && Clock::now() < until; both = possible())
    std::this_thread::sleep_for(milliseconds(200));
  out_["both_again_ms"] =
      both ? Json(std::chrono::duration<double, std::milli>(Clock::now() - since).count()) : Json();
  print();
  if (trouble) return report(*trouble);
  if (!both) return report(failed("the pair is not whole again; see pairfs status"));
  return findings.lost + findings.errors == 0 ? kExitFine : kExitFailed;
}

}  // namespace

void add_drill(CLI::App& app, int& exit_code) {
  auto* command =
      app.add_subcommand("drill", "Fail over on purpose, under load, and show what happened");
  auto wish = std::make_shared<DrillWish>();
  add_cluster_options(*command, wish->where);
  auto* fault = command->add_option_group("fault")->require_option(1);
  fault->add_flag("--kill", wish->kill, "Kill a node's process (or a router's)");
  fault->add_flag("--freeze", wish->freeze,
                  "Stop a node's process, and let it go on after its takeover");
  fault->add_flag("--planned", wish->planned, "A planned takeover, then a giveback");
  command->add_option(
      "TARGET", wish->target,
      "The node (default: the first that executes a volume); with --kill also a router");
  command
      ->add_option("--load", wish->load,
                   "Beside the measured loop: 4 KiB creates, 1 MiB writes, none")
      ->check(CLI::IsMember({"creates", "writes", "none"}))
      ->capture_default_str();
  command->add_option("--threads", wish->threads, "Of the load")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command->add_option("--mount", wish->mount,
                      "Where the cluster is mounted (default: its own mount)");
  command->add_option("--timeout", wish->timeout_seconds, "Give up waiting after this many seconds")
      ->check(CLI::Range(1, 3600))
      ->capture_default_str();
  command->add_flag("--json", wish->json, "For scripts");
  command->footer(
      "Applications should see a pause and nothing else. The measured loop writes 4 KiB and calls\n"
      "fsync on the volume that the target executes; all that was acknowledged is read back at "
      "the\n"
      "end. Exit code 0: nothing was lost, no operation failed, and the pair is whole again.\n\n"
      "Examples:\n"
      "  pairfs drill --kill\n"
      "  pairfs drill --freeze 1b --load writes --json\n"
      "  pairfs drill --kill r2");
  command->callback([=, &exit_code] { exit_code = Drill(*wish).run(); });
}

}  // namespace pairfs::cli
