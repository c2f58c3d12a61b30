#include "cli/moves.h"

#include "cli/ask.h"

namespace pairfs::cli {

std::vector<Move> moves_for(const Picture& picture, const std::string& node, bool back) {
  std::vector<Move> moves;
  const NodeInfo* partner = picture.map.partner_of(node);
  for (const VolumeInfo& volume : picture.map.pair_of(node)->volumes) {
    const auto record = picture.records.find(volume.id);
    if (record == picture.records.end()) continue;
    const std::string executor = record->second.executor.name;
    if (back && volume.home == node && executor == partner->name)
      moves.push_back({volume.id, executor, node});
    if (!back && executor == node) moves.push_back({volume.id, node, partner->name});
  }
  return moves;
}

Trouble ask_hand_over(const Picture& picture, const Move& move, bool check) {
  const nlohmann::json arguments = {{"volume", to_string(move.volume)}, {"check", check}};
  const auto answers = ask_all({question(picture.map.find_node(move.from)->endpoint,
                                         AdminRequest{Bytes("hand_over"), arguments.dump()})},
                               picture.cluster_id, std::chrono::seconds(2));
  const auto reply = answers[0] ? decode<AdminReply>(answers[0]->body) : std::nullopt;
  if (!reply) return failed("node {} does not answer", move.from);
  if (reply->ok) return std::nullopt;
  const auto why = nlohmann::json::parse(reply->json, nullptr, false);
  return failed("{} cannot take volume {} over now: {}", move.to, to_string(move.volume),
                why.is_object() ? why.value("error", "no reason given") : "no reason given");
}

bool has_moved(const Picture& picture, const Move& move) {
  const auto node = picture.nodes.find(move.to);
  if (node == picture.nodes.end() || !node->second.contains("volumes")) return false;
  for (const auto& volume : node->second["volumes"])
    if (volume["id"] == to_string(move.volume) && volume.value("serving", false)) return true;
  return false;
}

}  // namespace pairfs::cli
