#include "test/sim/runner.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <sstream>

#include "common/ensure.h"
#include "test/sim/cluster_world.h"
#include "test/sim/faults.h"
#include "test/sim/mutants.h"
#include "test/sim/pair_world.h"
#include "test/sim/volumes_world.h"

namespace pairfs::sim {
namespace {

constexpr uint64_t kRunTwiceEvery = 20;

template <class World>
void run_world(uint64_t seed, bool trace, const char* name, SeedResult* result) {
  if (!result->why.empty()) return;
  World world(seed, trace);
  result->why = world.run();
  for (const auto& [what, count] : world.counts()) result->counts[what] += count;
  if (trace)
    for (const std::string& line : world.trace()) fmt::print("{}: {}\n", name, line);
  if (!result->why.empty()) {
    result->why = fmt::format("{}: {}", name, result->why);
    return;
  }
  if (seed % kRunTwiceEvery != 0) return;
  World again(seed, false);
  again.run();
  if (again.fingerprint() != world.fingerprint())
    result->why = fmt::format("{}: two runs of the seed differ", name);
}

std::string escape(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '\n' ? std::string("\\n") : std::string(1, c);
  return out;
}

std::string unescape(std::string text) {
  for (size_t at = 0; (at = text.find("\\n", at)) != std::string::npos;) text.replace(at, 2, "\n");
  return text;
}

// A child that runs every jobs-th seed from `next` on and reports line by line.
struct Child {
  pid_t pid = -1;
  int fd = -1;
  uint64_t next = 0;     // the next seed of this child
  uint64_t running = 0;  // 0: none
  std::string buffer;
  SeedResult result;
};

class Runner {
 public:
  Runner(const RunOptions& options, const std::function<void(const SeedResult&)>& on_failure)
      : options_(options), on_failure_(on_failure) {}

  RunSummary run() {
    end_ = options_.limit == Duration::max() ? std::chrono::steady_clock::time_point::max()
                                             : std::chrono::steady_clock::now() + options_.limit;
    const unsigned jobs = std::max(1U, options_.jobs);
    children_.resize(jobs);
    for (unsigned i = 0; i < jobs; ++i) {
      children_[i].next = options_.first + i;
      start(children_[i]);
    }
    for (;;) {
      std::vector<pollfd> polls;
      for (const Child& child : children_) polls.push_back({child.fd, POLLIN, 0});
      bool any = false;
      for (const Child& child : children_) any |= child.fd >= 0;
      if (!any) break;
      ::poll(polls.data(), polls.size(), -1);
      for (size_t i = 0; i < children_.size(); ++i)
        if (polls[i].revents != 0) read_from(children_[i]);
    }
    return std::move(summary_);
  }

 private:
  bool wanted(uint64_t seed) const {
    return seed < options_.first + options_.seeds && std::chrono::steady_clock::now() < end_ &&
           summary_.failed.size() < options_.failures_max;
  }

  void start(Child& child) {
    child.fd = -1;
    child.running = 0;
    child.buffer.clear();
    if (!wanted(child.next)) return;
    std::fflush(nullptr);
    int ends[2];
    ENSURE(::pipe(ends) == 0, "no pipe: errno {}", errno);
    child.pid = ::fork();
    ENSURE(child.pid >= 0, "cannot fork: errno {}", errno);
    if (child.pid == 0) {
      ::close(ends[0]);
      if (options_.prepare) options_.prepare();
      work(ends[1], child.next);
    }
    ::close(ends[1]);
    child.fd = ends[0];
  }

  [[noreturn]] void work(int fd, uint64_t seed) {
    const auto say = [fd](const std::string& line) {
      const std::string text = line + "\n";
      for (size_t at = 0; at < text.size();) {
        const ssize_t n = ::write(fd, text.data() + at, text.size() - at);
        if (n <= 0) ::_exit(0);  // nobody reads any more
        at += static_cast<size_t>(n);
      }
    };
    for (; wanted(seed); seed += children_.size()) {
      say(fmt::format("begin {}", seed));
      const SeedResult result = run_seed(seed, options_.worlds, false);
      for (const auto& [name, count] : result.counts) say(fmt::format("count {} {}", count, name));
      say("end " + escape(result.why));
      if (!result.why.empty() && options_.failures_max == 1) break;
    }
    ::_exit(0);
  }

  void read_from(Child& child) {
    char bytes[65536];
    const ssize_t n = ::read(child.fd, bytes, sizeof bytes);
    if (n > 0) {
      child.buffer.append(bytes, static_cast<size_t>(n));
      for (size_t at; (at = child.buffer.find('\n')) != std::string::npos;) {
        take_line(child, child.buffer.substr(0, at));
        child.buffer.erase(0, at + 1);
      }
      return;
    }
    ::close(child.fd);
    int status = 0;
    ::waitpid(child.pid, &status, 0);
    child.fd = -1;
    if (child.running == 0) return;
    // It died in the middle of a seed; the next child goes on behind it.
    child.result.why = WIFSIGNALED(status)
                           ? fmt::format("the process died of signal {}", WTERMSIG(status))
                           : fmt::format("the process ended with code {}", WEXITSTATUS(status));
    finish(child);
    start(child);
  }

  void take_line(Child& child, const std::string& line) {
    std::istringstream in(line);
    std::string what;
    in >> what;
    if (what == "begin") {
      in >> child.running;
      child.result = {child.running, {}, {}};
    } else if (what == "count") {
      uint64_t count = 0;
      std::string name;
      in >> count;
      std::getline(in >> std::ws, name);
      child.result.counts[name] += count;
    } else if (what == "end") {
      std::string why;
      std::getline(in >> std::ws, why);
      child.result.why = unescape(why);
      finish(child);
    }
  }

  void finish(Child& child) {
    ++summary_.seeds;
    for (const auto& [name, count] : child.result.counts) summary_.counts[name] += count;
    if (!child.result.why.empty()) {
      summary_.failed.push_back(child.result);
      on_failure_(child.result);
    }
    child.next = child.running + children_.size();
    child.running = 0;
    child.result = {};
  }

  const RunOptions& options_;
  const std::function<void(const SeedResult&)>& on_failure_;
  std::chrono::steady_clock::time_point end_;
  std::vector<Child> children_;
  RunSummary summary_;
};

// A world as run_world() wants it.
struct Pair : PairWorld {
  using PairWorld::PairWorld;
  const auto& counts() const { return stats().counts; }
};
struct Cluster : ClusterWorld {
  Cluster(uint64_t seed, bool trace) : ClusterWorld(seed, trace) {}
  const auto& counts() const { return sim.counts(); }
  const auto& trace() const { return sim.trace(); }
  uint64_t fingerprint() const { return sim.fingerprint(); }
};

}  // namespace

SeedResult run_seed(uint64_t seed, Worlds worlds, bool trace) {
  SeedResult result{seed, {}, {}};
  take_reached();
  for (const char* fault : kFaultNames) result.counts[std::string("fault.") + fault] = 0;
  const auto wanted = [&](Worlds world) { return worlds == world || worlds == Worlds::kAll; };
  if (wanted(Worlds::kPair)) run_world<Pair>(seed, trace, "pair", &result);
  if (wanted(Worlds::kVolumes)) run_world<VolumesWorld>(seed, trace, "volumes", &result);
  if (wanted(Worlds::kCluster)) run_world<Cluster>(seed, trace, "cluster", &result);
  for (const auto& [name, count] : take_reached()) result.counts[name] += count;
  return result;
}

RunSummary run_seeds(const RunOptions& options,
                     const std::function<void(const SeedResult&)>& on_failure) {
  return Runner(options, on_failure).run();
}

}  // namespace pairfs::sim
