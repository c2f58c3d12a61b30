// Commands that concern several volumes, by transactions. PAIRFS_TEST_SEED runs one seed.
#include <linux/fs.h>

#include <cstdlib>
#include <set>

#include "test/unit/executor/random_tree.h"

using namespace pairfs;
using namespace pairfs::test;

namespace {
template <class C>
InodeRef made(ClusterHarness& cluster, const C& command) {
  const auto answer = cluster.send_and_wait(command);
  REQUIRE(answer.error == 0);
  return answer.reply.attributes.inode;
}
}  // namespace

TEST_CASE("directories of the top two levels are spread, deeper ones stay") {
  ClusterHarness cluster(3, 1, 1, kCalm);
  std::set<size_t> used;
  std::vector<InodeRef> directories;
  for (int i = 0; i < 20; ++i) {
    directories.push_back(made(
        cluster,
        MakeDirectory{.parent = kRootInode, .name = Name("d" + std::to_string(i)), .mode = 0755}));
    used.insert(cluster.index_of(directories.back().slice()));
  }
  CHECK(used.size() == 3);
  const auto second =
      made(cluster, MakeDirectory{.parent = directories[0], .name = Name("x"), .mode = 0755});
  const auto third =
      made(cluster, MakeDirectory{.parent = second, .name = Name("y"), .mode = 0755});
  CHECK(third.slice() == second.slice());
  CHECK(cluster.send_and_wait(GetAttributes{third}).reply.attributes.mode == (S_IFDIR | 0755));
  CHECK(cluster.send_and_wait(GetAttributes{kRootInode}).reply.attributes.nlink == 22);
  const auto up = cluster.send_and_wait(Lookup{second, Name(".."), {}});
  CHECK(up.reply.attributes.inode == directories[0]);
  settle(cluster);
  check_graph(cluster);
}

TEST_CASE("rename, link, unlink and rmdir reach over volumes") {
  ClusterHarness cluster(3, 1, 2, kCalm);
  std::map<size_t, InodeRef> home;  // one directory per volume
  std::map<size_t, Name> name_of;
  for (int i = 0; home.size() < 3; ++i) {
    const Name name("d" + std::to_string(i));
    const auto d = made(cluster, MakeDirectory{.parent = kRootInode, .name = name, .mode = 0777});
    home.emplace(cluster.index_of(d.slice()), d);
    name_of.emplace(cluster.index_of(d.slice()), name);
  }
  const InodeRef a = home[1], b = home[2];
  const auto f = made(cluster, MakeNode{.parent = a, .name = Name("f"), .mode = S_IFREG | 0644});
  CHECK(cluster.send_and_wait(Rename{a, Name("f"), b, Name("g"), 0, {}, {}}).error == 0);
  CHECK(cluster.send_and_wait(Lookup{a, Name("f"), {}}).error == ENOENT);
  const auto found = cluster.send_and_wait(Lookup{b, Name("g"), {}});
  CHECK(found.reply.remote);
  CHECK(found.reply.attributes.inode == f);
  CHECK(cluster.send_and_wait(MakeLink{f, b, Name("h"), {}, {}}).error == 0);
  CHECK(cluster.send_and_wait(MakeLink{f, b, Name("h"), {}, {}}).error == EEXIST);
  CHECK(cluster.send_and_wait(GetAttributes{f}).reply.attributes.nlink == 2);
  CHECK(cluster.send_and_wait(Rename{b, Name("g"), b, Name("h"), 0, {}, {}}).error == 0);
  CHECK(cluster.send_and_wait(Unlink{b, Name("g"), {}, {}}).error == 0);
  CHECK(cluster.send_and_wait(Unlink{b, Name("h"), {}, {}}).error == 0);
  CHECK(cluster.send_and_wait(GetAttributes{f}).error == ESTALE);
  // A directory below itself, over volumes: root -> a -> m (volume of b's kind) -> n.
  const auto m = made(cluster, MakeDirectory{.parent = a, .name = Name("m"), .mode = 0777});
  const auto n = made(cluster, MakeDirectory{.parent = m, .name = Name("n"), .mode = 0777});
  CHECK(cluster.send_and_wait(Rename{kRootInode, name_of[1], n, Name("x"), 0, {}, {}}).error ==
        EINVAL);
  CHECK(cluster.send_and_wait(Rename{a, Name("m"), b, Name("m"), 0, {}, {}}).error == 0);
  CHECK(cluster.send_and_wait(Lookup{m, Name(".."), {}}).reply.attributes.inode == b);
  CHECK(cluster.send_and_wait(RemoveDirectory{kRootInode, name_of[2], {}, {}}).error == ENOTEMPTY);
  CHECK(cluster.send_and_wait(RemoveDirectory{kRootInode, name_of[1], {}, {}}).error == 0);
  CHECK(cluster.send_and_wait(Unlink{kRootInode, name_of[2], {}, {}}).error == EISDIR);
  settle(cluster);
  check_graph(cluster);
}

TEST_CASE("a cluster answers as one volume does, whatever the network and takeovers do") {
  for (const uint64_t seed : seeds(15)) {
    CAPTURE(seed);
    ClusterHarness cluster(3, 1, seed, seed % 3 == 0 ? kCalm : kRough);
    VolumeHarness single;
    RandomTree tree(cluster, ClusterHarness::kFirstClient);
    for (int i = 0; i < 200; ++i) {
      tree.step(&single);
      int takeovers = 0;
      for (int steps = 0; tree.busy(); ++steps) {
        REQUIRE(steps < 200'000);
        if (seed % 2 == 0 && takeovers < 2 && cluster.below(100) == 0) {
          ++takeovers;
          cluster.take_over(cluster.below(3));
        }
        cluster.step();
      }
    }
    settle(cluster);
    check_graph(cluster);
    for (size_t i = 0; i < cluster.volumes(); ++i) cluster.volume(i).check_replay();
  }
}

TEST_CASE("many clients at once leave a sound tree") {
  for (const uint64_t seed : seeds(15)) {
    CAPTURE(seed);
    constexpr int kClients = 5;
    ClusterHarness cluster(3, kClients, seed, seed % 2 == 0 ? kCalm : kRough);
    std::vector<std::unique_ptr<RandomTree>> clients;
    for (int c = 0; c < kClients; ++c)
      clients.push_back(std::make_unique<RandomTree>(
          cluster, ClusterHarness::kFirstClient + static_cast<uint64_t>(c)));
    for (int i = 0; i < 20'000; ++i) {
      auto& client = *clients[cluster.below(kClients)];
      if (!client.busy()) client.step(nullptr);
      if (seed % 3 == 0 && cluster.below(1500) == 0) cluster.take_over(cluster.below(3));
      cluster.step();
      // What one has made, the others use too.
      if (i % 100 == 0) clients[cluster.below(kClients)]->known = client.known;
    }
    for (auto& client : clients) {
      for (int i = 0; client->busy(); ++i) {
        if (i == 199'990) MESSAGE(cluster.describe() << " " << client->last);
        REQUIRE(i < 200'000);
        cluster.step();
      }
    }
    settle(cluster);
    check_graph(cluster);
    for (size_t i = 0; i < cluster.volumes(); ++i) cluster.volume(i).check_replay();
  }
}

TEST_CASE(
    "what an earlier executor left prepared is asked about, however busy the coordinator is") {
  ClusterMap map;
  map.slices.push_back({0, 100, {1, 0}});
  map.slices.push_back({100, kSliceCount - 100, {2, 0}});
  TransactionCoordinator coordinator({.volume = {1, 0}, .epoch = 2, .map = map});
  OpenTransactions open;
  open.held.push_back({.request = {7, 1, 5}, .coordinator = {2, 0}, .epoch = 1, .attempt = 1});
  Instant now{std::chrono::seconds(1000)};
  bool asked = false;
  for (int i = 0; i < 200; ++i, now += std::chrono::milliseconds(10)) {
    // Most wake-ups are for something else, and do not look at what is open.
    const auto effects =
        coordinator.step(i % 20 == 0 ? TransactionTick{open} : TransactionTick{}, now);
    for (const auto& outgoing : effects.send) asked |= outgoing.input.op == ResolveTransaction::kOp;
  }
  CHECK(asked);
}

// The new parent's way up leaves the volume below the moved directory itself, and the old parent's
// ends at the root: neither says that the move is safe.
TEST_CASE("a directory does not move below itself by way of another volume") {
  ClusterHarness cluster(3, 1, 1, kCalm);
  const auto directory = [&](InodeRef parent, const std::string& name) {
    return made(cluster, MakeDirectory{.parent = parent, .name = Name(name), .mode = 0755});
  };
  // a on the root's volume, b in it elsewhere, c in b on the root's volume again.
  InodeRef a, b, c;
  Name name_of_a, name_of_c;
  for (int i = 0; a.id == 0 || cluster.index_of(a.slice()) != 0; ++i) {
    name_of_a = Name("a" + std::to_string(i));
    a = directory(kRootInode, std::string(name_of_a));
  }
  for (int i = 0; b.id == 0 || cluster.index_of(b.slice()) == 0; ++i)
    b = directory(a, "b" + std::to_string(i));
  for (int i = 0; c.id == 0 || cluster.index_of(c.slice()) != 0; ++i) {
    name_of_c = Name("c" + std::to_string(i));
    c = directory(a, std::string(name_of_c));
  }
  CHECK(cluster.send_and_wait(Rename{a, name_of_c, b, Name("c"), 0, {}, {}}).error == 0);
  CHECK(cluster.send_and_wait(Rename{kRootInode, name_of_a, c, Name("x"), 0, {}, {}}).error ==
        EINVAL);
  settle(cluster);
  check_graph(cluster);
}
