// pairfs bench: how fast a directory is, on pairfs or any other filesystem, alone or beside others.
// It works in a directory of its own in each, which it removes again.
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <boost/filesystem.hpp>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "bench/series.h"
#include "cli/bench_table.h"
#include "cli/commands.h"

namespace pairfs::cli {
namespace {

constexpr uint64_t kNeededBytes = uint64_t{2} << 30, kNeededQuickBytes = uint64_t{512} << 20;

struct BenchRequest {
  std::string path;
  std::vector<std::string> beside;
  bool quick = false, json = false, warm = false;
};

// A directory for the work, removed with all that is in it.
class WorkDirectory {
 public:
  explicit WorkDirectory(const std::string& parent)
      : path_(fmt::format("{}/.pairfs-bench-{}", parent, ::getpid())) {}
  WorkDirectory(const WorkDirectory&) = delete;
  WorkDirectory& operator=(const WorkDirectory&) = delete;
  ~WorkDirectory() {
    boost::system::error_code ignored;
    boost::filesystem::remove_all(path_, ignored);
  }
  Trouble make() const {
    if (::mkdir(path_.c_str(), 0700) == 0) return std::nullopt;
    return refused("cannot make the directory {}: {}", path_, std::strerror(errno));
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

Trouble check(const std::string& path, bool quick) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0)
    return refused("{}: {}; name a directory to measure", path, std::strerror(errno));
  if (!S_ISDIR(status.st_mode)) return refused("{} is not a directory", path);
  struct statvfs space {};
  const uint64_t needed = quick ? kNeededQuickBytes : kNeededBytes;
  if (::statvfs(path.c_str(), &space) == 0 && uint64_t{space.f_bavail} * space.f_frsize < needed)
    return refused("{} has less than {} MiB free, which the measurement needs", path, needed >> 20);
  return std::nullopt;
}

bool has_unicode() {
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    return std::strstr(value, "UTF-8") != nullptr || std::strstr(value, "utf8") != nullptr;
  }
  return false;
}

int run_bench(const BenchRequest& request) {
  std::vector<std::string> paths = {request.path};
  paths.insert(paths.end(), request.beside.begin(), request.beside.end());
  for (const std::string& path : paths)
    if (Trouble trouble = check(path, request.quick)) return report(*trouble);
  const bool cold = !request.warm && bench::can_drop_caches();
  const auto tell = [&](const std::string& line) {
    fmt::print(request.json ? stderr : stdout, "{}\n", line);
    std::fflush(request.json ? stderr : stdout);
  };
  if (!cold)
    tell("what is called cold is warm here: the kernel's caches are not dropped (root may)");
  bool all_done = true;
  std::vector<Measured> all;
  for (const std::string& path : paths) {
    const WorkDirectory work(path);
    if (Trouble trouble = work.make()) return report(*trouble);
    tell(fmt::format("{}:", path));
    Measured measured{path, {}};
    all_done &= bench::run_series(
        {work.path(), request.quick, cold}, [&](const bench::Row& row, unsigned processes,
                                                const std::optional<bench::Measurement>& result) {
          if (result) measured.results[{row.name, processes}] = *result;
          tell(result ? fmt::format("  {}, {}: {:.0f} {}", row.name, processes,
                                    amount_of(row, *result), row.unit)
                      : fmt::format("  {}, {}: failed", row.name, processes));
        });
    all.push_back(std::move(measured));
  }
  if (request.json) {
    say(bench_json(all).dump(2));
  } else {
    say("");
    if (all.size() > 1)
      say(fmt::format("the ratio beside a directory is {}'s amount divided by its own",
                      request.path));
    for (const std::string& line : bench_lines(all, has_unicode())) say(line);
  }
  return all_done ? kExitFine : kExitFailed;
}

}  // namespace

void add_bench(CLI::App& app, int& exit_code) {
  auto* command = app.add_subcommand("bench", "Measure how fast a directory is");
  auto request = std::make_shared<BenchRequest>();
  command
      ->add_option("PATH", request->path, "A directory; the work is done in one of its own there")
      ->required();
  command
      ->add_option("--beside", request->beside,
                   "Another directory, for comparison; may be repeated")
      ->type_name("PATH")
      ->allow_extra_args(false);
  command->add_flag("--quick", request->quick, "0.4 s a step instead of 2 s: rough numbers");
  command->add_flag("--warm", request->warm, "Leave the machine's caches alone");
  command->add_flag("--json", request->json, "The results as JSON; progress on stderr");
  command->footer(
      "Metadata, small files, sequential and random input and output, with one process and with\n"
      "several. As root, the kernel's caches are dropped before what is called cold.\n"
      "Exit codes: 0 all measured, 1 something failed, 2 wrong usage.\n\n"
      "Examples:\n"
      "  pairfs bench /mnt/files --quick\n"
      "  pairfs bench /mnt/files --beside /var/tmp --json");
  command->callback([=, &exit_code] { exit_code = run_bench(*request); });
}

}  // namespace pairfs::cli
