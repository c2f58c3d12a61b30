// Several volumes with their executors and coordinators, and a network between them that delays,
// loses and repeats messages, all from one seed. A volume can be taken over at any moment: its log
// is replayed into an empty store, and a new executor and coordinator go on. A client sends its
// request again until it is answered.
#pragma once

#include <fmt/format.h>

#include <cstdlib>
#include <functional>
#include <queue>
#include <random>

#include "node/executor/coordinator.h"
#include "test/unit/executor/volume_harness.h"

namespace pairfs::test {

class ClusterHarness {
 public:
  struct Faults {
    int lost_percent = 0;
    int repeated_percent = 0;
    int max_delay_ms = 3;
  };
  static constexpr SessionId kFirstClient = 100;

  // Each volume has 100 slices, the last one 1000; `empty` more volumes have none yet.
  ClusterHarness(uint16_t volumes, int clients, uint64_t seed, Faults faults, uint16_t empty = 0)
      : random_(seed), faults_(faults) {
    for (uint16_t i = 0; i < volumes; ++i)
      map_.slices.push_back({static_cast<Slice>(i * 100),
                             i + 1 == volumes ? 1000U : 100U,
                             {static_cast<uint16_t>(i + 1), 0}});
    for (uint16_t i = 0; i < volumes + empty; ++i) {
      auto& node = nodes_.emplace_back(std::make_unique<Node>());
      const VolumeId id{static_cast<uint16_t>(i + 1), 0};
      node->volume = std::make_unique<VolumeHarness>(map_, id);
      node->volume->config.session_timeout = std::chrono::hours(1000);
      for (int c = 0; i < volumes && c < clients; ++c)
        open_session(*node->volume, map_.slices[i].first, kFirstClient + static_cast<uint64_t>(c));
      renew_coordinator(*node);
    }
    for (int c = 0; c < clients; ++c)
      slot_sequence_[kFirstClient + static_cast<uint64_t>(c)] = 1000;
  }

  // ---- clients ----
  using Done = std::function<void(int error, const Bytes& reply)>;
  // Sends the command again and again until it has an outcome.
  template <class C>
  void send(SessionId session, const C& command, Done done) {
    RequestId request{session, kUnslotted, ++slot_sequence_[session]};
    if (C::kKind == Kind::kMutation) request.slot = 1;
    auto call = std::make_shared<Call>();
    call->input = {C::kOp, request, slice_of(command), SharedBytes::from(encode(command)), {}};
    call->done = std::move(done);
    try_call(call);
  }
  template <class C>
  Answer<C> send_and_wait(const C& command, SessionId session = kFirstClient) {
    Answer<C> answer;
    bool finished = false;
    send(session, command, [&](int error, const Bytes& reply) {
      finished = true;
      answer.error = error;
      if (error == 0) answer.reply = *decode<typename C::Reply>(reply);
    });
    const Instant limit = now_ + std::chrono::seconds(120);
    while (!finished && now_ < limit) step();
    REQUIRE(finished);
    return answer;
  }

  // ---- time ----
  void step() {
    REQUIRE(!events_.empty());
    Event event = events_.top();
    events_.pop();
    now_ = std::max(now_, event.at);
    event.what();
  }
  void run_for(Duration time) {
    const Instant until = now_ + time;
    while (!events_.empty() && events_.top().at <= until) step();
    now_ = until;
  }
  void set_faults(Faults faults) { faults_ = faults; }
  // Called before each message is delivered, with its number; false: it is lost. May let it come
  // again.
  std::function<bool(uint64_t number, const std::function<void()>& deliver)> on_delivery;
  uint64_t deliveries() const { return deliveries_; }
  void later(Duration delay, std::function<void()> what) { at(now_ + delay, std::move(what)); }
  Instant now() const { return now_; }
  // Nobody reaches the volume, and it reaches nobody.
  void cut(size_t index, Duration how_long) { nodes_[index]->cut_until = now_ + how_long; }
  // Whether clients tell a volume that slices came to that they hold nothing open.
  bool clients_declare = true;
  uint64_t below(uint64_t limit) { return random_() % limit; }

  void take_over(size_t index) {
    restart(index, [](VolumeHarness& volume) { volume.check_replay(true); });
  }
  // Both nodes of the volume's pair lose power: what was not synced may be gone.
  void lose_power(size_t index) {
    restart(index, [this](VolumeHarness& volume) { volume.lose_power(random_()); });
  }
  template <class Replay>
  void restart(size_t index, Replay&& replay) {
    Node& node = *nodes_[index];
    trace("restart {}", to_string(node.volume->config.volume));
    ++node.life;
    node.waiting.clear();
    node.coordinator_wake = node.slices_wake = Instant::max();
    ++node.volume->config.epoch;
    node.volume->now = now_;
    replay(*node.volume);
    node.volume->synced = node.volume->sequence;  // with the epoch's first record, before it serves
    const auto owned = node.volume->executor->owned_slices();
    for (const auto& session : node.volume->executor->sessions())
      if (clients_declare && !owned.empty())
        node.volume->send(DeclareOpens{.slice = owned.front()}, session.id);
    node.volume->run_follow_ups();
    renew_coordinator(node);
  }
  VolumeHarness& volume(size_t index) { return *nodes_[index]->volume; }
  size_t volumes() const { return nodes_.size(); }
  size_t index_of(Slice slice) const { return map_.volume_of(slice).pair - 1U; }
  size_t index_of(const CommandInput& input) const {
    return input.volume != VolumeId{} ? input.volume.pair - 1U : index_of(input.slice);
  }
  // Begins to move a slice to another volume.
  void give(Slice slice, size_t to) {
    const size_t from = index_of(slice);
    nodes_[from]->volume->executor->give_slice(slice, {static_cast<uint16_t>(to + 1), 0});
    run_slices(from, nodes_[from]->life);
  }
  size_t moving() const {
    size_t count = 0;
    for (const auto& node : nodes_) count += node->volume->executor->slice_progress().moving;
    return count;
  }
  uint64_t moved() const {
    uint64_t count = 0;
    for (const auto& node : nodes_) count += node->volume->executor->slice_progress().moved;
    return count;
  }
  // How many volumes say that they have the slice.
  size_t owners(Slice slice) const {
    size_t count = 0;
    for (const auto& node : nodes_) count += node->volume->executor->owns(slice) ? 1 : 0;
    return count;
  }
  bool has_open_transactions() {
    for (auto& node : nodes_) {
      const auto open = node->volume->executor->open_transactions();
      if (!open.held.empty() || !open.decided.empty() || !node->coordinator->idle()) return true;
    }
    return false;
  }
  // For a failure's message: what is open where.
  std::string describe() const {
    std::string text;
    for (const auto& node : nodes_) {
      const auto open = node->volume->executor->open_transactions();
      const auto slices = node->volume->executor->slice_progress();
      text += fmt::format("volume {}: {} moves, coordinator {}, waiting {}\n",
                          to_string(node->volume->config.volume), slices.moving,
                          node->coordinator->idle() ? "idle" : "busy", node->waiting.size());
      for (const auto& id : open.held)
        text += fmt::format("  held: session {} sequence {} coordinator {} epoch {} attempt {}\n",
                            id.request.session, id.request.sequence, to_string(id.coordinator),
                            id.epoch, id.attempt);
      for (const auto& decided : open.decided)
        text += fmt::format("  decided: session {} sequence {}\n", decided.id.request.session,
                            decided.id.request.sequence);
      for (const auto& [request, done] : node->waiting)
        text += fmt::format("  waits: session {} sequence {}\n", request.session, request.sequence);
    }
    return text;
  }

 private:
  // PAIRFS_TEST_TRACE=1 prints what happens.
  template <class... Args>
  void trace(fmt::format_string<Args...> text, Args&&... args) {
    static const bool on = std::getenv("PAIRFS_TEST_TRACE") != nullptr;
    if (!on) return;
    fmt::print(stderr, "{:.6f} {}\n",
               std::chrono::duration<double>(now_.time_since_epoch()).count(),
               fmt::format(text, std::forward<Args>(args)...));
  }
  static std::string detail(const CommandInput& input) {
    if (input.op == Prepare::kOp) {
      const auto c = *decode<Prepare>(input.body.view());
      return fmt::format("{} attempt {} of {} part {} inode {:x} name {} other {:x}",
                         c.id.request.sequence, c.id.attempt, to_string(c.id.coordinator),
                         static_cast<int>(c.part.what), c.part.inode.id, std::string(c.part.name),
                         c.part.other.id);
    }
    if (input.op == Decide::kOp) {
      const auto c = *decode<Decide>(input.body.view());
      return fmt::format("{} attempt {} of {} commit {}", c.id.request.sequence, c.id.attempt,
                         to_string(c.id.coordinator), c.commit);
    }
    if (input.op == Conclude::kOp) {
      const auto c = *decode<Conclude>(input.body.view());
      return fmt::format("{} attempt {} of {} commit {} error {}", c.id.request.sequence,
                         c.id.attempt, to_string(c.id.coordinator), c.commit, c.error);
    }
    if (input.op == Rename::kOp) {
      const auto c = *decode<Rename>(input.body.view());
      return fmt::format("{:x}/{} -> {:x}/{} flags {}", c.parent.id, std::string(c.name),
                         c.new_parent.id, std::string(c.new_name), c.flags);
    }
    return {};
  }
  struct Node {
    std::unique_ptr<VolumeHarness> volume;
    std::unique_ptr<TransactionCoordinator> coordinator;
    std::map<RequestId, Done> waiting;
    uint64_t life = 0;
    uint64_t slices_seen = 0;
    Instant cut_until{};
    Instant coordinator_wake = Instant::max(), slices_wake = Instant::max();
  };
  struct Event {
    Instant at;
    uint64_t number;
    std::function<void()> what;
    bool operator<(const Event& other) const {
      return std::pair(at, number) > std::pair(other.at, other.number);
    }
  };
  struct Call {
    CommandInput input;
    Done done;
    bool finished = false;
  };
  using OnOutcome = std::function<void(ReplyStatus, int, const Bytes&)>;

  void open_session(VolumeHarness& volume, Slice slice, SessionId session) {
    const OpenSession open{.slice = slice, .host = "h", .mount = "m"};
    REQUIRE(volume.send_as(open, {session, 0, 1}).error == 0);
    volume.synced = volume.sequence;
  }
  void at(Instant when, std::function<void()> what) {
    events_.push({when, ++event_number_, std::move(what)});
  }
  // Calls `what` after a while; maybe never, maybe twice.
  void over_network(const std::function<void()>& what) {
    const int times = below(100) < static_cast<uint64_t>(faults_.lost_percent)       ? 0
                      : below(100) < static_cast<uint64_t>(faults_.repeated_percent) ? 2
                                                                                     : 1;
    for (int i = 0; i < times; ++i)
      at(now_ + std::chrono::microseconds(
                    50 + below(1000 * static_cast<uint64_t>(faults_.max_delay_ms))),
         [this, what] {
           if (!on_delivery || on_delivery(++deliveries_, what)) what();
         });
  }
  bool is_cut(size_t index) const { return now_ < nodes_[index]->cut_until; }
  // What the volume has done so far is synced, a moment from now; then `what`, if it still lives.
  void after_sync(size_t index, std::function<void()> what) {
    const Sequence through = nodes_[index]->volume->sequence;
    at(now_ + std::chrono::microseconds(below(2000)),
       [this, index, life = nodes_[index]->life, through, what = std::move(what)] {
         if (nodes_[index]->life != life) return;
         VolumeHarness& volume = *nodes_[index]->volume;
         volume.synced = std::max(volume.synced, through);
         what();
       });
  }

  void try_call(const std::shared_ptr<Call>& call) {
    if (call->finished) return;
    const auto on_outcome = [this, call](ReplyStatus status, int error, const Bytes& reply) {
      if (call->finished || status == ReplyStatus::kBusy || status == ReplyStatus::kNotExecutor)
        return;
      REQUIRE(status == ReplyStatus::kOutcome);
      call->finished = true;
      call->done(error, reply);
    };
    over_network([this, call, on_outcome] {
      follow_slices();
      execute(index_of(call->input), call->input, on_outcome);
    });
    at(now_ + std::chrono::milliseconds(20 + below(30)), [this, call] { try_call(call); });
  }

  void execute(size_t index, const CommandInput& input, const OnOutcome& on_outcome) {
    Node& node = *nodes_[index];
    if (is_cut(index)) return;
    node.volume->now = now_;
    node.volume->run_follow_ups();
    if (input.op == ResolveTransaction::kOp &&
        node.coordinator->is_active(decode<ResolveTransaction>(input.body.view())->id)) {
      over_network([on_outcome] { on_outcome(ReplyStatus::kBusy, 0, {}); });
      return;
    }
    const Executed out = node.volume->execute(input);
    trace("{} {} session {} sequence {} slice {}: status {} errno {}{}{} {}",
          to_string(node.volume->config.volume), command_name(input.op), input.request.session,
          input.request.sequence, input.slice, static_cast<int>(out.status), out.error,
          out.logged ? " logged" : "", out.cross_volume ? " cross" : "", detail(input));
    if (out.cross_volume) {
      node.waiting[input.request] = [on_outcome](int error, const Bytes& reply) {
        on_outcome(ReplyStatus::kOutcome, error, reply);
      };
      perform(index, node.coordinator->step(BeginTransaction{input, out.reply}, now_));
      return;
    }
    const uint64_t life = node.life;
    const auto reply = [this, index, life, status = out.status, error = out.error, body = out.reply,
                        on_outcome] {
      over_network([=, this] {
        // What an executor did not answer before it was deposed is never answered by it.
        if (nodes_[index]->life == life && !is_cut(index)) on_outcome(status, error, body);
      });
    };
    // Clients are taken to fsync what they do.
    if (out.needs_sync || input.request.slot != kUnslotted)
      after_sync(index, reply);
    else
      reply();
  }

  void perform(size_t index, const TransactionCoordinator::Effects& effects) {
    Node& node = *nodes_[index];
    const uint64_t life = node.life;
    for (const auto& out : effects.send) {
      if (is_cut(index)) continue;
      over_network([this, index, life, out] {
        execute(
            index_of(out.input), out.input,
            [this, index, life, tag = out.tag](ReplyStatus status, int error, const Bytes& reply) {
              Node& self = *nodes_[index];
              if (self.life != life) return;
              perform(index,
                      self.coordinator->step(CommandAnswered{tag, status, error, reply}, now_));
            });
      });
    }
    for (const CommandInput& input : effects.answer) {
      const Executed again = node.volume->execute(input);
      const auto waiting = node.waiting.find(input.request);
      if (again.cross_volume) {
        perform(index, node.coordinator->step(BeginTransaction{input, again.reply}, now_));
        continue;
      }
      if (waiting == node.waiting.end()) continue;
      if (again.status != ReplyStatus::kOutcome || again.waiting) {
        node.waiting.erase(waiting);  // the client asks again
        continue;
      }
      const Done done = std::move(waiting->second);
      node.waiting.erase(waiting);
      after_sync(index, [this, done, error = again.error, reply = again.reply] {
        over_network([done, error, reply] { done(error, reply); });
      });
    }
    wake(index, &Node::coordinator_wake, effects.wake_at,
         [this, index, life] { tick(index, life); });
  }
  // Calls `what` at that time, unless an earlier call comes first: then that one asks again.
  void wake(size_t index, Instant Node::*wake_at, Instant when, std::function<void()> what) {
    when = std::max(when, now_ + std::chrono::microseconds(10));
    if (when >= (*nodes_[index]).*wake_at || when == Instant::max()) return;
    (*nodes_[index]).*wake_at = when;
    at(when, [this, index, wake_at, when, what = std::move(what)] {
      if ((*nodes_[index]).*wake_at != when) return;
      (*nodes_[index]).*wake_at = Instant::max();
      what();
    });
  }

  // The map follows the volumes.
  void follow_slices() {
    for (size_t index = 0; index < nodes_.size(); ++index) {
      Node& node = *nodes_[index];
      const uint64_t version = node.volume->executor->slices_version() + node.life * 1'000'000;
      if (std::exchange(node.slices_seen, version) == version) continue;
      const auto owned = node.volume->executor->owned_slices();
      for (const Slice slice : owned) map_.assign(slice, {static_cast<uint16_t>(index + 1), 0});
      // Clients see that their slices moved, and say what they hold open: nothing, here.
      for (const auto& session : node.volume->executor->sessions())
        if (clients_declare && !owned.empty())
          node.volume->send(DeclareOpens{.slice = owned.front()}, session.id);
      node.volume->run_follow_ups();
      for (auto& other : nodes_) {
        other->coordinator->set_map(map_);
        other->volume->executor->set_cluster(map_, {});
      }
    }
  }

  void run_slices(size_t index, uint64_t life) {
    Node& node = *nodes_[index];
    if (node.life != life) return;
    node.volume->now = now_;
    node.volume->answer_recalls();
    const SliceEffects effects = node.volume->executor->step_slices(now_);
    for (const auto& out : effects.send) {
      if (is_cut(index)) continue;
      over_network([this, index, life, out] {
        execute(
            index_of(out.input), out.input,
            [this, index, life, tag = out.tag](ReplyStatus status, int error, const Bytes& reply) {
              if (nodes_[index]->life != life) return;
              nodes_[index]->volume->executor->slice_answered(tag, status, error, reply, now_);
              run_slices(index, life);
            });
      });
    }
    for (const auto& fetch : effects.fetch) {
      const auto data = fetch.plan->run();
      at(now_ + std::chrono::microseconds(100), [this, index, life, tag = fetch.tag, data] {
        if (nodes_[index]->life != life) return;
        nodes_[index]->volume->executor->slice_fetched(tag, data, now_);
        run_slices(index, life);
      });
    }
    wake(index, &Node::slices_wake, effects.wake_at,
         [this, index, life] { run_slices(index, life); });
  }

  void tick(size_t index, uint64_t life) {
    Node& node = *nodes_[index];
    if (node.life != life) return;
    perform(index, node.coordinator->step(
                       TransactionTick{node.volume->executor->open_transactions()}, now_));
  }
  void tick_often(size_t index, uint64_t life) {
    if (nodes_[index]->life != life) return;
    tick(index, life);
    run_slices(index, life);
    follow_slices();
    at(now_ + std::chrono::milliseconds(200), [this, index, life] { tick_often(index, life); });
  }

  void renew_coordinator(Node& node) {
    node.coordinator = std::make_unique<TransactionCoordinator>(TransactionCoordinator::Config{
        node.volume->config.volume, node.volume->config.epoch, map_, random_()});
    const size_t index = node.volume->config.volume.pair - 1U;
    const uint64_t life = node.life;
    at(now_, [this, index, life] { tick_often(index, life); });
  }

  std::mt19937_64 random_;
  Faults faults_;
  ClusterMap map_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::priority_queue<Event> events_;
  uint64_t event_number_ = 0, deliveries_ = 0;
  Instant now_{std::chrono::seconds(1000)};
  std::map<SessionId, uint64_t> slot_sequence_;
};

}  // namespace pairfs::test
