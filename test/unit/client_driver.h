// Drives a ClientCore by hand: routers are connected, messages that it sends are looked at and
// answered, time is a number.
#pragma once

#include <deque>
#include <optional>

#include "common/messages.h"
#include "fuse/client_core.h"

namespace pairfs::test {

using namespace std::chrono_literals;

class ClientDriver {
 public:
  struct Sent {
    size_t router;
    MessageHeader header;
    Bytes body;
    SharedBytes bulk;
  };
  struct ReplyOptions {
    ReplyStatus status = ReplyStatus::kOutcome;
    int error = 0;
    Epoch epoch = 1;
  };

  explicit ClientDriver(size_t routers = 1, std::optional<Duration> retry_limit = std::nullopt,
                        bool write_behind = false)
      : core(settings(routers, retry_limit, write_behind)) {
    for (size_t i = 0; i < routers; ++i) core.link_changed(i, true, now);
  }

  // Answers the map request: two volumes, 1.0 with the lower half of the slices, 1.1 with the rest.
  static Bytes map_reply() {
    ClusterMap map;
    map.cluster_id = kClusterId;
    map.slices.push_back({0, kSliceCount / 2, VolumeId{1, 0}});
    map.slices.push_back({kSliceCount / 2, kSliceCount / 2, VolumeId{1, 1}});
    MapReadReply reply;
    reply.map_version = 1;
    reply.entries.push_back({kClusterKey, 1, encode(map)});
    return encode(reply);
  }
  void give_map() { answer(expect(MapRead::kOp), map_reply()); }
  // As a client is after its first command on the volume of slice 0.
  void open_session() {
    give_map();
    const Ticket ticket = core.submit(GetAttributes{kRootInode}, now);
    answer(expect(OpenSession::kOp), encode(Empty{}));
    answer(expect(GetAttributes::kOp), encode(AttributesReply{}));
    drop_completion(ticket);
  }

  void advance(Duration by) {
    now += by;
    core.wake(now);
  }
  // The next message that the core sent; nullopt when there is none.
  std::optional<Sent> next() {
    for (ClientCore::Send& send : core.take_sends()) {
      const auto head = parse_head(send.head.view(), nullptr);
      sent_.push_back({send.router, head->header, Bytes(head->body), send.bulk});
    }
    if (sent_.empty()) return std::nullopt;
    Sent first = std::move(sent_.front());
    sent_.pop_front();
    return first;
  }
  // The next message, which must be of this op: another op fails by its absence.
  Sent expect(uint16_t op) {
    auto sent = next();
    if (!sent || sent->header.op != op)
      throw std::runtime_error(fmt::format("expected {}, got {}", command_name(op),
                                           sent ? command_name(sent->header.op) : "nothing"));
    return *sent;
  }
  // A renewal of the session; the map is read with it.
  Sent expect_renewal() {
    const Sent renewal = expect(RenewSession::kOp);
    auto map = next();
    if (map && map->header.op == MapRead::kOp)
      answer(*map, map_reply());
    else if (map)
      sent_.push_front(*map);
    return renewal;
  }
  bool silent() {
    auto sent = next();
    if (sent) sent_.push_front(*sent);
    return !sent;
  }

  void answer(const Sent& sent, BytesView body, ReplyOptions options) {
    MessageHeader header = sent.header;
    header.flags = kFlagReply;
    header.status = options.status;
    header.error = options.error;
    header.epoch = options.epoch;
    header.bulk_length = 0;
    core.message_received(SharedBytes::from(make_head(header, body)), {}, now);
  }
  void answer(const Sent& sent, BytesView body) { answer(sent, body, ReplyOptions{}); }
  void refuse(const Sent& sent, ReplyStatus status) { answer(sent, {}, {.status = status}); }

  // The outcome's errno; nullopt: not complete.
  std::optional<int> outcome(Ticket ticket) {
    for (ClientCore::Completion& completion : core.take_completions())
      completions_.push_back(std::move(completion));
    for (const auto& completion : completions_)
      if (completion.ticket == ticket) return completion.error;
    return std::nullopt;
  }
  void drop_completion(Ticket ticket) {
    (void)outcome(ticket);
    std::erase_if(completions_,
                  [&](const auto& completion) { return completion.ticket == ticket; });
  }

  static constexpr uint64_t kClusterId = 77;
  Instant now{1s};
  ClientCore core;

 private:
  static ClientCore::Settings settings(size_t routers, std::optional<Duration> retry_limit,
                                       bool write_behind) {
    ClientCore::Settings out;
    out.incarnation = 5;
    out.random_seed = 42;
    out.host = "host";
    out.mount = "/mnt";
    out.routers = routers;
    out.retry_limit = retry_limit;
    out.write_behind = write_behind;
    return out;
  }
  std::deque<Sent> sent_;
  std::vector<ClientCore::Completion> completions_;
};

}  // namespace pairfs::test
