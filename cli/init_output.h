// What `pairfs init` and `pairfs pair add --pair` leave for an operator: files in a directory per
// host, and sentences on what to do with them. One thread.
#pragma once

#include <CLI/CLI.hpp>

#include "cli/files.h"
#include "cli/init_config.h"

namespace pairfs::cli {

// --elements, --raid, --reach, --element-dir, --state-dir and --port; `request` must outlive the
// command.
void add_host_options(CLI::App& command, InitRequest& request);
// Refused: RAID levels that there are not, or that these elements cannot have.
Trouble check_storage(const InitRequest& request);

// An absent or empty directory becomes ours; anything else is refused and left alone.
Trouble claim_output(const fs::path& output);
// Removes what is in a claimed directory again, and the directory too when it `was_there` not.
void give_up_output(const fs::path& output, bool was_there);

// OUTPUT/HOST/NAME.toml of one node, and of both of a pair.
Trouble write_node(const InitRequest& request, const InitPlan& plan, const NodeInfo& node,
                   const fs::path& output);
Trouble write_nodes(const InitRequest& request, const InitPlan& plan, const PairInfo& pair,
                    const fs::path& output);

// Which files each of the hosts needs, which elements it must have, and how its daemons are
// started.
void say_files_of(const InitPlan& plan, const fs::path& output);
void say_elements_of(const InitPlan& plan, const PairInfo& pair);
void say_starts_of(const InitPlan& plan);

}  // namespace pairfs::cli
