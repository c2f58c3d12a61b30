// A map client keeps one MapRead waiting at the store ("the watch"), so that a change arrives at
// once and silence is noticed. A swap whose connection broke is sent again: the store compares
// versions, so that at most one of the copies takes effect, and the answer to the last one tells
// whether one did.
#include <fmt/format.h>

#include <algorithm>
#include <random>

#include "common/codec.h"
#include "common/ensure.h"
#include "common/header.h"
#include "common/logging.h"
#include "common/map_store.h"
#include "common/zookeeper_map_client.h"

namespace pairfs {
namespace {

using namespace std::chrono_literals;

constexpr Duration kWatch = 500ms;       // how long the store may hold a MapRead back
constexpr Duration kWatchGrace = 500ms;  // beyond it: the store is taken for lost
constexpr Duration kRetryPause = 20ms;   // before a request that could not be sent is tried again
constexpr Duration kIdlePause = 10ms;    // between watches that bring no news early
constexpr Duration kReachableFor = 1000ms;
constexpr Duration kSwitchAfter = 300ms;  // without a connection: try the next endpoint

class MapClientImpl final : public MapClient {
 public:
  MapClientImpl(Context& context, const std::vector<std::string>& endpoints, uint64_t cluster_id)
      : cluster_id_(cluster_id) {
    ENSURE(!endpoints.empty(), "no endpoint of the map");
    for (const std::string& endpoint : endpoints)
      links_.push_back({Socket::client(context, endpoint), false});
    std::random_device random;
    do {
      session_ = uint64_t{random()} << 32 | random();
    } while (session_ == 0);
  }

  void add_to(Poller& poller) override {
    for (const Link& link : links_) poller.add(link.socket);
  }

  void step(Instant now) override {
    receive_all(now);
    watch(now);
    send_swaps(now);
    run_callbacks();
  }

  Instant next_wake() const override {
    if (!finished_.empty()) return Instant{};
    Instant wake = watch_sequence_ != 0 ? watch_deadline_ : watch_again_;
    if (refresh_ && refresh_sequence_ == 0) wake = std::min(wake, refresh_again_);
    if (refresh_sequence_ != 0) wake = std::min(wake, refresh_deadline_);
    for (const PendingSwap& swap : swaps_) {
      wake = std::min(wake, swap.deadline);
      if (swap.sequence == 0) wake = std::min(wake, swap.send_again);
    }
    return wake;
  }

  uint64_t map_version() const override { return map_version_; }

  const MapEntry* find(BytesView key) const override {
    const auto at = position(key);
    return at != entries_.end() && at->key == key ? &*at : nullptr;
  }

  const std::vector<MapEntry>& entries() const override { return entries_; }

  Instant last_answer() const override { return last_answer_; }
  bool reachable(Instant now) const override {
    return last_answer_ != Instant{} && now - last_answer_ <= kReachableFor;
  }

  void refresh() override { refresh_ = true; }

  void swap(MapSwap request, Duration timeout,
            std::function<void(SwapOutcome, const MapEntry& current)> done) override {
    PendingSwap pending;
    pending.request = std::move(request);
    pending.timeout = timeout;
    pending.done = std::move(done);
    swaps_.push_back(std::move(pending));
  }

 private:
  struct Link {
    Socket socket;
    bool connected;
  };
  struct PendingSwap {
    MapSwap request;
    Duration timeout{};
    std::function<void(SwapOutcome, const MapEntry&)> done;
    Instant deadline{};  // set by the first step that sees it
    Instant send_again{};
    uint64_t sequence = 0;  // of the copy that waits for an answer; 0: none does
    unsigned copies = 0;    // how often it was sent
  };
  struct Finished {
    std::function<void(SwapOutcome, const MapEntry&)> done;
    SwapOutcome outcome;
    MapEntry current;
  };

  std::vector<MapEntry>::const_iterator position(BytesView key) const {
    return std::lower_bound(entries_.begin(), entries_.end(), key,
                            [](const MapEntry& entry, BytesView k) { return entry.key < k; });
  }

  // A version never goes back: a record that was read before a swap and arrives after its answer
  // changes nothing.
  void take_entry(const MapEntry& entry) {
    const auto at = entries_.begin() + (position(entry.key) - entries_.cbegin());
    if (at == entries_.end() || at->key != entry.key) {
      entries_.insert(at, entry);
    } else if (at->version < entry.version) {
      *at = entry;
    } else {
      return;
    }
    changed_ = true;
  }

  void take_map(const MapReadReply& reply) {
    if (reply.map_version < map_version_) {
      uint64_t suppressed = 0;
      if (!reply.entries.empty() && older_limiter_.allow(last_answer_, &suppressed))
        log_warn("map.older_refused", "known={} offered={} suppressed={}", map_version_,
                 reply.map_version, suppressed);
      return;
    }
    for (const MapEntry& entry : reply.entries) take_entry(entry);
    if (reply.map_version > map_version_ && !reply.entries.empty()) {
      map_version_ = reply.map_version;
      changed_ = true;
    }
  }

  void receive_all(Instant now) {
    for (size_t index = 0; index < links_.size(); ++index) {
      Link& link = links_[index];
      // Answers first: what arrived before a connection was lost still counts.
      while (auto message = link.socket.receive()) on_message(*message, now);
      for (const Socket::LinkEvent event : link.socket.link_events()) {
        link.connected = event == Socket::LinkEvent::kConnected;
        if (index != active_) continue;
        if (link.connected) {
          hurry(now);
        } else {
          forget_requests(now);
        }
      }
    }
  }

  // What could not be sent can be sent now.
  void hurry(Instant now) {
    watch_again_ = refresh_again_ = now;
    for (PendingSwap& swap : swaps_) swap.send_again = now;
  }

  // What was sent may never be answered: all of it is sent again.
  void forget_requests(Instant now) {
    watch_sequence_ = refresh_sequence_ = 0;
    for (PendingSwap& swap : swaps_) swap.sequence = 0;
    hurry(now);
    unconnected_since_ = now;
  }

  void on_message(const Message& message, Instant now) {
    const auto parsed = parse_head(message.head.view(), nullptr);
    if (!parsed || (parsed->header.flags & kFlagReply) == 0) return;
    const MessageHeader& header = parsed->header;
    if (header.request.session != session_ || header.status != ReplyStatus::kOutcome) return;
    if (cluster_id_ == 0) cluster_id_ = header.cluster_id;
    if (header.cluster_id != cluster_id_) return;
    if (header.op == MapRead::kOp) {
      const auto reply = decode<MapReadReply>(parsed->body);
      if (!reply) return;
      last_answer_ = now;
      const uint64_t before = map_version_;
      take_map(*reply);
      if (header.request.sequence == watch_sequence_) {
        watch_sequence_ = 0;
        watch_again_ = map_version_ > before ? now : now + kIdlePause;
      } else if (header.request.sequence == refresh_sequence_) {
        refresh_sequence_ = 0;
      }
    } else if (header.op == MapSwap::kOp) {
      const auto reply = decode<MapSwapReply>(parsed->body);
      if (!reply) return;
      last_answer_ = now;
      on_swap_reply(header.request.sequence, *reply);
    }
  }

  void on_swap_reply(uint64_t sequence, const MapSwapReply& reply) {
    const auto at = std::find_if(swaps_.begin(), swaps_.end(), [&](const PendingSwap& swap) {
      return swap.sequence == sequence;
    });
    if (at == swaps_.end()) return;
    if (reply.current.version != 0) take_entry(reply.current);
    // Other records may have changed meanwhile: only the direct successor of the copy is complete.
    if (reply.swapped && reply.map_version == map_version_ + 1) map_version_ = reply.map_version;
    const bool earlier_copy_won = at->copies > 1 &&
                                  reply.current.version == at->request.expected_version + 1 &&
                                  reply.current.value == at->request.value;
    const SwapOutcome outcome =
        reply.swapped || earlier_copy_won ? SwapOutcome::kSwapped : SwapOutcome::kConflict;
    finished_.push_back({std::move(at->done), outcome, reply.current});
    swaps_.erase(at);
  }

  template <class T>
  bool send(const T& body, uint64_t* sequence) {
    MessageHeader header;
    header.op = T::kOp;
    header.cluster_id = cluster_id_;
    header.request = {session_, kUnslotted, ++last_sequence_};
    if (!links_[active_].socket.send({}, SharedBytes::from(make_head(header, encode(body)))))
      return false;
    *sequence = last_sequence_;
    return true;
  }

  void switch_link(Instant now) {
    active_ = (active_ + 1) % links_.size();
    forget_requests(now);
  }

  void watch(Instant now) {
    if (watch_sequence_ != 0 && now >= watch_deadline_) switch_link(now);
    if (!links_[active_].connected) {
      if (unconnected_since_ == Instant{}) unconnected_since_ = now;
      if (links_.size() > 1 && now - unconnected_since_ >= kSwitchAfter) switch_link(now);
    }
    if (watch_sequence_ == 0 && now >= watch_again_) {
      const auto wait_ms = static_cast<uint32_t>(kWatch / 1ms);
      if (send(MapRead{map_version_, wait_ms}, &watch_sequence_)) {
        watch_deadline_ = now + kWatch + kWatchGrace;
      } else {
        watch_again_ = now + kRetryPause;
      }
    }
    if (refresh_sequence_ != 0 && now >= refresh_deadline_) refresh_sequence_ = 0;
    if (refresh_ && refresh_sequence_ == 0 && now >= refresh_again_) {
      if (send(MapRead{map_version_, 0}, &refresh_sequence_)) {
        refresh_deadline_ = now + kWatchGrace;
        refresh_ = false;
      }
      refresh_again_ = now + kRetryPause;
    }
  }

  void send_swaps(Instant now) {
    for (size_t i = 0; i < swaps_.size();) {
      PendingSwap& swap = swaps_[i];
      if (swap.deadline == Instant{}) swap.deadline = now + swap.timeout;
      if (now >= swap.deadline) {
        MapEntry current;
        if (const MapEntry* known = find(swap.request.key)) {
          current = *known;
        } else {
          current.key = swap.request.key;
        }
        finished_.push_back({std::move(swap.done), SwapOutcome::kUnknown, std::move(current)});
        swaps_.erase(swaps_.begin() + static_cast<ptrdiff_t>(i));
        refresh_ = true;
        continue;
      }
      if (swap.sequence == 0 && now >= swap.send_again) {
        if (send(swap.request, &swap.sequence)) {
          ++swap.copies;
        } else {
          swap.send_again = now + kRetryPause;
        }
      }
      ++i;
    }
  }

  // Last, as the callbacks may call anything of this class.
  void run_callbacks() {
    if (std::exchange(changed_, false) && known() && on_change) on_change();
    for (Finished& finished : std::exchange(finished_, {}))
      finished.done(finished.outcome, finished.current);
  }

  uint64_t cluster_id_;
  SessionId session_ = 0;
  std::vector<Link> links_;
  size_t active_ = 0;
  Instant unconnected_since_{};

  uint64_t map_version_ = 0;
  std::vector<MapEntry> entries_;  // sorted by key
  bool changed_ = false;
  Instant last_answer_{};
  LogLimiter older_limiter_{10s};

  uint64_t last_sequence_ = 0;
  uint64_t watch_sequence_ = 0;  // 0: none waits
  Instant watch_deadline_{}, watch_again_{};
  bool refresh_ = false;
  uint64_t refresh_sequence_ = 0;
  Instant refresh_deadline_{}, refresh_again_{};

  std::vector<PendingSwap> swaps_;
  std::vector<Finished> finished_;
};

}  // namespace

std::unique_ptr<MapClient> make_map_client(Context& context,
                                           const std::vector<std::string>& endpoints,
                                           uint64_t cluster_id) {
  if (!endpoints.empty() && is_zookeeper_endpoint(endpoints.front()))
    return make_zookeeper_map_client(endpoints.front(), cluster_id);
  return std::make_unique<MapClientImpl>(context, endpoints, cluster_id);
}

}  // namespace pairfs
