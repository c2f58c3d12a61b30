#include "test/sim/step_faults.h"

#include <fmt/format.h>
#include <linux/fs.h>

#include "test/sim/volumes_world.h"
#include "test/unit/executor/random_tree.h"

namespace pairfs::sim {
namespace {

using std::chrono::milliseconds;
using test::ClusterHarness;
using test::VolumeHarness;

constexpr size_t kVolumes = 4;      // the last one is empty
constexpr uint64_t kMessages = 40;  // of a command, at most
constexpr const char* kFaults[] = {"is taken over", "loses power", "is cut off"};
constexpr size_t kFaultsOfMessage = 3 * kVolumes + 2;

struct Twin {  // the same inode in the cluster and on the single volume
  InodeRef cluster, single;
};

// A small tree over three volumes, and the same on one.
class Stage {
 public:
  Stage() : cluster(3, 2, 1, test::kCalm, 1) {
    for (size_t v = 0; v < 3; ++v) {
      home[v] = directory_on(v, {kRootInode, kRootInode}, &name_of_home[v]);
      file[v] = make(MakeNode{.name = Name("f"), .mode = S_IFREG | 0644}, home[v]);
      make(MakeNode{.name = Name("g"), .mode = S_IFREG | 0644}, home[v]);
      make(MakeDirectory{.name = Name("e"), .mode = 0755}, home[v]);
      below[v] = make(MakeDirectory{.name = Name("s"), .mode = 0755}, home[v]);
      make(MakeNode{.name = Name("x"), .mode = S_IFREG | 0644}, below[v]);
    }
    link("l", file[1], home[0]);
    empty = directory_on(1, {kRootInode, kRootInode}, &name_of_empty);
    directory_on(2, {kRootInode, kRootInode}, &name_of_new);
    CHECK(wait(RemoveDirectory{kRootInode, name_of_new, {}, {}}) == 0);
    CHECK(single.send(RemoveDirectory{kRootInode, name_of_new, {}, {}}).error == 0);
    for (const char* name : {"f", "g", "e", "s", "x", "l", "new"}) names.insert(Name(name));
    names.insert(name_of_new);
  }

  // Sends the command, and says what one volume answers.
  template <class C>
  void both(const C& command, const C& local) {
    expected = single.send(local).error;
    cluster.send(ClusterHarness::kFirstClient, command, [this](int error, const Bytes&) {
      answered = true;
      CHECK(error == expected);
    });
  }
  void rename(const Twin& from, const Name& name, const Twin& to, const Name& new_name,
              uint32_t flags = 0) {
    both(Rename{from.cluster, name, to.cluster, new_name, flags, {}, {}},
         Rename{from.single, name, to.single, new_name, flags, {}, {}});
  }
  // Two clients rename at the same time, and only one of them can: the other gets `refusal`.
  struct Move {
    Twin from;
    Name name;
    Twin to;
    Name new_name;
  };
  void race(const Move& one, const Move& other, int refusal) {
    auto done = std::make_shared<int>(0);
    const auto send = [&](SessionId session, const Move& m) {
      cluster.send(
          session, Rename{m.from.cluster, m.name, m.to.cluster, m.new_name, 0, {}, {}},
          [this, m, refusal, done](int error, const Bytes&) {
            if (error == 0) {
              CHECK(single.send(Rename{m.from.single, m.name, m.to.single, m.new_name, 0, {}, {}})
                        .error == 0);
            } else {
              CHECK(error == refusal);
            }
            answered = ++*done == 2;
          });
    };
    send(ClusterHarness::kFirstClient, one);
    send(ClusterHarness::kFirstClient + 1, other);
  }
  void make_file(const Twin& parent, const Name& name) {
    both(MakeNode{.parent = parent.cluster, .name = name, .mode = S_IFREG | 0644},
         MakeNode{.parent = parent.single, .name = name, .mode = S_IFREG | 0644});
  }

  void check_trees() { compare({kRootInode, kRootInode}, 0); }

  ClusterHarness cluster;
  VolumeHarness single;
  Twin home[3], file[3], below[3], empty;
  Name name_of_home[3], name_of_empty, name_of_new;  // the last one: free, and placed elsewhere
  int expected = 0;
  bool answered = false;

 private:
  template <class C>
  int wait(const C& command) {
    return cluster.send_and_wait(command).error;
  }
  template <class C>
  Twin make(C command, const Twin& parent) {
    command.parent = parent.cluster;
    const auto there = cluster.send_and_wait(command);
    command.parent = parent.single;
    const auto here = single.send(command);
    REQUIRE(there.error == here.error);
    REQUIRE(here.error == 0);
    return {there.reply.attributes.inode, here.reply.attributes.inode};
  }
  Twin directory_on(size_t volume, const Twin& parent, Name* name) {
    for (;;) {
      *name = Name(fmt::format("d{}", made_++));
      names.insert(*name);
      const Twin twin = make(MakeDirectory{.name = *name, .mode = 0755}, parent);
      if (cluster.index_of(twin.cluster.slice()) == volume && twin.cluster.slice() != 0)
        return twin;
    }
  }
  void link(const char* name, const Twin& inode, const Twin& parent) {
    CHECK(wait(MakeLink{inode.cluster, parent.cluster, Name(name), {}, {}}) == 0);
    CHECK(single.send(MakeLink{inode.single, parent.single, Name(name), {}, {}}).error == 0);
  }
  void compare(const Twin& directory, int depth) {
    REQUIRE(depth < 8);
    for (const Name& name : names) {
      const auto there = cluster.send_and_wait(Lookup{directory.cluster, name, {}});
      const auto here = single.send(Lookup{directory.single, name, {}});
      INFO(name);
      CHECK(there.error == here.error);
      if (here.error != 0) continue;
      const Twin child{there.reply.attributes.inode, here.reply.attributes.inode};
      const auto mine = cluster.send_and_wait(GetAttributes{child.cluster});
      REQUIRE(mine.error == 0);
      CHECK(mine.reply.attributes.mode == here.reply.attributes.mode);
      CHECK(mine.reply.attributes.nlink == here.reply.attributes.nlink);
      if (S_ISDIR(here.reply.attributes.mode)) compare(child, depth + 1);
    }
  }
  std::set<Name> names;
  int made_ = 0;
};

struct Command {
  const char* name;
  void (*begin)(Stage&);
};
constexpr Twin kRoot{kRootInode, kRootInode};

const Command kCommands[] = {
    {"mkdir",
     [](Stage& s) {
       s.both(MakeDirectory{.parent = kRootInode, .name = s.name_of_new, .mode = 0755},
              MakeDirectory{.parent = kRootInode, .name = s.name_of_new, .mode = 0755});
     }},
    {"rmdir",
     [](Stage& s) {
       s.both(RemoveDirectory{kRootInode, s.name_of_empty, {}, {}},
              RemoveDirectory{kRootInode, s.name_of_empty, {}, {}});
     }},
    {"rmdir of what is not empty",
     [](Stage& s) {
       s.both(RemoveDirectory{kRootInode, s.name_of_home[1], {}, {}},
              RemoveDirectory{kRootInode, s.name_of_home[1], {}, {}});
     }},
    {"unlink",
     [](Stage& s) {
       s.both(Unlink{s.home[0].cluster, Name("l"), {}, {}},
              Unlink{s.home[0].single, Name("l"), {}, {}});
     }},
    {"link",
     [](Stage& s) {
       s.both(MakeLink{s.file[1].cluster, s.home[2].cluster, Name("l"), {}, {}},
              MakeLink{s.file[1].single, s.home[2].single, Name("l"), {}, {}});
     }},
    {"rename of a file", [](Stage& s) { s.rename(s.home[0], Name("f"), s.home[1], Name("new")); }},
    {"rename over a file", [](Stage& s) { s.rename(s.home[0], Name("f"), s.home[1], Name("g")); }},
    {"rename over a file of a third volume",
     [](Stage& s) { s.rename(s.home[2], Name("f"), s.home[0], Name("l")); }},
    {"rename that may not replace",
     [](Stage& s) { s.rename(s.home[0], Name("f"), s.home[1], Name("f"), RENAME_NOREPLACE); }},
    {"rename of a directory",
     [](Stage& s) { s.rename(s.home[0], Name("s"), s.home[1], Name("new")); }},
    {"rename over an empty directory",
     [](Stage& s) { s.rename(s.home[0], Name("s"), s.home[1], Name("e")); }},
    {"rename below itself",
     [](Stage& s) { s.rename(kRoot, s.name_of_home[1], s.below[1], Name("new")); }},
    {"exchange of files",
     [](Stage& s) { s.rename(s.home[0], Name("f"), s.home[1], Name("f"), RENAME_EXCHANGE); }},
    {"exchange of directories",
     [](Stage& s) { s.rename(s.home[0], Name("s"), s.home[1], Name("e"), RENAME_EXCHANGE); }},
    {"two renames that would close a circle",
     [](Stage& s) {
       s.race({s.home[0], Name("s"), s.below[1], Name("new")},
              {s.home[1], Name("s"), s.below[0], Name("new")}, EINVAL);
     }},
    {"move of a slice",
     [](Stage& s) {
       s.cluster.give(s.home[0].cluster.slice(), 3);
       s.make_file(s.home[0], Name("new"));
     }},
    {"move of the root's slice",
     [](Stage& s) {
       s.cluster.give(0, 3);
       s.rename(s.home[0], Name("s"), s.home[1], Name("new"));
     }},
    {"a slice that moves while it coordinates",
     [](Stage& s) {
       s.cluster.give(s.home[1].cluster.slice(), 3);
       s.rename(s.home[0], Name("f"), s.home[1], Name("new"));
     }},
    {"a slice that moves while it takes part",
     [](Stage& s) {
       s.cluster.give(s.home[0].cluster.slice(), 2);
       s.rename(s.home[0], Name("s"), s.home[1], Name("new"));
     }},
};

struct StepFault {
  size_t command = 0;
  uint64_t message = 0;  // from 1; 0: none
  size_t fault = 0;
};
StepFault step_fault(size_t number) {
  return {number / (kMessages * kFaultsOfMessage), number / kFaultsOfMessage % kMessages + 1,
          number % kFaultsOfMessage};
}

void run(const StepFault& what) {
  Stage stage;
  ClusterHarness& cluster = stage.cluster;
  const uint64_t before = cluster.deliveries();
  bool struck = false;
  cluster.on_delivery = [&](uint64_t number, const std::function<void()>& deliver) {
    if (struck || number - before != what.message) return true;
    struck = true;
    const size_t volume = what.fault % kVolumes;
    switch (what.fault / kVolumes) {
      case 0:
        cluster.take_over(volume);
        return true;
      case 1:
        cluster.lose_power(volume);
        return true;
      case 2:
        cluster.cut(volume, milliseconds(1500));
        return true;
      default:
        break;
    }
    if (what.fault % kVolumes == 0) return false;
    cluster.later(milliseconds(1200), deliver);
    return true;
  };
  kCommands[what.command].begin(stage);
  const Instant limit = cluster.now() + std::chrono::seconds(60);
  while (!stage.answered && cluster.now() < limit) cluster.step();
  CHECK(stage.answered);
  for (int i = 0; i < 60 && cluster.moving() > 0; ++i) cluster.run_for(milliseconds(500));
  CHECK(cluster.moving() == 0);
  test::settle(cluster);
  cluster.on_delivery = nullptr;
  for (Slice slice = 0; slice < 1200; ++slice) REQUIRE(cluster.owners(slice) == 1);
  test::check_graph(cluster);
  stage.check_trees();
  for (size_t i = 0; i < cluster.volumes(); ++i) cluster.volume(i).check_replay();
}

}  // namespace

size_t step_fault_count() { return std::size(kCommands) * kMessages * kFaultsOfMessage; }

void run_step_fault(size_t number) { run(step_fault(number)); }

std::string describe_step_fault(size_t number) {
  const StepFault what = step_fault(number);
  const std::string when =
      fmt::format("{}, at message {}", kCommands[what.command].name, what.message);
  if (what.fault / kVolumes < 3)
    return fmt::format("{}: volume {}.0 {}", when, what.fault % kVolumes + 1,
                       kFaults[what.fault / kVolumes]);
  return fmt::format("{}: it {}", when,
                     what.fault % kVolumes == 0 ? "is lost" : "comes again later");
}

}  // namespace pairfs::sim
