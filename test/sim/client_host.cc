#include "test/sim/client_host.h"

#include "test/sim/router_host.h"

namespace pairfs::sim {
using namespace std::chrono_literals;

ClientHost::ClientHost(ClusterWorld& world, std::string name, int number)
    : Process(world.sim, std::move(name)), world_(world), number_(number) {}

ClientHost::~ClientHost() = default;

void ClientHost::start() {
  begin_life();
  ClientCore::Settings settings;
  settings.incarnation = 100 + static_cast<uint64_t>(number_);
  settings.random_seed = sim.random.next();
  settings.host = name();
  settings.mount = "/mnt";
  settings.routers = world_.routers.size();
  settings.write_behind = sim.random.one_in(2);
  core_ = std::make_unique<ClientCore>(std::move(settings));
  for (auto& router : world_.routers)
    if (router->alive()) router_changed(*router, true);
}

void ClientHost::router_changed(RouterHost& router, bool up) {
  if (!alive()) return;
  size_t index = 0;
  while (world_.routers[index].get() != &router) ++index;
  later(up ? sim.random.duration(1ms, 40ms) : sim.random.duration(100us, 2ms), [this, index, up] {
    if (up == world_.routers[index]->alive()) core_->link_changed(index, up, local_now());
  });
}

void ClientHost::on_message(const SharedBytes& head, const SharedBytes& bulk) {
  const auto parsed = parse_head(head.view(), nullptr);
  if (!parsed) return sim.fail("{} got a message that it cannot read", name());
  const MessageHeader& header = parsed->header;
  if (header.status == ReplyStatus::kOutcome && header.request.slot != kUnslotted)
    world_.note_answered(header.request, header.error);
  core_->message_received(head, bulk, local_now());
}

void ClientHost::write_behind(const Write& command, Done done, SharedBytes bulk) {
  sim.count("client.written_behind");
  const Ticket ticket = core_->write_behind(command, local_now(), std::move(bulk));
  if (sim.tracing()) sim.tell("{} #{} {}, answered", name(), ticket, describe(command));
  later(0us, [done] { done({}); });
  waiting_[ticket] = [done](const ClientCore::Completion& completion) {
    if (completion.error != 0) done(completion);
  };
  kick();
}

void ClientHost::kick() {
  later(0us, [] {});
}

void ClientHost::after_event() {
  core_->wake(local_now());
  for (;;) {
    auto completions = core_->take_completions();
    if (completions.empty()) break;
    for (const ClientCore::Completion& completion : completions) {
      const auto found = waiting_.find(completion.ticket);
      if (found == waiting_.end()) continue;
      const Done done = std::move(found->second);
      waiting_.erase(found);
      sim.note("{} #{}: errno {}", name(), completion.ticket, completion.error);
      done(completion);
    }
  }
  for (ClientCore::Send& send : core_->take_sends()) {
    RouterHost& router = *world_.routers[send.router];
    world_.send(*this, router, false, [&router, me = name(), head = send.head, bulk = send.bulk] {
      router.on_client_message(me, head, bulk);
    });
  }
  const Instant wake = core_->next_wake();
  if (wake == Instant::max()) return;
  const Duration wait = std::max<Duration>(wake - local_now(), 10us);
  wake_in(world_time(wait));
}

}  // namespace pairfs::sim
