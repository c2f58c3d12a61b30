#include "node/offline_check.h"

#include <fmt/core.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "common/codec.h"
#include "common/logging.h"
#include "common/map_store.h"
#include "node/executor/check_volume.h"
#include "node/log_replay.h"
#include "node/process_identity.h"
#include "node/store/row_table.h"

namespace pairfs {
namespace {

using Json = nlohmann::json;

std::optional<VolumeInfo> find_volume(const NodeConfig& config, const std::string& id,
                                      std::string* why) {
  const auto map = FileMapStore::open(config.state_dir + "/map", why);
  if (map == nullptr) return std::nullopt;
  *why = fmt::format("node {} knows no volume \"{}\"", config.name, id);
  for (const MapEntry& entry : map->entries()) {
    if (entry.key != kClusterKey) continue;
    const auto cluster = decode<ClusterMap>(entry.value);
    const PairInfo* pair = cluster ? cluster->pair_of(config.name) : nullptr;
    if (pair == nullptr) continue;
    for (const VolumeInfo& info : pair->volumes)
      if (to_string(info.id) == id) return info;
  }
  return std::nullopt;
}

StoreConfig store_config(const NodeConfig& config, const VolumeInfo& info, const CommandLog& log,
                         bool repair) {
  StoreConfig store;
  store.volume = info.id;
  store.cluster_id = config.cluster_id;
  store.raid_level = info.raid_level;
  for (const ElementInfo& e : info.elements) store.elements.push_back({e.id, e.path, e.reach});
  store.group_record = log.newest_elements();
  store.mending = repair ? StoreConfig::Mending::kAll : StoreConfig::Mending::kNothing;
  return store;
}

void look_at_tree(const VolumeStore& store, std::vector<StoreFinding>* findings) {
  for (const std::string& problem : check_volume(store))
    findings->push_back({"tree", problem, false});
}

void look(const NodeConfig& config, const VolumeInfo& info, const OfflineCheck& wish,
          std::vector<StoreFinding>* findings, Json* report) {
  CommandLogConfig log_config{config.state_dir + "/log-" + to_string(info.id),
                              config.cluster_id,
                              info.id,
                              0,
                              read_boot_id(),
                              config.log_segment_bytes};
  if (!std::filesystem::exists(log_config.directory)) {
    findings->push_back({"log", fmt::format("{} has no log of it", config.name), false});
    return;
  }
  const CommandLog log(std::move(log_config));
  const LogSummary summary = log.summary();
  (*report)["log"] = {{"damaged", summary.damaged},
                      {"last_epoch", summary.last_epoch},
                      {"last_sequence", summary.last}};
  if (summary.damaged)
    findings->push_back(
        {"log", fmt::format("a record of {}'s that was once synced is unreadable", config.name),
         false});
  if (wish.only_log) return;
  const auto point = log.newest_checkpoint();
  std::string why;
  const auto store =
      open_durable_store(store_config(config, info, log, wish.repair),
                         std::max<Epoch>(log.summary().last_epoch, 1), point.token, &why);
  if (store == nullptr) {
    findings->push_back({"lost", why, false});
    return;
  }
  const auto maintenance = store->maintenance();
  for (StoreFinding& finding : maintenance->opening_findings())
    findings->push_back(std::move(finding));
  // With repair what is read is mended, by opening a volume, too.
  for (const ElementStatus& element : store->status().elements)
    if (element.repaired_blocks > 0)
      findings->push_back(
          {"metadata",
           fmt::format("{} frames of {} were bad, and mended when the volume was opened",
                       element.repaired_blocks, element.id),
           true});
  for (StoreFinding& finding : maintenance->check(wish.repair)) {
    // Rows are written anew by a consistency point, and nobody takes one now.
    if (finding.kind == "stripe") finding.repaired = false;
    findings->push_back(std::move(finding));
  }
  ExecutorConfig executor_config;
  executor_config.volume = info.id;
  executor_config.epoch = log.summary().last_epoch;
  executor_config.transactions = true;
  const auto executor = make_executor(executor_config, *store);
  const Replayed replayed = replay_log(log, point.sequence, *executor);
  if (!replayed.why.empty()) findings->push_back({"log", replayed.why, false});
  look_at_tree(*store, findings);
}

}  // namespace

int check_offline(const NodeConfig& config, const OfflineCheck& wish) {
  std::string why;
  std::vector<StoreFinding> findings;
  Json report = Json::object();
  try {
    if (const auto info = find_volume(config, wish.volume, &why)) {
      why.clear();
      look(config, *info, wish, &findings, &report);
    }
  } catch (const LogFailure& failure) {
    findings.push_back({"log", failure.what(), false});
  } catch (const RowsUnreadable& unreadable) {
    findings.push_back({"lost", unreadable.what(), false});
  }
  Json found = Json::array();
  for (const StoreFinding& finding : findings)
    found.push_back(
        {{"kind", finding.kind}, {"where", finding.where}, {"repaired", finding.repaired}});
  report["findings"] = std::move(found);
  if (!why.empty()) report["error"] = why;
  std::ofstream file(wish.report_path);
  file << report.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  return file.flush() && why.empty() ? 0 : 1;
}

}  // namespace pairfs
