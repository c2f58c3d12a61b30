// The supervisor of a local cluster: starts its routers, nodes and mount, starts again what dies,
// and stops all of them when it is told to. It takes over daemons that a dead supervisor has left,
// and they serve on without one. A process of its own, with one thread.
//
//   SIGHUP            reads supervisor.toml and cluster.toml again, stops daemons that are not in
//                     the cluster any more, and starts what is down now
//   SIGTERM, SIGINT   stops everything in order and ends
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <vector>

#include "cli/commands.h"
#include "cli/find_cluster.h"
#include "cli/local_daemons.h"
#include "cli/mount_point.h"
#include "common/logging.h"

namespace pairfs::cli {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// The first restart is at once, as a daemon is usually missed; one that keeps dying is slowed down.
constexpr milliseconds kFirstPause{20};
constexpr milliseconds kLongestPause{5'000};
constexpr milliseconds kLivedWell{10'000};  // after which the pause starts from the first again

struct Ward {
  Daemon daemon;
  ProcessId id;
  int pidfd = -1;  // -1: does not run
  bool wanted = true;
  milliseconds pause = kFirstPause;
  Clock::time_point started{};
  Clock::time_point start_at{};  // when it does not run and is wanted
};

// Blocks the signals that it obeys, and gives a descriptor that reads them.
int open_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&set, signal);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  return ::signalfd(-1, &set, SFD_CLOEXEC);
}

class Supervisor {
 public:
  explicit Supervisor(const Cluster& cluster) : cluster_(cluster) {
    for (Daemon& daemon : cluster_.daemons()) wards_.push_back({std::move(daemon)});
    wards_.push_back({cluster_.mount()});
  }

  // `signals`: a descriptor that reads the blocked signals.
  int run(int signals) {
    read_settings();
    for (Ward& ward : wards_) adopt(ward);
    for (;;) {
      // Somebody removed the cluster: nothing is left to serve, and nothing could be started.
      if (boost::system::error_code error; !fs::exists(cluster_.directory, error)) return stop();
      start_what_is_due();
      std::vector<pollfd> polled = {{signals, POLLIN, 0}};
      for (const Ward& ward : wards_) polled.push_back({ward.pidfd, POLLIN, 0});
      ::poll(polled.data(), polled.size(), milliseconds_to_next_start());
      for (size_t i = 0; i < wards_.size(); ++i)
        if (polled[i + 1].fd >= 0 && polled[i + 1].revents != 0) on_end(wards_[i]);
      signalfd_siginfo signal{};
      if (polled[0].revents == 0 || ::read(signals, &signal, sizeof signal) != sizeof signal)
        continue;
      if (signal.ssi_signo != SIGHUP) return stop();
      read_settings();
      follow_cluster();
      for (Ward& ward : wards_) {
        ward.pause = kFirstPause;
        ward.start_at = Clock::now();
        ward.wanted = is_mount(ward) ? !settings_.mount.empty() : is_member(ward);
      }
    }
  }

 private:
  static bool is_mount(const Ward& ward) { return ward.daemon.kind == Daemon::Kind::kMount; }

  void read_settings() {
    auto settings = read_supervisor_settings(cluster_);
    if (settings.ok())
      settings_ = *settings;
    else
      log_error("settings.refused", "reason=\"{}\"", settings.problem().sentence);
    for (Ward& ward : wards_)
      if (is_mount(ward)) ward.wanted = !settings_.mount.empty();
  }

  bool is_member(const Ward& ward) const {
    const auto has = [&](const std::vector<std::string>& names) {
      return std::find(names.begin(), names.end(), ward.daemon.name) != names.end();
    };
    return has(cluster_.routers) || has(cluster_.nodes);
  }

  // Pairs come and go while the cluster runs.
  void follow_cluster() {
    auto cluster = read_cluster(cluster_.directory);
    if (!cluster.ok()) {
      log_error("cluster.refused", "reason=\"{}\"", cluster.problem().sentence);
      return;
    }
    cluster_ = *cluster;
    for (Daemon& daemon : cluster_.daemons()) {
      const bool known = std::any_of(wards_.begin(), wards_.end(), [&](const Ward& ward) {
        return ward.daemon.name == daemon.name;
      });
      if (known) continue;
      wards_.push_back({std::move(daemon)});
      adopt(wards_.back());
    }
    for (Ward& ward : wards_)
      if (!is_mount(ward) && !is_member(ward) && ward.pidfd >= 0) send_signal(ward.id, SIGTERM);
  }

  void watch(Ward& ward, const ProcessId& id) {
    ward.id = id;
    ward.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, id.pid, 0));
    ward.started = Clock::now();
  }

  void adopt(Ward& ward) {
    if (const auto id = running(ward.daemon)) {
      watch(ward, *id);
      log_info("daemon.adopted", "name={} pid={}", ward.daemon.name, id->pid);
    }
  }

  void start_what_is_due() {
    const auto now = Clock::now();
    for (Ward& ward : wards_) {
      if (ward.pidfd >= 0 || !ward.wanted || ward.start_at > now) continue;
      auto id = is_mount(ward) ? start_mount(cluster_, settings_) : start_daemon(ward.daemon);
      if (id.ok()) {
        watch(ward, *id);
        log_info("daemon.started", "name={} pid={}", ward.daemon.name, id->pid);
      } else {
        log_error("daemon.not_started", "name={} reason=\"{}\"", ward.daemon.name,
                  id.problem().sentence);
        [[maybe_unused]] const Trouble unheard =
            write_file(ward.daemon.last_exit(), id.problem().sentence + "\n");
        schedule(ward);
      }
    }
  }

  int milliseconds_to_next_start() const {
    int64_t next = -1;
    for (const Ward& ward : wards_) {
      if (ward.pidfd >= 0 || !ward.wanted) continue;
      const auto left = std::chrono::ceil<milliseconds>(ward.start_at - Clock::now()).count();
      next = next < 0 ? std::max<int64_t>(left, 0) : std::min(next, std::max<int64_t>(left, 0));
    }
    return static_cast<int>(next);
  }

  void schedule(Ward& ward) {
    if (Clock::now() - ward.started > kLivedWell) ward.pause = kFirstPause;
    ward.start_at = Clock::now() + ward.pause;
    ward.pause = std::min(ward.pause * 4, kLongestPause);
  }

  void on_end(Ward& ward) {
    int status = 0;
    std::string how = "ended";
    bool failed_itself = false;
    if (::waitpid(ward.id.pid, &status, WNOHANG) == ward.id.pid) {
      failed_itself = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
      how = WIFSIGNALED(status) ? fmt::format("was killed by signal {} ({})", WTERMSIG(status),
                                              strsignal(WTERMSIG(status)))
                                : fmt::format("ended with exit code {}", WEXITSTATUS(status));
    }
    ::close(ward.pidfd);
    ward.pidfd = -1;
    log_warn("daemon.ended", "name={} pid={} how=\"{}\"", ward.daemon.name, ward.id.pid, how);
    [[maybe_unused]] const Trouble unheard = write_file(ward.daemon.last_exit(), how + "\n");
    // A mount that was taken away by its user stays away; a dead one is still in the table.
    if (is_mount(ward) && !failed_itself && !mounted_at(settings_.mount)) ward.wanted = false;
    if (!settings_.restart || (!is_mount(ward) && !is_member(ward))) ward.wanted = false;
    if (ward.wanted) schedule(ward);
  }

  int stop() {
    log_info("supervisor.stopping");
    const bool clean = stop_all(cluster_, settings_, [](const std::string& line) {
      log_info("daemon.stopped", "{}", line);
    });
    ::unlink(cluster_.supervisor_pid().c_str());
    log_info("supervisor.stopped", "clean={}", clean);
    return clean ? 0 : 1;
  }

  Cluster cluster_;
  SupervisorSettings settings_;
  std::vector<Ward> wards_;
};

int supervise(const fs::path& directory) {
  std::string why;
  start_logging({}, &why);
  auto cluster = read_cluster(directory);
  if (!cluster.ok()) return report(cluster.problem());
  const int signals = open_signals();  // before anyone can find the pid to send one to
  const auto self = identify(::getpid());
  if (!self) return report(failed("/proc is not mounted, so processes cannot be told apart"));
  if (Trouble trouble = write_pid_file(cluster->supervisor_pid(), *self)) return report(*trouble);
  log_info("supervisor.started", "pid={} directory={}", self->pid, printable(directory.string()));
  return Supervisor(*cluster).run(signals);
}

}  // namespace

void add_supervise(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("supervise", "")->group("");
  auto where = std::make_shared<ClusterOptions>();
  add_directory_option(*command, *where);
  command->callback([=, &exit_code] { exit_code = supervise(chosen_directory(*where)); });
}

}  // namespace pairfs::cli
