// A mount in the simulator: ClientCore, and lanes that issue commands through it. Each lane has one
// command under way; the lanes of a client are independent of each other.
#pragma once

#include <deque>
#include <functional>

#include "fuse/client_core.h"
#include "test/sim/cluster_world.h"
#include "test/sim/linearizability.h"

namespace pairfs::sim {

class ClientHost;

// Issues commands, one after the other, and checks their answers.
class Lane {
 public:
  virtual ~Lane() = default;
  virtual void start() = 0;
  // No new commands from now on; idle() once the last one is answered.
  virtual void stop() = 0;
  virtual bool idle() const = 0;
  // After everything is idle: reads back and compares; checked() when done.
  virtual void check() = 0;
  virtual bool checked() const = 0;
  // Answered commands may be gone: both nodes of a pair lost power.
  virtual void lost_something() {}
};

class ClientHost final : public Process {
 public:
  using Done = std::function<void(const ClientCore::Completion&)>;

  ClientHost(ClusterWorld& world, std::string name, int number);
  ~ClientHost() override;

  void start();
  void router_changed(RouterHost& router, bool up);
  void on_message(const SharedBytes& head, const SharedBytes& bulk);

  // The command's outcome comes through `done`, later. A write may be answered before it is
  // executed; one that then fails is told of by a second call, with its errno.
  template <class C>
  void submit(const C& command, Done done, SharedBytes bulk = {}) {
    sim.count("client.commands");
    if (auto known = core_->answer(command, local_now())) {
      sim.count("client.answered_from_lease");
      ClientCore::Completion completion;
      completion.error = known->error;
      if (known->error == 0) completion.body = SharedBytes::from(encode(known->reply));
      later(std::chrono::microseconds(0),
            [done = std::move(done), completion] { done(completion); });
      return;
    }
    if constexpr (std::is_same_v<C, Write>)
      if (core_->may_write_behind(command, bulk.size(), local_now()) && !core_->is_far_behind())
        return write_behind(command, std::move(done), std::move(bulk));
    const Ticket ticket = core_->submit(command, local_now(), std::move(bulk));
    if (sim.tracing()) sim.tell("{} #{} {}", name(), ticket, describe(command));
    waiting_[ticket] = std::move(done);
    kick();
  }
  ClientCore& core() { return *core_; }
  int number() const { return number_; }
  ClusterWorld& world() { return world_; }
  uint64_t sessions_lost() const { return core_->counters().sessions_lost; }
  std::vector<std::unique_ptr<Lane>>& lanes() { return lanes_; }

 private:
  template <class C>
  static std::string describe(const C& command) {
    std::string text = C::kName;
    if constexpr (requires { command.parent; }) text += fmt::format(" in {:x}", command.parent.id);
    if constexpr (requires { command.inode; }) text += fmt::format(" {:x}", command.inode.id);
    if constexpr (requires { command.name; })
      text += fmt::format(" \"{}\"", BytesView(command.name));
    if constexpr (requires { command.new_name; })
      text += fmt::format(" to {:x} \"{}\"", command.new_parent.id, BytesView(command.new_name));
    if constexpr (requires { command.offset_bytes; })
      text += fmt::format(" at {}", command.offset_bytes);
    return text;
  }
  void write_behind(const Write& command, Done done, SharedBytes bulk);
  void kick();
  void after_event() override;

  ClusterWorld& world_;
  const int number_;
  std::unique_ptr<ClientCore> core_;
  std::map<Ticket, Done> waiting_;
  std::vector<std::unique_ptr<Lane>> lanes_;
};

// One object that all clients work on; its history is checked for linearizability.
struct SharedObject {
  std::string name;
  uint64_t initial = 0;
  std::vector<Operation> history;
};
// The objects of a world, made by client 0's lane.
struct SharedObjects {
  InodeRef directories[2];
  bool ready = false;
  std::vector<InodeRef> registers;
  std::vector<InodeRef> appended;
  std::map<std::string, SharedObject> objects;
  SharedObject& object(const std::string& name, uint64_t initial) {
    SharedObject& found = objects[name];
    found.name = name;
    found.initial = initial;
    return found;
  }
};

std::unique_ptr<Lane> make_tree_lane(ClientHost& client);
std::unique_ptr<Lane> make_shared_lane(ClientHost& client, SharedObjects& objects);

}  // namespace pairfs::sim
