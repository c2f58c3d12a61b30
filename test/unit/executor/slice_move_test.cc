// Slices that move from volume to volume, with the network and takeovers doing what they like.
// PAIRFS_TEST_SEED runs one seed.
#include <fcntl.h>

#include "common/slice_plan.h"
#include "node/executor/slice_giver.h"
#include "test/unit/executor/random_tree.h"

using namespace pairfs;
using namespace pairfs::test;

namespace {
void finish_moves(ClusterHarness& cluster) {
  cluster.set_faults(kCalm);
  for (int i = 0; i < 200 && cluster.moving() > 0; ++i)
    cluster.run_for(std::chrono::milliseconds(500));
  CHECK(cluster.moving() == 0);
  for (Slice slice = 0; slice < 1100; ++slice) CHECK(cluster.owners(slice) == 1);
}
}  // namespace

TEST_CASE("a slice moves with its files, attributes, locks, orphans and answers") {
  ClusterHarness cluster(2, 1, 1, kCalm, 1);
  const auto file = cluster.send_and_wait(
      MakeNode{.parent = kRootInode, .name = Name("f"), .mode = S_IFREG | 0644});
  const InodeRef f = file.reply.attributes.inode;
  REQUIRE(f.slice() == 0);
  const SessionId me = ClusterHarness::kFirstClient;
  VolumeHarness& source = cluster.volume(0);
  const Bytes text(10'000, 'x');
  CHECK(source.send_as(Write{.inode = f, .offset_bytes = 5000}, {me, 7, 5'000}, text).error == 0);
  CHECK(source
            .send_as(SetXattr{.inode = f, .name = Name("user.a"), .value = Bytes("1")},
                     {me, 8, 5'001})
            .error == 0);
  const LockRange range{.type = F_WRLCK, .start = 0, .end = 9, .owner = 5, .pid = 6};
  CHECK(source.send_as(SetLock{.inode = f, .range = range}, {me, 9, 5'002}).error == 0);
  // An orphan that the session holds open.
  const auto gone = cluster.send_and_wait(
      CreateFile{.parent = kRootInode, .name = Name("gone"), .mode = 0600, .flags = O_RDWR});
  const InodeRef orphan = gone.reply.attributes.inode;
  CHECK(cluster.send_and_wait(Unlink{kRootInode, Name("gone"), {}, {}}).error == 0);

  cluster.clients_declare = false;
  cluster.give(0, 2);
  finish_moves(cluster);
  VolumeHarness& target = cluster.volume(2);
  CHECK(target.executor->owns(0));
  CHECK_FALSE(source.executor->owns(0));
  CHECK(source.send_as(GetAttributes{f}, {me, kUnslotted, 1}).status == ReplyStatus::kNotExecutor);
  // The answer to a request that the source executed, and nothing twice.
  const auto again = target.send_as(Write{.inode = f, .offset_bytes = 5000}, {me, 7, 5'000}, text);
  CHECK(again.error == 0);
  CHECK_FALSE(again.logged);
  const auto attributes = target.send_as(GetAttributes{f}, {me, kUnslotted, 2}).reply.attributes;
  CHECK(attributes.size_bytes == 15'000);
  const auto read = target.send_as(Read{.inode = f, .offset_bytes = 4990, .length_bytes = 20},
                                   {me, kUnslotted, 3});
  CHECK(read.data == Bytes(10, '\0') + Bytes(10, 'x'));
  CHECK(target.send_as(GetXattr{f, Name("user.a"), {}}, {me, kUnslotted, 4}).reply.value == "1");
  LockRange other = range;
  other.owner = 77;
  CHECK(target.send_as(TestLock{f, other}, {me, kUnslotted, 5}).reply.conflict.type == F_WRLCK);
  // Nobody frees the orphan before its holder has told the new volume.
  target.run_follow_ups();
  CHECK(target.send_as(GetAttributes{orphan}, {me, kUnslotted, 6}).error == 0);
  CHECK(
      target
          .send_as(DeclareOpens{.slice = 0, .inodes = {orphan}, .counts = {1}}, {me, kUnslotted, 7})
          .error == 0);
  CHECK(target.send(DeclareOpens{.slice = 0}).error == 0);  // the other session that came along
  target.run_follow_ups();
  CHECK(target.send_as(GetAttributes{orphan}, {me, kUnslotted, 8}).error == 0);
  CHECK(target.send_as(Close{orphan, 1}, {me, kUnslotted, 9}).error == 0);
  target.run_follow_ups();
  CHECK(target.send_as(GetAttributes{orphan}, {me, kUnslotted, 10}).error == ESTALE);
  // New inodes never get an old number.
  const auto next = cluster.send_and_wait(
      MakeNode{.parent = kRootInode, .name = Name("g"), .mode = S_IFREG | 0644});
  CHECK(next.reply.attributes.inode.id > orphan.id);
  settle(cluster);
  check_graph(cluster);
  for (size_t i = 0; i < cluster.volumes(); ++i) cluster.volume(i).check_replay();
  // And back again, over what the first move left behind.
  cluster.give(0, 0);
  finish_moves(cluster);
  CHECK(cluster.send_and_wait(Lookup{kRootInode, Name("g"), {}}).error == 0);
  check_graph(cluster);
}

// Slot numbers go with every slice, also those of commands on other slices: a late copy of a
// request must not be executed where its slice comes back to.
TEST_CASE("a late copy of a request is not executed where its slice has come back to") {
  ClusterHarness cluster(2, 1, 1, kCalm, 1);
  const SessionId me = ClusterHarness::kFirstClient;
  const auto directory_in = [&](size_t volume) {
    for (int i = 0;; ++i) {
      const auto made = cluster.send_and_wait(MakeDirectory{
          .parent = kRootInode, .name = Name(fmt::format("{}-{}", volume, i)), .mode = 0755});
      const InodeRef d = made.reply.attributes.inode;
      if (cluster.index_of(d.slice()) == volume && d.slice() != 0) return d;
    }
  };
  const InodeRef here = directory_in(0), there = directory_in(1);
  const auto node = [](InodeRef parent, const char* name) {
    return MakeNode{.parent = parent, .name = Name(name), .mode = S_IFREG | 0644};
  };
  cluster.give(here.slice(), 1);
  finish_moves(cluster);
  CHECK(cluster.volume(1).send_as(node(here, "f"), {me, 9, 6000}).error == 0);
  CHECK(cluster.volume(1).send_as(Unlink{here, Name("f"), {}, {}}, {me, 9, 6001}).error == 0);
  CHECK(cluster.volume(1).send_as(node(there, "g"), {me, 9, 6002}).error == 0);
  cluster.give(here.slice(), 0);
  finish_moves(cluster);
  const auto late = cluster.volume(0).send_as(node(here, "f"), {me, 9, 6000});
  CHECK(late.status == ReplyStatus::kBusy);
  CHECK_FALSE(late.logged);
  // The answer itself comes along with its own slice.
  cluster.give(there.slice(), 0);
  finish_moves(cluster);
  const auto again = cluster.volume(0).send_as(node(there, "g"), {me, 9, 6002});
  CHECK(again.error == 0);
  CHECK_FALSE(again.logged);
}

TEST_CASE("an executor moves slices by its own copy of its configuration") {
  MemoryDisk disk;
  const auto store = open_memory_store(disk, 1, {});
  ExecutorConfig config;
  config.volume = {1, 0};
  config.epoch = 1;
  config.map = map_of_one_volume();
  const auto executor = make_executor(config, *store);
  executor->format(1, {1'700'000'000, 0}, {0});
  const Instant now{std::chrono::seconds(1000)};
  executor->begin_serving(now);
  config.volume = {9, 9};
  config.epoch = 9;
  executor->give_slice(0, {2, 0});
  const auto effects = executor->step_slices(now);
  REQUIRE(effects.send.size() == 1);
  const auto part = decode<ReceiveSlice>(effects.send.front().input.body.view());
  REQUIRE(part);
  CHECK(part->move.from == VolumeId{1, 0});
  CHECK(part->move.epoch == 1);
}

TEST_CASE("what an earlier attempt of a move sent does not give the slice") {
  ClusterHarness cluster(2, 1, 1, kCalm, 1);
  VolumeHarness& source = cluster.volume(0);
  Executor& executor = *source.executor;
  Instant now = source.now;
  executor.give_slice(7, {3, 0});
  // The copy is answered by hand, up to the point where the source wants to give.
  const auto until_give = [&](GiveSlice* give) {
    for (int i = 0; i < 100; ++i) {
      now += std::chrono::milliseconds(1);
      for (const auto& out : executor.step_slices(now).send) {
        if (out.input.op == GiveSlice::kOp) {
          *give = *decode<GiveSlice>(out.input.body.view());
          return;
        }
        const uint32_t parts = out.input.op == ReceiveSlice::kOp
                                   ? decode<ReceiveSlice>(out.input.body.view())->part + 1
                                   : 0;
        executor.slice_answered(out.tag, ReplyStatus::kOutcome, 0,
                                parts == 0 ? encode(Empty{}) : encode(CountReply{.count = parts}),
                                now);
      }
    }
    FAIL("the move does not come to its end");
  };
  GiveSlice first, second;
  until_give(&first);
  now += SliceGivers::kStillMax + std::chrono::milliseconds(1);
  (void)executor.step_slices(now);  // it took too long: the slice goes on here
  now += std::chrono::seconds(2);
  until_give(&second);
  CHECK(first.move != second.move);
  CHECK(source.send(first).error == EBUSY);
  CHECK(executor.owns(7));
  CHECK(source.send(second).error == 0);
  CHECK_FALSE(executor.owns(7));
}

TEST_CASE("clients work on while slices move, whatever the network and takeovers do") {
  for (const uint64_t seed : seeds(20)) {
    CAPTURE(seed);
    constexpr int kClients = 3;
    ClusterHarness cluster(3, kClients, seed, seed % 2 == 0 ? kCalm : kRough, 1);
    std::vector<std::unique_ptr<RandomTree>> clients;
    for (int c = 0; c < kClients; ++c)
      clients.push_back(std::make_unique<RandomTree>(
          cluster, ClusterHarness::kFirstClient + static_cast<uint64_t>(c)));
    for (int i = 0; i < 15'000; ++i) {
      auto& client = *clients[cluster.below(kClients)];
      if (!client.busy()) client.step(nullptr);
      if (seed % 3 == 0 && cluster.below(1500) == 0) cluster.take_over(cluster.below(4));
      if (cluster.below(100) == 0)
        cluster.give(cluster.below(2) == 0
                         ? Slice{0}
                         : client.known[cluster.below(client.known.size())].cluster.slice(),
                     cluster.below(4));
      cluster.step();
      if (i % 100 == 0) clients[cluster.below(kClients)]->known = client.known;
    }
    for (auto& client : clients) {
      for (int i = 0; client->busy(); ++i) {
        if (i == 399'990) MESSAGE(cluster.describe() << " " << client->last);
        REQUIRE(i < 400'000);
        cluster.step();
      }
    }
    finish_moves(cluster);
    settle(cluster);
    check_graph(cluster);
    for (size_t i = 0; i < cluster.volumes(); ++i) cluster.volume(i).check_replay();
  }
}

TEST_CASE("a cluster whose slices move answers as one volume does") {
  uint64_t moved = 0;
  for (const uint64_t seed : seeds(15)) {
    CAPTURE(seed);
    ClusterHarness cluster(3, 1, seed, seed % 3 == 0 ? kCalm : kRough, 1);
    VolumeHarness single;
    RandomTree tree(cluster, ClusterHarness::kFirstClient);
    tree.named_only = true;
    for (int i = 0; i < 150; ++i) {
      if (cluster.below(4) == 0)
        cluster.give(tree.known[cluster.below(tree.known.size())].cluster.slice(),
                     cluster.below(4));
      tree.step(&single);
      int takeovers = 0;
      for (int steps = 0; tree.busy(); ++steps) {
        REQUIRE(steps < 400'000);
        if (seed % 2 == 0 && takeovers < 2 && cluster.below(100) == 0) {
          ++takeovers;
          cluster.take_over(cluster.below(4));
        }
        cluster.step();
      }
    }
    moved += cluster.moved();
    finish_moves(cluster);
    settle(cluster);
    check_graph(cluster);
    for (size_t i = 0; i < cluster.volumes(); ++i) cluster.volume(i).check_replay();
  }
  if (std::getenv("PAIRFS_TEST_SEED") == nullptr) CHECK(moved > 50);
}

namespace {
ClusterMap map_of(uint16_t pairs, uint16_t with_slices) {
  ClusterMap map;
  for (uint16_t pair = 1; pair <= pairs; ++pair) {
    PairInfo info;
    info.id = pair;
    for (uint16_t index = 0; index < 2; ++index) {
      VolumeInfo volume;
      volume.id = {pair, index};
      info.volumes.push_back(volume);
    }
    map.pairs.push_back(info);
  }
  const uint32_t volumes = with_slices * 2U;
  for (uint32_t i = 0; i < volumes; ++i) {
    const uint32_t first = kSliceCount * i / volumes, next = kSliceCount * (i + 1) / volumes;
    map.slices.push_back({static_cast<Slice>(first),
                          next - first,
                          {static_cast<uint16_t>(i / 2 + 1), static_cast<uint16_t>(i % 2)}});
  }
  return map;
}
void carry_out(ClusterMap& map, const std::vector<SliceMove>& moves) {
  for (const SliceMove& move : moves) {
    CHECK(map.volume_of(move.slice) == move.from);
    map.assign(move.slice, move.to);
  }
}
}  // namespace

TEST_CASE("the plan shares slices evenly, moves no more than it must, and empties drained pairs") {
  ClusterMap map = map_of(3, 2);
  ClusterPolicy policy;
  auto moves = plan_moves(map, policy);
  CHECK(moves.size() == 2U * (kSliceCount / 6));
  carry_out(map, moves);
  CHECK(plan_moves(map, policy).empty());
  CHECK(map.volume_of(0) == VolumeId{1, 0});
  policy.draining.push_back(1);
  moves = plan_moves(map, policy);
  carry_out(map, moves);
  CHECK(plan_moves(map, policy).empty());
  CHECK(map.slices_of({1, 0}).empty());
  CHECK(map.slices_of({1, 1}).empty());
  CHECK(map.slices_of({2, 0}).size() == kSliceCount / 4);
  policy.draining = {1, 2, 3};
  CHECK(plan_moves(map, policy).empty());
}
