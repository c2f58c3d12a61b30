#include "test/posix/fsx/player.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace pairfs::fsx {
namespace {

namespace fs = std::filesystem;

std::string make_tree(const std::string& base, const std::string& name) {
  const std::string outer = base + "/" + name;
  const std::string inner = outer + "/tree";
  if (::mkdir(outer.c_str(), 0755) != 0 || ::mkdir(inner.c_str(), 0755) != 0 ||
      ::chmod(outer.c_str(), 0755) != 0 || ::chmod(inner.c_str(), 0777) != 0) {
    throw std::runtime_error(inner + ": cannot be made: " + std::strerror(errno));
  }
  return inner;
}

std::string first_difference(const Outcome& oracle, const Outcome& target) {
  if (oracle.bytes == target.bytes) return "";
  const size_t common = std::min(oracle.bytes.size(), target.bytes.size());
  const auto [mine, theirs] = std::mismatch(
      oracle.bytes.begin(), oracle.bytes.begin() + static_cast<long>(common), target.bytes.begin());
  std::string text =
      "\n  bytes differ from position " + std::to_string(mine - oracle.bytes.begin()) + " of " +
      std::to_string(oracle.bytes.size()) + " and " + std::to_string(target.bytes.size());
  if (mine != oracle.bytes.begin() + static_cast<long>(common)) {
    text += ": " + std::to_string(static_cast<unsigned char>(*mine)) + " and " +
            std::to_string(static_cast<unsigned char>(*theirs));
  }
  return text;
}

std::string compare_trees(const World& oracle, const World& target) {
  const auto wanted = oracle.tree(0);
  for (size_t mount = 0; mount < target.mounts(); ++mount) {
    const auto found = target.tree(mount);
    for (const auto& [name, text] : wanted) {
      const auto at = found.find(name);
      const std::string got = at == found.end() ? "missing" : at->second;
      if (got != text) {
        return "the trees differ at " + name + " (mount " + std::to_string(mount + 1) +
               ")\n  oracle: " + text + "\n  target: " + got;
      }
    }
    for (const auto& [name, text] : found) {
      if (wanted.count(name) == 0) return "only the target has " + name + ": " + text;
    }
  }
  return "";
}

std::optional<Difference> play_in(World& oracle, World& target, const PlayOptions& options,
                                  const std::vector<Op>& ops) {
  for (size_t i = 0; i < ops.size(); ++i) {
    const Outcome wanted = oracle.play(ops[i]);
    const Outcome got = target.play(ops[i]);
    if (options.trace) {
      std::printf("%zu: %s = %s\n", i, describe(ops[i]).c_str(), outcome_text(wanted).c_str());
    }
    if (!(wanted == got)) {
      return Difference{i, describe(ops[i]) + "\n  oracle: " + outcome_text(wanted) +
                               "\n  target: " + outcome_text(got) + first_difference(wanted, got)};
    }
    const bool last = i + 1 == ops.size();
    if (last) {
      oracle.close_all();
      target.close_all();
    }
    if (last || (i + 1) % options.verify_every == 0) {
      const std::string text = compare_trees(oracle, target);
      if (!text.empty()) return Difference{i, text};
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<Difference> play(const PlayOptions& options, const std::vector<Op>& ops) {
  static int plays = 0;
  const std::string name = "fsx-" + std::to_string(::getpid()) + "-" + std::to_string(plays++);
  ::umask(0);
  std::vector<std::string> target_trees = {make_tree(options.dirs[0], name)};
  for (size_t mount = 1; mount < options.dirs.size(); ++mount) {
    target_trees.push_back(options.dirs[mount] + "/" + name + "/tree");
  }
  const std::string oracle_tree = make_tree(options.oracle, name);
  ::umask(022);
  std::optional<Difference> difference;
  {
    World oracle(std::vector<std::string>(options.dirs.size(), oracle_tree), options.snapshot);
    World target(target_trees, options.snapshot, options.plant);
    difference = play_in(oracle, target, options, ops);
  }
  std::error_code ignored;
  if (difference && options.keep) return difference;
  fs::remove_all(fs::path(options.oracle) / name, ignored);
  fs::remove_all(fs::path(options.dirs[0]) / name, ignored);
  return difference;
}

std::vector<size_t> shrink(const PlayOptions& options, const std::vector<Op>& ops, size_t failed_at,
                           double seconds) {
  const auto start = std::chrono::steady_clock::now();
  const auto over = [&] {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() >
           seconds;
  };
  PlayOptions quiet = options;
  quiet.keep = false;
  std::vector<size_t> kept;
  for (size_t i = 0; i <= failed_at && i < ops.size(); ++i) kept.push_back(i);
  const auto still_differs = [&](const std::vector<size_t>& positions) {
    std::vector<Op> part;
    for (const size_t position : positions) part.push_back(ops[position]);
    return play(quiet, part).has_value();
  };
  for (size_t chunk = std::max<size_t>(kept.size() / 2, 1); !over();) {
    bool removed = false;
    for (size_t from = 0; from < kept.size() && !over();) {
      std::vector<size_t> fewer(kept.begin(), kept.begin() + static_cast<long>(from));
      const size_t to = std::min(kept.size(), from + chunk);
      fewer.insert(fewer.end(), kept.begin() + static_cast<long>(to), kept.end());
      if (!fewer.empty() && still_differs(fewer)) {
        kept = fewer;
        removed = true;
      } else {
        from = to;
      }
    }
    if (chunk == 1 && !removed) break;
    chunk = std::max<size_t>(chunk / 2, 1);
  }
  return kept;
}

}  // namespace pairfs::fsx
