// pairfs: the one command that people type. What it can do is in commands.h.
#include "cli/commands.h"
#include "common/logging.h"

int main(int argc, char** argv) {
  using namespace pairfs::cli;
  CLI::App app("pairfs: a POSIX filesystem served by highly available pairs of nodes.", "pairfs");
  app.set_version_flag("--version", "pairfs " PAIRFS_VERSION);
  app.require_subcommand(1);
  app.footer(
      "Each command has --help with examples. Exit codes: 0 fine, 1 degraded or failed,\n"
      "2 wrong usage (nothing was started, nothing changed).");
  std::string why;
  pairfs::start_logging({"", "error"}, &why);
  int exit_code = kExitFine;
  add_init(app, exit_code);
  add_up(app, exit_code);
  add_down(app, exit_code);
  add_mount(app, exit_code);
  add_umount(app, exit_code);
  add_status(app, exit_code);
  add_selftest(app, exit_code);
  add_bench(app, exit_code);
  add_sync(app, exit_code);
  add_takeover(app, exit_code);
  add_giveback(app, exit_code);
  add_drill(app, exit_code);
  add_events(app, exit_code);
  add_map(app, exit_code);
  add_element(app, exit_code);
  add_volume(app, exit_code);
  add_scrub(app, exit_code);
  add_fsck(app, exit_code);
  add_pair(app, exit_code);
  add_node(app, exit_code);
  add_rebalance(app, exit_code);
  add_placement(app, exit_code);
  add_supervise(app, exit_code);
  const auto is_first_word = [&](const CLI::App* command) {
    return command->get_name() == argv[1];
  };
  if (argc > 1 && argv[1][0] != '-' && app.get_subcommands(is_first_word).empty())
    return report(refused("there is no command \"{}\"; pairfs --help lists them", argv[1]));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitFine : kExitRefused;
  }
  return exit_code;
}
