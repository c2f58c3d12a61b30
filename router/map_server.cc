#include "router/map_server.h"

#include "common/codec.h"
#include "common/logging.h"

namespace pairfs {

MapServer::MapServer(std::unique_ptr<FileMapStore> store, uint64_t cluster_id)
    : store_(std::move(store)), cluster_id_(cluster_id), reads_(cluster_id) {
  reads_.set_map(store_->map_version(), store_->entries());
}

bool MapServer::on_message(const std::vector<Bytes>& envelope, BytesView head, Instant now,
                           const char** why) {
  HeaderError error{};
  const auto parsed = parse_head(head, &error);
  const auto refuse = [&](const char* sentence) {
    *why = sentence;
    return false;
  };
  if (!parsed) return refuse(to_string(error));
  const MessageHeader& header = parsed->header;
  if ((header.flags & kFlagReply) != 0) return refuse("a reply");
  if (header.op == MapRead::kOp) {
    // Who does not know the cluster's id yet may read, and learns it.
    if (header.cluster_id != cluster_id_ && header.cluster_id != 0)
      return refuse("another cluster");
    const auto read = decode<MapRead>(parsed->body);
    if (!read) return refuse("a malformed MapRead");
    reads_.on_read(envelope, header, *read, now);
    return true;
  }
  if (header.op != MapSwap::kOp) return refuse("no request to the map");
  if (header.cluster_id != cluster_id_) return refuse("another cluster");
  const auto swap = decode<MapSwap>(parsed->body);
  if (!swap) return refuse("a malformed MapSwap");

  const MapSwapReply outcome = store_->swap(*swap);
  log_info("map.swap", "key={} expected={} swapped={} version={} map_version={}",
           printable(swap->key), swap->expected_version, outcome.swapped, outcome.current.version,
           outcome.map_version);
  if (outcome.swapped) {
    ++swap_count_;
    reads_.set_map(store_->map_version(), store_->entries());
  }
  MessageHeader reply;
  reply.op = MapSwap::kOp;
  reply.flags = kFlagReply;
  reply.cluster_id = cluster_id_;
  reply.request = header.request;
  reply.trace_id = header.trace_id;
  swap_answers_.push_back({envelope, SharedBytes::from(make_head(reply, encode(outcome)))});
  return true;
}

std::vector<MapReadService::Answer> MapServer::take_answers(Instant now) {
  // The swap's answer first: its sender knows the outcome before it sees the map that it made.
  std::vector<MapReadService::Answer> out = std::exchange(swap_answers_, {});
  for (MapReadService::Answer& answer : reads_.take_answers(now)) out.push_back(std::move(answer));
  return out;
}

}  // namespace pairfs
