// pairfs-solo: a whole cluster in one process, for trying and testing the client: a router that is
// its own node, with one volume in memory. Nothing is logged, nothing survives it.
//
//   pairfs-solo ENDPOINT        serves until SIGTERM; prints the endpoint, with the port chosen
//
// Signals to test the client with: SIGUSR1 drops every second request's answer from then on (and
// back), SIGUSR2 replaces the executor by one of the next epoch, as after a takeover.
#include <fmt/core.h>

#include <csignal>
#include <cstdio>
#include <ctime>
#include <deque>
#include <map>

#include "common/codec.h"
#include "common/crc32c.h"
#include "common/map_store.h"
#include "common/messages.h"
#include "common/stop_signal.h"
#include "common/transport.h"
#include "node/executor/executor.h"
#include "node/store/memory_store.h"

namespace {

using namespace pairfs;

constexpr uint64_t kClusterId = 0x5010;
constexpr VolumeId kVolume{1, 0};

volatile std::sig_atomic_t drop_toggled = 0;
volatile std::sig_atomic_t takeover_asked = 0;

class SoloServer {
 public:
  explicit SoloServer(Context& context, const std::string& endpoint)
      : socket_(Socket::server(context, endpoint)) {
    map_.cluster_id = kClusterId;
    map_.slices.push_back({0, kSliceCount, kVolume});
    PairInfo& pair = map_.pairs.emplace_back();
    pair.id = kVolume.pair;
    pair.volumes.emplace_back().id = kVolume;
    store_ = open_memory_store(disk_, epoch_, {});
    executor_ = make_executor(config(), *store_);
    executor_->format(++sequence_, wall_clock(), map_.slices_of(kVolume));
    executor_->begin_serving(boot_now());
  }

  const Socket& socket() const { return socket_; }

  void step() {
    if (takeover_asked != 0) {
      takeover_asked = 0;
      ++epoch_;
      executor_ = make_executor(config(), *store_);
      executor_->begin_serving(boot_now());
      waiting_.clear();
    }
    while (auto message = socket_.receive()) serve(*message);
    internal();
  }

 private:
  struct Waiting {
    std::vector<Bytes> envelope;
    MessageHeader header;
  };

  ExecutorConfig config() const {
    ExecutorConfig out;
    out.volume = kVolume;
    out.epoch = epoch_;
    out.map = map_;
    return out;
  }
  static Timestamp wall_clock() {
    timespec now{};
    clock_gettime(CLOCK_REALTIME, &now);
    return {now.tv_sec, static_cast<uint32_t>(now.tv_nsec)};
  }

  void serve(const Message& message) {
    const auto parsed = parse_head(message.head.view(), nullptr);
    if (!parsed) return;
    const MessageHeader& header = parsed->header;
    if (header.op == MapRead::kOp) {
      MapReadReply reply;
      reply.map_version = 1;
      reply.entries.push_back({kClusterKey, 1, encode(map_)});
      answer(message.envelope, header, ReplyStatus::kOutcome, 0, encode(reply), {});
      return;
    }
    const CommandInput input{.op = header.op,
                             .request = header.request,
                             .slice = header.slice,
                             .body = SharedBytes::from(Bytes(parsed->body)),
                             .bulk = message.bulk};
    Executed executed = executor_->execute(input, sequence_ + 1, wall_clock(), boot_now());
    if (executed.logged) ++sequence_;
    if (executed.waiting)
      waiting_[header.request] = {message.envelope, header};
    else
      answer(message.envelope, header, executed);
    internal();
  }

  // What the executor wants executed itself, and locks that can be granted now.
  void internal() {
    for (bool more = true; more;) {
      more = false;
      for (const CommandInput& input : executor_->take_granted()) {
        more = true;
        Executed executed = executor_->execute(input, sequence_ + 1, wall_clock(), boot_now());
        if (executed.logged) ++sequence_;
        const auto it = waiting_.find(input.request);
        if (executed.waiting || it == waiting_.end()) continue;
        answer(it->second.envelope, it->second.header, executed);
        waiting_.erase(it);
      }
      for (const CommandInput& input : executor_->take_follow_ups(boot_now())) {
        more = true;
        if (executor_->execute(input, sequence_ + 1, wall_clock(), boot_now()).logged) ++sequence_;
      }
    }
  }

  void answer(const std::vector<Bytes>& envelope, const MessageHeader& request,
              Executed& executed) {
    SharedBytes bulk;
    if (executed.read) {
      auto data = executed.read->run();
      if (data.ok())
        bulk = *data;
      else
        executed.error = data.error();
    }
    answer(envelope, request, executed.status, executed.error, executed.reply, bulk);
  }

  void answer(const std::vector<Bytes>& envelope, const MessageHeader& request, ReplyStatus status,
              int error, BytesView body, const SharedBytes& bulk) {
    if (drop_toggled != 0 && ++answers_ % 2 == 0) return;
    MessageHeader reply;
    reply.op = request.op;
    reply.flags = kFlagReply;
    reply.status = status;
    reply.slice = request.slice;
    reply.volume = kVolume;
    reply.error = error;
    reply.cluster_id = kClusterId;
    reply.epoch = epoch_;
    reply.request = request.request;
    reply.trace_id = request.trace_id;
    reply.bulk_length = static_cast<uint32_t>(bulk.size());
    socket_.send(envelope, SharedBytes::from(make_head(reply, error == 0 ? body : BytesView())),
                 bulk);
  }

  Socket socket_;
  ClusterMap map_;
  MemoryDisk disk_;
  std::unique_ptr<VolumeStore> store_;
  std::unique_ptr<Executor> executor_;
  Epoch epoch_ = 1;
  Sequence sequence_ = 0;
  std::map<RequestId, Waiting> waiting_;
  uint64_t answers_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: pairfs-solo ENDPOINT, e.g. tcp://127.0.0.1:*\n");
    return 2;
  }
  StopSignal stop;
  std::signal(SIGUSR1, [](int) { drop_toggled = drop_toggled == 0; });
  std::signal(SIGUSR2, [](int) { takeover_asked = 1; });
  Context context;
  SoloServer server(context, argv[1]);
  fmt::print("{}\n", server.socket().endpoint());
  std::fflush(stdout);
  Poller poller;
  poller.add(server.socket());
  poller.add_fd(stop.fd());
  while (!stop.requested()) {
    poller.wait(std::chrono::milliseconds(100));
    server.step();
  }
  return 0;
}
