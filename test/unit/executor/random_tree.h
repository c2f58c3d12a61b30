// What the tests of several volumes share: network faults, seeds, a random client, and the check of
// the whole tree. PAIRFS_TEST_SEED runs one seed.
#pragma once

#include <linux/fs.h>

#include <cstdlib>
#include <set>

#include "test/unit/executor/cluster_harness.h"

namespace pairfs::test {

inline constexpr ClusterHarness::Faults kCalm{};
inline constexpr ClusterHarness::Faults kRough{
    .lost_percent = 5, .repeated_percent = 10, .max_delay_ms = 20};

inline std::vector<uint64_t> seeds(uint64_t count) {
  if (const char* seed = std::getenv("PAIRFS_TEST_SEED")) return {std::strtoull(seed, nullptr, 10)};
  std::vector<uint64_t> all(count);
  for (uint64_t i = 0; i < count; ++i) all[i] = i + 1;
  return all;
}

inline void check_graph(ClusterHarness& cluster) {
  std::vector<const VolumeStore*> stores;
  for (size_t i = 0; i < cluster.volumes(); ++i) {
    cluster.volume(i).check_sound();
    stores.push_back(cluster.volume(i).store.get());
  }
  for (const auto& problem : check_cluster(stores)) CHECK(problem == "");
}

inline void settle(ClusterHarness& cluster) {
  cluster.set_faults(kCalm);
  for (int i = 0; i < 60 && (i < 5 || cluster.has_open_transactions()); ++i)
    cluster.run_for(std::chrono::milliseconds(500));
  CHECK_FALSE(cluster.has_open_transactions());
}

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
    const Pair parent = any(named_only ? single : nullptr),
               other = any(named_only ? single : nullptr);
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
      const uint64_t way = below(6);
      const uint32_t flags = way == 0   ? uint32_t{RENAME_NOREPLACE}
                             : way <= 2 ? uint32_t{RENAME_EXCHANGE}
                                        : 0;
      both(Rename{parent.cluster, name, other.cluster, new_name, flags, {}, {}},
           Rename{parent.single, name, other.single, new_name, flags, {}, {}}, single);
    }
  }
  bool busy() const { return busy_; }
  // Leaves inodes without a name alone: how soon they are freed is nobody's promise.
  bool named_only = false;
  std::string last;  // what it waits for, for a failure's message

 private:
  uint64_t below(uint64_t limit) { return cluster_.below(limit); }
  Pair any(VolumeHarness* named_in = nullptr) {
    Pair pair = known[below(known.size())];
    while (named_in != nullptr) {
      const auto answer = named_in->send(GetAttributes{pair.single});
      if (answer.error == 0 && answer.reply.attributes.nlink != 0) break;
      pair = known[below(known.size())];  // the root is always among them
    }
    return pair;
  }
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
    last = C::kName;
    if constexpr (requires { command.new_parent; })
      last +=
          fmt::format(" {:x}/{} -> {:x}/{} flags {}", command.parent.id, std::string(command.name),
                      command.new_parent.id, std::string(command.new_name), command.flags);
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

}  // namespace pairfs::test
