// pairfs-fsx: random operations on a filesystem and on a native one, which must agree.
// Exit code: 0 no difference, 1 a difference, 2 wrong usage.
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <exception>
#include <map>

#include "test/posix/fsx/generator.h"
#include "test/posix/fsx/player.h"

namespace {

using namespace pairfs::fsx;

struct Arguments {
  GeneratorOptions generator;
  PlayOptions play;
  std::string dir, second_dir, oracle;
  double minutes = 0;
  double shrink_seconds = 60;
  std::vector<size_t> only;
  bool no_locks = false, no_holes = false, no_acls = false, no_foreign_links = false,
       as_root_only = false;
  bool no_times = false, no_directory_links = false, list = false;
};

const std::map<std::string, Plant> kPlants = {
    {"flip_byte", Plant::flip_byte},         {"lose_mode_bit", Plant::lose_mode_bit},
    {"forget_unlink", Plant::forget_unlink}, {"wrong_errno", Plant::wrong_errno},
    {"keep_mtime", Plant::keep_mtime},       {"stale_hole", Plant::stale_hole}};

void add_options(CLI::App& app, Arguments& arguments) {
  app.add_option("--dir", arguments.dir, "a directory on the filesystem under test")->required();
  app.add_option("--oracle", arguments.oracle, "a directory on a native filesystem")->required();
  app.add_option("--second-dir", arguments.second_dir, "--dir through a second mount");
  app.add_option("--seed", arguments.generator.seed, "first seed")->capture_default_str();
  app.add_option("--ops", arguments.generator.ops, "operations per seed")->capture_default_str();
  app.add_option("--minutes", arguments.minutes, "go on with the next seeds for so long");
  app.add_option("--shrink", arguments.shrink_seconds,
                 "seconds to spend on finding a short list that shows the difference")
      ->capture_default_str();
  app.add_option("--only", arguments.only, "play these positions of the list only")->delimiter(',');
  app.add_option("--largest-offset", arguments.generator.largest_offset,
                 "rare far writes stay below it, bytes")
      ->capture_default_str();
  app.add_option("--plant", arguments.play.plant, "break the target on purpose")
      ->transform(CLI::CheckedTransformer(kPlants));
  app.add_flag("--no-locks", arguments.no_locks, "without flock and range locks");
  app.add_flag("--no-holes", arguments.no_holes, "without fallocate");
  app.add_flag("--no-acls", arguments.no_acls, "without access control lists");
  app.add_flag("--no-foreign-links", arguments.no_foreign_links,
               "no links by other users (fs.protected_hardlinks)");
  app.add_flag("--one-user", arguments.as_root_only, "without other users and devices");
  app.add_flag("--no-times", arguments.no_times, "do not compare which times moved");
  app.add_flag("--atimes", arguments.play.snapshot.access_times, "compare access times too");
  app.add_flag("--no-dir-links", arguments.no_directory_links,
               "do not compare link counts of directories");
  app.add_flag("--keep", arguments.play.keep, "leave trees that differ behind");
  app.add_flag("--trace", arguments.play.trace, "print every operation with its outcome");
  app.add_flag("--list", arguments.list, "print the operations and stop");
}

// True if the native filesystem stamps two writes in a row with different times.
bool has_fine_times(const std::string& dir) {
  const std::string path = dir + "/times-" + std::to_string(::getpid());
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL, 0600);
  if (fd < 0) return false;
  int moved = 0;
  struct stat before {
  }, after{};
  for (int i = 0; i < 50; ++i) {
    ::fstat(fd, &before);
    if (::pwrite(fd, "x", 1, 0) == 1 && ::fstat(fd, &after) == 0) {
      moved += before.st_mtim.tv_nsec != after.st_mtim.tv_nsec ? 1 : 0;
    }
  }
  ::close(fd);
  ::unlink(path.c_str());
  return moved == 50;
}

void report(const Arguments& arguments, const std::vector<Op>& ops, const Difference& difference) {
  std::printf("seed %llu: operation %zu differs: %s\n",
              static_cast<unsigned long long>(arguments.generator.seed), difference.position,
              difference.text.c_str());
  std::fflush(stdout);
  std::vector<size_t> few;
  if (arguments.only.empty() && arguments.shrink_seconds > 0) {
    few = shrink(arguments.play, ops, difference.position, arguments.shrink_seconds);
  } else {
    for (size_t i = 0; i < ops.size() && i <= difference.position; ++i) few.push_back(i);
  }
  constexpr size_t kMostShown = 100;
  std::printf("operations that lead to a difference%s:\n",
              few.size() > kMostShown ? " (the last of many)" : "");
  std::string positions;
  std::vector<Op> part;
  for (const size_t position : few) {
    if (part.size() + kMostShown >= few.size()) {
      std::printf("  %zu: %s\n", position, describe(ops[position]).c_str());
    }
    positions += (positions.empty() ? "" : ",") + std::to_string(position);
    part.push_back(ops[position]);
  }
  PlayOptions again = arguments.play;
  again.keep = false;
  const auto last = play(again, part);
  std::printf("%s\n", last ? ("they give: " + last->text).c_str()
                           : "played again they agree: the difference depends on time");
  if (arguments.only.empty()) {
    std::printf("again with: --seed %llu --ops %zu%s\n",
                static_cast<unsigned long long>(arguments.generator.seed), arguments.generator.ops,
                few.size() > kMostShown ? "" : (" --only " + positions).c_str());
  }
}

int run(Arguments& arguments) {
  const auto start = std::chrono::steady_clock::now();
  size_t played = 0;
  for (;; ++arguments.generator.seed) {
    std::vector<Op> ops = generate(arguments.generator);
    if (!arguments.only.empty()) {
      std::vector<Op> part;
      for (const size_t position : arguments.only) {
        if (position < ops.size()) part.push_back(ops[position]);
      }
      ops = part;
    }
    if (arguments.list) {
      for (size_t i = 0; i < ops.size(); ++i) {
        std::printf("%zu: %s\n", i, describe(ops[i]).c_str());
      }
      return 0;
    }
    const auto difference = play(arguments.play, ops);
    if (difference) {
      report(arguments, ops, *difference);
      return 1;
    }
    played += ops.size();
    std::printf("seed %llu: %zu operations agree\n",
                static_cast<unsigned long long>(arguments.generator.seed), ops.size());
    std::fflush(stdout);
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    if (spent.count() >= arguments.minutes * 60) break;
  }
  std::printf("%zu operations, no difference\n", played);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app{"Plays random operations on a filesystem and on a native one and compares"};
  app.footer("Example: pairfs-fsx --dir /mnt/pairfs --oracle /var/tmp/oracle --seed 7 --ops 5000");
  Arguments arguments;
  add_options(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  ::signal(SIGPIPE, SIG_IGN);
  arguments.play.dirs = {arguments.dir};
  if (!arguments.second_dir.empty()) arguments.play.dirs.push_back(arguments.second_dir);
  arguments.play.oracle = arguments.oracle;
  arguments.generator.mounts = static_cast<int>(arguments.play.dirs.size());
  arguments.generator.root = ::geteuid() == 0 && !arguments.as_root_only;
  arguments.generator.locks = !arguments.no_locks;
  arguments.generator.holes = !arguments.no_holes;
  arguments.generator.acls = !arguments.no_acls;
  arguments.generator.foreign_links = !arguments.no_foreign_links;
  arguments.play.snapshot.directory_links = !arguments.no_directory_links;
  arguments.play.snapshot.change_times = !arguments.no_times;
  if (!arguments.no_times && !has_fine_times(arguments.oracle)) {
    std::printf("the native filesystem's times are too coarse to compare\n");
    arguments.play.snapshot.change_times = false;
  }
  try {
    return run(arguments);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "pairfs-fsx: %s\n", error.what());
    return 2;
  }
}
