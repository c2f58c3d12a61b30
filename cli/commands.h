// The subcommands of `pairfs`. Each add_*() describes one to CLI11, with examples; its callback
// runs it and leaves the exit code in `exit_code`. main.cc calls them all.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/problem.h"

namespace pairfs::cli {

void add_init(CLI::App& app, int& exit_code);
void add_up(CLI::App& app, int& exit_code);
void add_down(CLI::App& app, int& exit_code);
void add_mount(CLI::App& app, int& exit_code);
void add_umount(CLI::App& app, int& exit_code);
void add_status(CLI::App& app, int& exit_code);
void add_selftest(CLI::App& app, int& exit_code);
void add_bench(CLI::App& app, int& exit_code);
void add_sync(CLI::App& app, int& exit_code);
void add_takeover(CLI::App& app, int& exit_code);
void add_giveback(CLI::App& app, int& exit_code);
void add_drill(CLI::App& app, int& exit_code);
void add_map(CLI::App& app, int& exit_code);
void add_map_copy(CLI::App& map, int& exit_code);  // within add_map
void add_events(CLI::App& app, int& exit_code);
void add_fsck(CLI::App& app, int& exit_code);
void add_pair(CLI::App& app, int& exit_code);
void add_node(CLI::App& app, int& exit_code);
void add_rebalance(CLI::App& app, int& exit_code);
void add_placement(CLI::App& app, int& exit_code);
void add_element(CLI::App& app, int& exit_code);
void add_volume(CLI::App& app, int& exit_code);
void add_scrub(CLI::App& app, int& exit_code);
void add_supervise(CLI::App& app, int& exit_code);  // not for people: what `up` leaves running

// Prints the sentence on stderr and gives the exit code.
int report(const Problem& problem);

// Prints a line of progress on stdout, at once.
void say(const std::string& line);

}  // namespace pairfs::cli
