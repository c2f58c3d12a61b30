// The node's answers to people: status and admin requests, as JSON (docs/protocol.md, "Admin").
#include <unistd.h>

#include <nlohmann/json.hpp>

#include "common/codec.h"
#include "common/messages.h"
#include "node/namespace_scan.h"
#include "node/node_loop.h"
#include "node/store/row_table.h"

namespace pairfs {
namespace {

using Json = nlohmann::json;

Json progress_json(const StoreProgress& p) {
  Json out = {{"state", std::string(p.state)},
              {"done_bytes", p.done_bytes},
              {"total_bytes", p.total_bytes},
              {"bytes_per_second", static_cast<uint64_t>(p.bytes_per_second)},
              {"seconds_left", 0},
              {"checked_blocks", p.checked_blocks},
              {"repaired_blocks", p.repaired_blocks},
              {"lost_blocks", p.lost_blocks},
              {"finished_count", p.finished_count}};
  if (!p.element.empty()) out["element"] = p.element;
  if (p.bytes_per_second > 0 && p.total_bytes > p.done_bytes)
    out["seconds_left"] = static_cast<uint64_t>(static_cast<double>(p.total_bytes - p.done_bytes) /
                                                p.bytes_per_second);
  return out;
}

// What an admin request asks of elements; nullopt when it cannot be understood.
std::optional<ElementWish> wish_of(const Json& arguments) {
  using What = ElementWish::What;
  const std::string what = arguments.value("what", "");
  ElementWish wish{What::kFail, arguments.value("id", ""), arguments.value("path", "")};
  if (what == "fail")
    wish.what = What::kFail;
  else if (what == "replace")
    wish.what = What::kReplace;
  else if (what == "add")
    wish.what = What::kAddSpare;
  else if (what == "remove")
    wish.what = What::kRemoveSpare;
  else if (what == "scrub")
    wish.what = What::kStartScrub;
  else if (what == "pause")
    wish.what = What::kPauseScrub;
  else
    return std::nullopt;
  return wish;
}

// For whoever sums up volumes that share filesystems (common/space.h).
Json space_json(const VolumeSpace& space) {
  Json filesystems = Json::array();
  for (const FilesystemShare& share : space.filesystems)
    filesystems.push_back({{"id", fmt::format("{:016x}", share.id)},
                           {"elements", share.elements},
                           {"available_bytes", share.available_bytes}});
  return {{"used_bytes", space.used_bytes},
          {"withheld_bytes", space.withheld_bytes},
          {"garbage_bytes", space.garbage_bytes},
          {"data_columns", space.data_columns},
          {"filesystems", std::move(filesystems)}};
}

Json raid_json(const VolumeRuntime& volume) {
  Json elements = Json::array(), spares = Json::array();
  Json out;
  if (volume.store() != nullptr) {
    const StoreStatus status = volume.store()->status();
    for (const ElementStatus& e : status.elements)
      elements.push_back({{"id", e.id},
                          {"path", e.path},
                          {"reach", e.reach},
                          {"state", e.state},
                          {"repaired_blocks", e.repaired_blocks},
                          {"used_bytes", e.used_bytes},
                          {"filesystem", fmt::format("{:016x}", e.filesystem_id)},
                          {"capacity_bytes", e.capacity_bytes}});
    for (const ElementStatus& e : status.spares)
      spares.push_back({{"id", e.id}, {"path", e.path}, {"reach", e.reach}, {"state", e.state}});
    out["rebuild"] = progress_json(status.rebuild);
    out["scrub"] = progress_json(status.scrub);
    out["level"] = status.raid_level;
    out["state"] = status.raid_state;
    out["used_bytes"] = status.used_bytes;
    out["capacity_bytes"] = status.capacity_bytes;
    out["space"] = space_json(status.space);
  }
  out["elements"] = std::move(elements);
  out["spares"] = std::move(spares);
  return out;
}

Json volume_json(const VolumeRuntime& volume) {
  const PairCore& core = volume.core();
  const bool executor = core.role() == PairCore::Role::kExecutor;
  Json out = {{"id", to_string(volume.store_config().volume)},
              {"role", to_string(core.role())},
              {"mode", core.solo() ? "solo" : "paired"},
              {"epoch", core.record().epoch},
              {"serving", volume.has_executor()},
              {"log",
               {{"last_sequence", volume.log().last()},
                {"checkpoint_sequence", volume.checkpoint_sequence()},
                {"synced_sequence", volume.log().synced()},
                {"copied_in_memory", volume.copied_in_memory()},
                {"bytes", volume.log().bytes()}}}};
  if (const Executor* running = volume.executor()) {
    const SliceProgress slices = running->slice_progress();
    const OpenTransactions open = running->open_transactions();
    out["slices"] = {
        {"count", running->owned_slices().size()},
        {"moving", slices.moving},
        {"moved", slices.moved},
        {"aborted_moves", slices.aborted},
        {"moved_rows", slices.rows},
        {"moved_bytes", slices.bytes},
        {"longest_freeze_ms",
         std::chrono::duration_cast<std::chrono::milliseconds>(slices.longest_freeze).count()}};
    out["transactions"] = {{"held", open.held.size()}, {"decided", open.decided.size()}};
  }
  if (core.diverged())
    out["trouble"] =
        "this node's history has answers that the executor's lacks: see pairfs volume resolve";
  else if (volume.log().summary().damaged)
    out["trouble"] = "this node's log is damaged; its partner's will replace it";
  if (!volume.open_problem().empty()) out["open_problem"] = volume.open_problem();
  if (executor) {
    out["takeover_obstacle"] = core.takeover_obstacle();
    Json raid = raid_json(volume);
    for (const char* key : {"used_bytes", "capacity_bytes", "space"}) {
      if (!raid.contains(key)) continue;
      out[key] = raid[key];
      raid.erase(key);
    }
    out["raid"] = std::move(raid);
  }
  return out;
}

// Of the volume that had the most commands: microseconds, by stage.
void add_latencies(const VolumeRuntime& volume, Json& latency) {
  const VolumeRuntime::Latencies& l = volume.latencies();
  const std::pair<const char*, const LatencyHistogram*> stages[] = {
      {"executor and store", &l.execute},
      {"executor's log", &l.log},
      {"partner's log", &l.partner},
      {"a read's wait", &l.read}};
  for (const auto& [stage, histogram] : stages) {
    if (latency.contains(stage) && latency[stage]["count"] >= histogram->count()) continue;
    latency[stage] = Json::parse(histogram->json());
  }
}

}  // namespace

Json NodeLoop::status() const {
  Json volumes = Json::array(), sessions = Json::array();
  bool joining = false;
  Json latency = Json::object();
  for (const auto& [id, volume] : volumes_) {
    if (volume->has_executor()) add_latencies(*volume, latency);
    volumes.push_back(volume_json(*volume));
    joining |= volume->core().role() == PairCore::Role::kJoining ||
               volume->core().role() == PairCore::Role::kIdle;
    if (volume->executor() == nullptr) continue;
    for (const Executor::SessionStatus& s : volume->executor()->sessions())
      sessions.push_back({{"id", fmt::format("{:016x}", s.id)},
                          {"host", s.host},
                          {"mount", s.mount},
                          {"state", s.state}});
  }
  return {{"name", config_.name},
          {"latency", std::move(latency)},
          {"endpoint", clients_->endpoint()},
          {"pid", ::getpid()},
          {"incarnation", fmt::format("{:016x}", incarnation_)},
          {"state", joining ? "joining" : "up"},
          {"map_reachable", map_->reachable(now())},
          {"refused_messages", refused_messages_ + clients_->dropped_count()},
          {"volumes", std::move(volumes)},
          {"sessions", std::move(sessions)}};
}

void NodeLoop::on_admin(const Message& message, const ParsedHead& head) {
  const auto answer = [this, envelope = message.envelope, header = head.header](bool ok,
                                                                                const Json& json) {
    AdminReply body;
    body.ok = ok;
    body.json = json.dump(-1, ' ', false, Json::error_handler_t::replace);
    reply(envelope, header, encode(body), {});
  };
  if (head.header.op == NodeStatus::kOp) {
    answer(true, status());
    return;
  }
  const auto request = decode<AdminRequest>(head.body);
  if (!request) return;
  if (request->verb == "sync") {
    // Volumes that this node does not execute are their executor's business.
    auto left = std::make_shared<int>(1);
    auto failed = std::make_shared<bool>(false);
    const auto one_done = [left, failed, answer](bool ok) {
      *failed |= !ok;
      if (--*left > 0) return;
      if (*failed)
        answer(false, {{"error", "the volume changed its executor meanwhile; sync again"}});
      else
        answer(true, Json::object());
    };
    for (auto& [id, volume] : volumes_) {
      if (!volume->has_executor()) continue;
      ++*left;
      volume->sync(one_done);
    }
    one_done(true);
    return;
  }
  if (request->verb == "events") {
    Json events = Json::array();
    for (const HistoryEntry& e : history_)
      events.push_back({{"time", fmt::format("{}.{:09}", e.at.seconds, e.at.nanoseconds)},
                        {"node", config_.name},
                        {"volume", to_string(e.volume)},
                        {"epoch", e.epoch},
                        {"what", e.what}});
    answer(true, {{"events", std::move(events)}});
    return;
  }
  if (request->verb == "scan_namespace") {  // {"volume": "1.0", ...}: see namespace_scan.h
    const Json arguments = Json::parse(request->arguments, nullptr, false);
    const std::string wanted = arguments.is_object() ? arguments.value("volume", "") : "";
    for (auto& [id, volume] : volumes_) {
      if (to_string(id) != wanted || !volume->has_executor()) continue;
      try {
        answer(true, scan_namespace(*volume->store(), arguments));
      } catch (const RowsUnreadable& unreadable) {
        answer(false, {{"error", unreadable.what()}});
      }
      return;
    }
    answer(false, {{"error", fmt::format("node {} does not execute volume \"{}\" now", config_.name,
                                         wanted)}});
    return;
  }
  if (request->verb == "elements") {  // {"volume": "1.0", "what": "fail", "id": "1.0-e1"}
    const Json arguments = Json::parse(request->arguments, nullptr, false);
    const std::string wanted = arguments.is_object() ? arguments.value("volume", "") : "";
    const auto wish = arguments.is_object() ? wish_of(arguments) : std::nullopt;
    for (auto& [id, volume] : volumes_) {
      if (to_string(id) != wanted || !wish) continue;
      volume->change_elements(*wish, [answer](const std::string& why) {
        if (why.empty())
          answer(true, Json::object());
        else
          answer(false, {{"error", why}});
      });
      return;
    }
    answer(false, {{"error", fmt::format("node {} cannot do that with volume \"{}\"", config_.name,
                                         wanted)}});
    return;
  }
  if (request->verb == "fsck") {  // {"volume": "1.0", "repair": false}
    const Json arguments = Json::parse(request->arguments, nullptr, false);
    const std::string wanted = arguments.is_object() ? arguments.value("volume", "") : "";
    for (auto& [id, volume] : volumes_) {
      if (to_string(id) != wanted) continue;
      volume->check(arguments.value("repair", false),
                    [answer](const std::string& why, const VolumeRuntime::Checked& checked) {
                      if (!why.empty()) return answer(false, {{"error", why}});
                      Json findings = Json::array();
                      for (const StoreFinding& finding : checked.findings)
                        findings.push_back({{"kind", finding.kind},
                                            {"where", finding.where},
                                            {"repaired", finding.repaired}});
                      answer(true, {{"findings", std::move(findings)}});
                    });
      return;
    }
    answer(false, {{"error", fmt::format("node {} has no volume \"{}\"", config_.name, wanted)}});
    return;
  }
  if (request->verb == "hand_over") {  // {"volume": "1.0"}: the partner is to execute it
    const Json arguments = Json::parse(request->arguments, nullptr, false);
    const std::string wanted = arguments.is_object() ? arguments.value("volume", "") : "";
    for (auto& [id, volume] : volumes_) {
      if (to_string(id) != wanted) continue;
      const std::string obstacle = volume->core().takeover_obstacle();
      if (!obstacle.empty()) {
        answer(false, {{"error", obstacle}});
        return;
      }
      if (!arguments.value("check", false)) volume->hand_over();
      answer(true, Json::object());
      return;
    }
    answer(false, {{"error", fmt::format("node {} has no volume \"{}\"", config_.name, wanted)}});
    return;
  }
  if (on_decision(request->verb, request->arguments, answer)) return;
  answer(false, {{"error", fmt::format("unknown verb \"{}\"", std::string(request->verb))}});
}

}  // namespace pairfs
