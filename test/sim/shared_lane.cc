// Commands on objects that all clients share: files as registers, names that exist or not, a name
// that is moved between two directories (on different volumes, mostly), a file that grows,
// permission bits as registers. Those that clients answer under leases are looked at several times
// in a row.
#include <sys/stat.h>

#include "common/codec.h"
#include "test/sim/client_host.h"

namespace pairfs::sim {
namespace {
using namespace std::chrono_literals;
using What = Operation::What;

constexpr int kRegisters = 3, kNames = 3, kAppended = 2;
constexpr uint64_t kAppendBytes = 8;

class SharedLane final : public Lane {
 public:
  SharedLane(ClientHost& client, SharedObjects& shared, Simulation& sim)
      : client_(client), shared_(shared), sim_(sim) {}

  void start() override {
    if (client_.number() == 0)
      make_directory(0);
    else
      go_on();
  }
  void stop() override { stopped_ = true; }
  bool idle() const override { return stopped_ && !busy_; }
  void check() override { checked_ = true; }
  bool checked() const override { return checked_; }

 private:
  using Completion = ClientCore::Completion;

  // ---- making the objects ----
  void make_directory(int which) {
    MakeDirectory make{kRootInode, Name(which == 0 ? "shared-a" : "shared-c"), 0755, 0, {}, {}};
    client_.submit(make, [this, which](const Completion& c) {
      const auto reply = decode<EntryReply>(c.body.view());
      if (c.error != 0 || !reply)
        return sim_.fail("making the shared directory: errno {}", c.error);
      shared_.directories[which] = reply->attributes.inode;
      if (which == 0)
        make_directory(1);
      else
        make_file(0);
    });
  }
  void make_file(int number) {
    if (number == kRegisters + kAppended) {
      make_token();
      return;
    }
    MakeNode make{shared_.directories[number % 2],
                  Name(fmt::format("f{}", number)),
                  S_IFREG | 0644,
                  0,
                  0,
                  {},
                  {}};
    client_.submit(make, [this, number](const Completion& c) {
      const auto reply = decode<EntryReply>(c.body.view());
      if (c.error != 0 || !reply) return sim_.fail("making a shared file: errno {}", c.error);
      (number < kRegisters ? shared_.registers : shared_.appended)
          .push_back(reply->attributes.inode);
      make_file(number + 1);
    });
  }
  void make_token() {
    MakeNode make{shared_.directories[0], Name("token"), S_IFREG | 0644, 0, 0, {}, {}};
    client_.submit(make, [this](const Completion& c) {
      if (c.error != 0) return sim_.fail("making the token: errno {}", c.error);
      shared_.ready = true;
      go_on();
    });
  }

  // ---- working on them ----
  void go_on() {
    client_.later(sim_.random.duration(1ms, client_.world().swarm.think_max), [this] { next(); });
  }

  void next() {
    if (stopped_) return;
    if (!shared_.ready) return go_on();
    busy_ = true;
    switch (sim_.random.between(0, 5)) {
      case 0:
        return use_register();
      case 1:
        return use_name();
      case 2:
        return use_token();
      case 3:
        return append();
      default:
        return use_mode();
    }
  }

  // Returns where to put the answer.
  size_t call(SharedObject& object, What what, uint64_t argument) {
    object.history.push_back({what, argument, 0, client_.number(), sim_.now(), std::nullopt});
    return object.history.size() - 1;
  }
  void returned(SharedObject& object, size_t at, const Completion& c, uint64_t result) {
    if (object.history[at].returned) {  // answered before it was executed, and then it failed
      object.history[at].returned = std::nullopt;
      return;
    }
    busy_ = false;
    if (c.error != EIO) {  // EIO: the session expired, the outcome is not known
      object.history[at].returned = sim_.now();
      object.history[at].result = result;
      sim_.mark(result);
    }
    go_on();
  }

  void use_register() {
    const auto which = static_cast<size_t>(sim_.random.between(0, kRegisters - 1));
    SharedObject& object = shared_.object(fmt::format("register {}", which), 0);
    const InodeRef inode = shared_.registers[which];
    if (sim_.random.one_in(2)) return write_register(object, inode);
    read_register(object, inode);
  }
  // Several in a row, so that a client is let to answer its writes itself.
  void write_register(SharedObject& object, InodeRef inode) {
    const uint64_t value = sim_.random.next() | 1;
    const size_t at = call(object, What::kWrite, value);
    Bytes bytes(reinterpret_cast<const char*>(&value), sizeof value);
    client_.submit(
        Write{.inode = inode, .sync = sim_.random.one_in(20)},
        [this, &object, at, inode](const Completion& c) {
          if (c.error != 0 && c.error != EIO)
            sim_.fail("{}: writing a register: errno {}", client_.name(), c.error);
          const bool again = c.error == 0 && !stopped_ && !sim_.random.one_in(4);
          if (!again || object.history[at].returned) return returned(object, at, c, 0);
          object.history[at].returned = sim_.now();
          client_.later(sim_.random.duration(1us, 3ms), [this, &object, inode] {
            sim_.random.one_in(4) ? read_register(object, inode) : write_register(object, inode);
          });
        },
        SharedBytes::from(std::move(bytes)));
  }
  void read_register(SharedObject& object, InodeRef inode) {
    const size_t at = call(object, What::kRead, 0);
    client_.submit(Read{.inode = inode, .length_bytes = 8, .update_atime = false},
                   [this, &object, at](const Completion& c) {
                     if (c.error != 0 && c.error != EIO)
                       sim_.fail("{}: reading a register: errno {}", client_.name(), c.error);
                     uint64_t value = 0;
                     c.bulk.view().copy(reinterpret_cast<char*>(&value), sizeof value);
                     returned(object, at, c, value);
                   });
  }

  void use_name() {
    const auto which = sim_.random.between(0, kNames - 1);
    SharedObject& object = shared_.object(fmt::format("name {}", which), 0);
    const InodeRef directory = shared_.directories[which % 2];
    const Name name(fmt::format("n{}", which));
    const auto answer = [this, &object](size_t at, int good, int bad) {
      return [this, &object, at, good, bad](const Completion& c) {
        if (c.error != 0 && c.error != bad && c.error != EIO)
          sim_.fail("{}: {} got errno {}", client_.name(), object.name, c.error);
        returned(object, at, c,
                 c.error == 0 ? static_cast<uint64_t>(good) : 1U - static_cast<uint64_t>(good));
      };
    };
    switch (sim_.random.between(0, 2)) {
      case 0: {
        const size_t at = call(object, What::kSwapIf, uint64_t{0} << 32 | 1);
        return client_.submit(MakeNode{directory, name, S_IFREG | 0644, 0, 0, {}, {}},
                              answer(at, 1, EEXIST));
      }
      case 1: {
        const size_t at = call(object, What::kSwapIf, uint64_t{1} << 32 | 0);
        return client_.submit(Unlink{directory, name, {}, {}}, answer(at, 1, ENOENT));
      }
      default: {
        const size_t at = call(object, What::kRead, 0);
        return client_.submit(Lookup{directory, name, {}}, answer(at, 1, ENOENT));
      }
    }
  }

  // State 1: in the first directory; 2: in the second.
  void use_token() {
    SharedObject& object = shared_.object("token", 1);
    const size_t from = sim_.random.between(0, 1);
    const Name name("token");
    if (sim_.random.one_in(2)) {
      const size_t at = call(object, What::kSwapIf, uint64_t{from + 1} << 32 | (2 - from));
      Rename rename{
          shared_.directories[from], name, shared_.directories[1 - from], name, 0, {}, {}};
      client_.submit(rename, [this, &object, at](const Completion& c) {
        if (c.error != 0 && c.error != ENOENT && c.error != EIO)
          sim_.fail("{}: moving the token: errno {}", client_.name(), c.error);
        returned(object, at, c, c.error == 0 ? 1 : 0);
      });
      return;
    }
    const size_t at = call(object, What::kRead, 0);
    client_.submit(Lookup{shared_.directories[from], name, {}},
                   [this, &object, at, from](const Completion& c) {
                     if (c.error != 0 && c.error != ENOENT && c.error != EIO)
                       sim_.fail("{}: looking for the token: errno {}", client_.name(), c.error);
                     returned(object, at, c, c.error == 0 ? from + 1 : 2 - from);
                   });
  }

  void use_mode() {
    const auto which = static_cast<size_t>(sim_.random.between(0, kRegisters - 1));
    SharedObject& object = shared_.object(fmt::format("mode {}", which), 0644);
    const InodeRef inode = shared_.registers[which];
    if (!sim_.random.one_in(4)) return look_at_mode(object, inode);
    const uint32_t mode = static_cast<uint32_t>(sim_.random.between(0, 0777));
    const size_t at = call(object, What::kWrite, mode);
    client_.submit(SetAttributes{.inode = inode, .valid = SetAttributes::kMode, .mode = mode},
                   [this, &object, at](const Completion& c) {
                     if (c.error != 0 && c.error != EIO)
                       sim_.fail("{}: setting a mode: errno {}", client_.name(), c.error);
                     returned(object, at, c, 0);
                   });
  }
  void look_at_mode(SharedObject& object, InodeRef inode) {
    const size_t at = call(object, What::kRead, 0);
    client_.submit(GetAttributes{inode}, [this, &object, at, inode](const Completion& c) {
      if (c.error != 0 && c.error != EIO)
        sim_.fail("{}: looking at a mode: errno {}", client_.name(), c.error);
      const auto reply = decode<AttributesReply>(c.body.view());
      const bool again = c.error == 0 && !stopped_ && !sim_.random.one_in(3);
      if (!again) return returned(object, at, c, reply ? reply->attributes.mode & 0777 : 0);
      object.history[at].returned = sim_.now();
      object.history[at].result = reply ? reply->attributes.mode & 0777 : 0;
      client_.later(sim_.random.duration(1us, 20ms),
                    [this, &object, inode] { look_at_mode(object, inode); });
    });
  }

  void append() {
    const auto which = static_cast<size_t>(sim_.random.between(0, kAppended - 1));
    SharedObject& object = shared_.object(fmt::format("appended {}", which), 0);
    const InodeRef inode = shared_.appended[which];
    if (sim_.random.one_in(3)) {
      const size_t at = call(object, What::kRead, 0);
      client_.submit(GetAttributes{inode}, [this, &object, at](const Completion& c) {
        const auto reply = decode<AttributesReply>(c.body.view());
        returned(object, at, c, reply ? reply->attributes.size_bytes : 0);
      });
      return;
    }
    const size_t at = call(object, What::kAdd, kAppendBytes);
    client_.submit(
        Write{.inode = inode, .append = true},
        [this, &object, at](const Completion& c) {
          const auto reply = decode<CountReply>(c.body.view());
          if (c.error != 0 && c.error != EIO)
            sim_.fail("{}: appending: errno {}", client_.name(), c.error);
          returned(object, at, c, reply ? reply->attributes.size_bytes : 0);
        },
        SharedBytes::from(Bytes(kAppendBytes, 'a')));
  }

  ClientHost& client_;
  SharedObjects& shared_;
  Simulation& sim_;
  bool busy_ = false, stopped_ = false, checked_ = false;
};

}  // namespace

std::unique_ptr<Lane> make_shared_lane(ClientHost& client, SharedObjects& objects) {
  return std::make_unique<SharedLane>(client, objects, client.world().sim);
}

}  // namespace pairfs::sim
