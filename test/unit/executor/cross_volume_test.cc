// Commands that concern several volumes, by transactions. PAIRFS_TEST_SEED runs one seed.
#include <linux/fs.h>

#include <cstdlib>
#include <set>

#include "test/unit/executor/cluster_harness.h"

using namespace pairfs;
using namespace pairfs::test;

namespace {

constexpr ClusterHarness::Faults kCalm{};
constexpr ClusterHarness::Faults kRough{.lost_percent = 5, .repeated_percent = 10,
                                        .max_delay_ms = 20};

std::vector<uint64_t> seeds(uint64_t count) {
  if (const char* seed = std::getenv("PAIRFS_TEST_SEED"))
    return {std::strtoull(seed, nullptr, 10)};
  std::vector<uint64_t> all(count);
  for (uint64_t i = 0; i < count; ++i) all[i] = i + 1;
  return all;
}

void check_graph(ClusterHarness& cluster) {
  std::vector<const VolumeStore*> stores;
  for (size_t i = 0; i < cluster.volumes(); ++i) {
    cluster.volume(i).check_sound();
    stores.push_back(cluster.volume(i).store.get());
  }
  for (const auto& problem : check_cluster(stores)) FAIL_CHECK(problem);
}

void settle(ClusterHarness& cluster) {
  cluster.set_faults(kCalm);
  for (int i = 0; i < 60 && (i < 5 || cluster.has_open_transactions()); ++i)
    cluster.run_for(std::chrono::milliseconds(500));
  CHECK_FALSE(cluster.has_open_transactions());
}

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
    directories.push_back(made(cluster, MakeDirectory{.parent = kRootInode,
                                                      .name = Name("d" + std::to_string(i)),
                                                      .mode = 0755}));
    used.insert(cluster.index_of(directories.back().slice()));
  }
  CHECK(used.size() == 3);
  const auto second =
      made(cluster, MakeDirectory{.parent = directories[0], .name = Name("x"), .mode = 0755});
  const auto third = made(cluster, MakeDirectory{.parent = second, .name = Name("y"), .mode = 0755});
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

namespace {
// Commands on few names, so that they meet; the same ones on a cluster and on one volume.
class RandomTree {
 public:
  RandomTree(ClusterHarness& cluster, SessionId session) : cluster_(cluster), session_(session) {}
  struct Pair {
    InodeRef cluster, single;
  };
  std::vector<Pair> known{{kRootInode, kRootInode}};

  // Sends one random command to the cluster, and to `single` when it is not nullptr.
  void step(VolumeHarness* single) {
    const uint64_t kind = below(10);
    const Pair parent = any(), other = any();
    const Name name = random_name(), new_name = random_name();
    if (kind < 3) {
      MakeDirectory command{.parent = parent.cluster, .name = name, .mode = 0777};
      MakeDirectory local{.parent = parent.single, .name = name, .mode = 0777};
      both(command, local, single, true);
    } else if (kind < 4) {
      MakeNode command{.parent = parent.cluster, .name = name, .mode = S_IFREG | 0644};
      MakeNode local{.parent = parent.single, .name = name, .mode = S_IFREG | 0644};
      both(command, local, single, true);
    } else if (kind < 5) {
      both(Unlink{parent.cluster, name, {}, {}}, Unlink{parent.single, name, {}, {}}, single);
    } else if (kind < 6) {
      both(RemoveDirectory{parent.cluster, name, {}, {}},
           RemoveDirectory{parent.single, name, {}, {}}, single);
    } else if (kind < 7) {
      both(MakeLink{other.cluster, parent.cluster, name, {}, {}},
           MakeLink{other.single, parent.single, name, {}, {}}, single);
    } else {
      const uint32_t flags = below(5) == 0 ? uint32_t{RENAME_NOREPLACE} : 0;
      both(Rename{parent.cluster, name, other.cluster, new_name, flags, {}, {}},
           Rename{parent.single, name, other.single, new_name, flags, {}, {}}, single);
    }
  }
  bool busy() const { return busy_; }

 private:
  uint64_t below(uint64_t limit) { return cluster_.below(limit); }
  Pair any() { return known[below(known.size())]; }
  Name random_name() { return Name(std::string(1, static_cast<char>('a' + below(5)))); }
  void remember(const Pair& pair) {
    if (known.size() < 12)
      known.push_back(pair);
    else
      known[1 + below(11)] = pair;
  }

  template <class C>
  void both(const C& command, const C& local, VolumeHarness* single, bool makes = false) {
    InodeRef single_made;
    int expected = -1;
    if (single != nullptr) {
      const auto answer = single->send(local);
      expected = answer.error;
      single->run_follow_ups();
      if constexpr (requires { answer.reply.attributes; })
        single_made = answer.reply.attributes.inode;
    }
    busy_ = true;
    cluster_.send(session_, command, [=, this](int error, const Bytes& bytes) {
      busy_ = false;
      if (expected >= 0) {
        INFO(C::kName);
        CHECK(error == expected);
      }
      if (error != 0 || !makes) return;
      if constexpr (std::is_same_v<typename C::Reply, EntryReply>)
        remember({decode<EntryReply>(bytes)->attributes.inode, single_made});
    });
  }
  ClusterHarness& cluster_;
  SessionId session_;
  bool busy_ = false;
};
}  // namespace

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
        REQUIRE(i < 200'000);
        cluster.step();
      }
    }
    settle(cluster);
    check_graph(cluster);
    for (size_t i = 0; i < cluster.volumes(); ++i) cluster.volume(i).check_replay();
  }
}
