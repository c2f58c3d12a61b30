#include "cli/status_report.h"

namespace pairfs::cli {
namespace {

using Json = nlohmann::ordered_json;

std::string text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

// 1536 -> "1.5 KiB".
std::string human(uint64_t bytes) {
  static const char* const kUnits[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(kUnits)) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string process(const Json& daemon) {
  return daemon["state"] == "down"
             ? "down"
             : fmt::format("{} (pid {})", text(daemon["state"]), text(daemon["pid"]));
}

std::string volume_line(const Json& volume) {
  const std::string executor = text(volume["executor"]);
  std::string roles;
  if (executor.empty())
    roles = "never opened";
  else if (volume["mode"] == "solo")
    roles = fmt::format("solo on {}", executor);
  else
    roles = fmt::format("executed by {}, logged by {}", executor, text(volume["logger"]));
  if (!executor.empty() && volume["serving"] != true) roles += ", NOT SERVED NOW";
  if (!executor.empty() && executor != text(volume["home"]))
    roles += fmt::format(", at home on {}", text(volume["home"]));
  const Json& raid = volume["raid"];
  return fmt::format("  volume {}  {}; epoch {}; RAID {} over {}: {}; log {} to sequence {}\n",
                     text(volume["id"]), roles, text(volume["epoch"]), text(raid["level"]),
                     raid["elements"].size(), text(raid["state"]),
                     human(volume["log"]["bytes"].get<uint64_t>()),
                     text(volume["log"]["last_sequence"]));
}

}  // namespace

std::string report_text(const nlohmann::ordered_json& report) {
  std::string page = fmt::format("cluster {}, map version {}\n", text(report["cluster_id"]),
                                 text(report["map_version"]));
  for (const Json& router : report["routers"])
    page += fmt::format("router {}  {} at {}{}\n", text(router["name"]), process(router),
                        text(router["endpoint"]),
                        router.contains("insecure_network") && router["insecure_network"] == true
                            ? " (INSECURE NETWORK)"
                            : "");
  for (const Json& pair : report["pairs"]) {
    page += fmt::format("pair {}\n", text(pair["id"]));
    for (const Json& node : pair["nodes"])
      page += fmt::format("  node {}  {} at {}{}\n", text(node["name"]), process(node),
                          text(node["endpoint"]),
                          node.contains("insecure_network") && node["insecure_network"] == true
                              ? " (INSECURE NETWORK)"
                              : "");
    for (const Json& volume : pair["volumes"]) {
      page += volume_line(volume);
      for (const Json& element : volume["raid"]["elements"])
        if (element["state"] != "ok")
          page += fmt::format("    element {} at {}: {}\n", text(element["id"]),
                              text(element["path"]), text(element["state"]));
      const Json& raid = volume["raid"];
      if (raid.contains("rebuild") && raid["rebuild"]["state"] == "running")
        page += fmt::format("    rebuilding {}: {} of {}, {}/s, {} s left\n",
                            text(raid["rebuild"]["element"]),
                            human(raid["rebuild"]["done_bytes"].get<uint64_t>()),
                            human(raid["rebuild"]["total_bytes"].get<uint64_t>()),
                            human(raid["rebuild"]["bytes_per_second"].get<uint64_t>()),
                            text(raid["rebuild"]["seconds_left"]));
    }
  }
  for (const Json& session : report["sessions"])
    page += fmt::format("mounted on {} at {} ({})\n", text(session["host"]), text(session["mount"]),
                        text(session["state"]));
  page += fmt::format("{} used of {}\n", human(report["used_bytes"].get<uint64_t>()),
                      human(report["capacity_bytes"].get<uint64_t>()));
  page += report["takeover_possible"] == true ? "takeover possible: yes\n"
                                              : fmt::format("takeover possible: no, because {}\n",
                                                            text(report["takeover_obstacle"]));
  return page;
}

}  // namespace pairfs::cli
