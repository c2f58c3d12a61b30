// Whole frames at a router and at a map server, with their crc made right, and the maps that they
// could be given. First octet: whom the frame reaches. The rest: the frame, or an encoded
// ClusterMap.
#include <cstring>

#include "common/codec.h"
#include "common/crc32c.h"
#include "common/ensure.h"
#include "router/map_server.h"
#include "router/router_core.h"
#include "test/fuzz/fuzz_target.h"
#include "test/support/random_command.h"

using namespace pairfs;
using namespace pairfs::test;

namespace {

constexpr uint64_t kCluster = 5;

// The store's rules without its disk, and never more than one record.
class SmallStore final : public FileMapStore {
 public:
  uint64_t map_version() const override { return 1; }
  const std::vector<MapEntry>& entries() const override { return entries_; }
  MapSwapReply swap(const MapSwap& request) override {
    MapSwapReply reply;
    reply.current.key = request.key;
    return reply;
  }
  bool adopt(const MapReadReply&) override { return false; }

 private:
  std::vector<MapEntry> entries_{1};
};

Bytes with_right_crc(BytesView bytes) {
  Bytes frame(bytes);
  if (frame.size() < kHeaderBytes) return frame;
  std::memset(frame.data() + 4, 0, 4);
  const uint32_t crc = crc32c(frame);
  std::memcpy(frame.data() + 4, &crc, 4);
  return frame;
}

RouterCore router(const ClusterMap& map) {
  RouterCore core(kCluster);
  core.on_map(RoutingTable(map, [&](VolumeId id) {
    VolumeRecord record;
    record.epoch = id.index;
    if (!map.pairs.empty() && !map.pairs[0].nodes.empty())
      record.executor.name = map.pairs[0].nodes[0].name;
    return std::optional(record);
  }));
  for (const NodeInfo& node : core.table().nodes()) core.on_link(node.name, true);
  return core;
}

ClusterMap small_map() {
  ClusterMap map;
  map.cluster_id = kCluster;
  PairInfo pair;
  pair.id = 1;
  NodeInfo node;
  node.name = BytesView("1a");
  pair.nodes.push_back(node);
  VolumeInfo volume;
  volume.id = {1, 0};
  pair.volumes.push_back(volume);
  map.pairs.push_back(pair);
  map.slices.push_back({0, kSliceCount / 2, {1, 0}});
  return map;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const BytesView rest(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0: {
      RouterCore core = router(small_map());
      const Bytes frame = with_right_crc(rest);
      const auto decision = core.on_client({"client"}, frame);
      if (decision.kind == RouterCore::Decision::Kind::kForward ||
          decision.kind == RouterCore::Decision::Kind::kReply)
        ENSURE(parse_head(decision.head, nullptr).has_value(), "a router made a bad frame");
      return 0;
    }
    case 1: {
      RouterCore core = router(small_map());
      core.on_node("1a", with_right_crc(rest));
      return 0;
    }
    case 2: {
      MapServer server(std::make_unique<SmallStore>(), kCluster);
      const char* why = nullptr;
      const bool taken = server.on_message({"client"}, with_right_crc(rest), Instant{}, &why);
      ENSURE(taken || why != nullptr, "dropped without a reason");
      server.take_answers(Instant{} + MapReadService::kWaitMax);
      return 0;
    }
    default: {
      const auto map = decode<ClusterMap>(rest);
      if (!map) return 0;
      RouterCore core = router(*map);
      for (unsigned slice = 0; slice <= kSliceCount; slice += 64) {
        MessageHeader header;
        header.op = Lookup::kOp;
        header.cluster_id = kCluster;
        header.slice = static_cast<Slice>(slice % kSliceCount);
        core.on_client({"client"}, make_head(header, {}));
      }
    }
  }
  return 0;
}

std::vector<Bytes> pairfs::test::fuzz_seeds(std::mt19937_64& random) {
  std::vector<Bytes> seeds;
  const auto add = [&](char to, uint16_t op, uint16_t flags, const Bytes& body) {
    MessageHeader header;
    header.op = op;
    header.flags = flags;
    header.cluster_id = kCluster;
    header.slice = static_cast<Slice>(random() % kSliceCount);
    seeds.push_back(Bytes(1, to) + make_head(header, body));
  };
  for (int i = 0; i < 10; ++i) {
    add(0, Write::kOp, 0, encode(random_value<Write>(random)));
    add(0, MapRead::kOp, 0, encode(random_value<MapRead>(random)));
    add(1, Write::kOp, kFlagReply, encode(random_value<CountReply>(random)));
    add(2, MapRead::kOp, 0, encode(random_value<MapRead>(random)));
    add(2, MapSwap::kOp, 0, encode(random_value<MapSwap>(random)));
    seeds.push_back(Bytes(1, 3) + encode(random_value<ClusterMap>(random)));
    seeds.push_back(Bytes(1, 3) + encode(small_map()));
  }
  return seeds;
}
