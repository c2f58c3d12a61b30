#define DOCTEST_CONFIG_IMPLEMENT
#include "test/sim/volumes_world.h"

#include <fmt/format.h>

#include "node/executor/schema.h"
#include "test/sim/random.h"
#include "test/sim/step_faults.h"
#include "test/unit/executor/random_tree.h"

namespace pairfs::sim {

using test::ClusterHarness;
using test::RandomTree;
using test::VolumeHarness;

void checks_throw() {
  static doctest::Context context;
  context.setAsDefaultForAssertsOutOfTestCases();
  context.setAssertHandler([](const doctest::AssertData& data) {
    throw CheckFailed{fmt::format(
        "{}:{}: {} ({})", std::string(data.m_file).substr(std::string(data.m_file).rfind('/') + 1),
        data.m_line, data.m_expr, data.m_decomp.c_str())};
  });
}

namespace {
constexpr uint64_t kSteps = 5000;
constexpr uint64_t kStepFaultsOfSeed = 70;  // 300 seeds run all
constexpr uint64_t kStepsMax = 600'000;     // until everything is answered

void check_nothing_left(ClusterHarness& cluster) {
  for (size_t i = 0; i < cluster.volumes(); ++i) {
    VolumeHarness& volume = cluster.volume(i);
    volume.run_follow_ups();
    volume.store->scan(family_key(Family::kOrphan), after_prefix(family_key(Family::kOrphan)),
                       [&](BytesView key, BytesView) {
                         CHECK_FALSE(volume.executor->owns(*slice_of_key(key)));
                         return true;
                       });
  }
}
}  // namespace

std::string VolumesWorld::run() {
  checks_throw();
  if (traced_) ::setenv("PAIRFS_TEST_TRACE", "1", 1);
  try {
    if (seed_ % 2 == 0)
      work();
    else
      take_steps();
  } catch (const CheckFailed& failed) {
    return failed.what;
  }
  return "";
}

// The next few of the faults at each step.
void VolumesWorld::take_steps() {
  for (uint64_t i = 0; i < kStepFaultsOfSeed; ++i) {
    const size_t number = (seed_ / 2 * kStepFaultsOfSeed + i) % step_fault_count();
    ++counts_["volumes.step_fault"];
    try {
      run_step_fault(number);
    } catch (const CheckFailed& failed) {
      throw CheckFailed{describe_step_fault(number) + ": " + failed.what};
    }
  }
}

void VolumesWorld::work() {
  Random random(seed_);
  const auto rate = [&](uint64_t often) {
    return random.one_in(2) ? 0 : often * random.between(1, 4);
  };
  const int clients = random.one_in(2) ? 1 : 3;
  const uint64_t moves = random.one_in(5) ? 0 : random.between(60, 400);
  const uint64_t takeovers = rate(400), losses = rate(500), cuts = rate(700);
  const ClusterHarness::Faults faults{.lost_percent = random.one_in(2) ? 0 : 5,
                                      .repeated_percent = random.one_in(2) ? 0 : 10,
                                      .max_delay_ms = random.one_in(3) ? 20 : 2};
  ClusterHarness cluster(3, clients, seed_, faults, 1);
  VolumeHarness single;
  std::vector<std::unique_ptr<RandomTree>> trees;
  for (int c = 0; c < clients; ++c) {
    trees.push_back(std::make_unique<RandomTree>(
        cluster, ClusterHarness::kFirstClient + static_cast<uint64_t>(c)));
    trees.back()->named_only = true;
  }
  const auto any_volume = [&] { return random.between(0, cluster.volumes() - 1); };
  for (uint64_t i = 0; i < kSteps; ++i) {
    RandomTree& tree = *trees[random.between(0, trees.size() - 1)];
    if (!tree.busy()) tree.step(clients == 1 ? &single : nullptr);
    if (random.one_in(takeovers)) {
      ++counts_["volumes.takeover"];
      cluster.take_over(any_volume());
    }
    if (random.one_in(losses)) {
      ++counts_["volumes.power_loss"];
      cluster.lose_power(any_volume());
    }
    if (random.one_in(cuts)) {
      ++counts_["volumes.cut"];
      cluster.cut(any_volume(),
                  random.duration(std::chrono::milliseconds(1), std::chrono::seconds(2)));
    }
    if (random.one_in(moves)) {
      const auto& known = tree.known;
      cluster.give(known[random.between(0, known.size() - 1)].cluster.slice(), any_volume());
    }
    cluster.step();
    if (i % 100 == 0) trees[random.between(0, trees.size() - 1)]->known = tree.known;
  }
  for (auto& tree : trees)
    for (uint64_t i = 0; tree->busy(); ++i) {
      if (i == kStepsMax)
        throw CheckFailed{fmt::format("a {} is not answered\n{}", tree->last, cluster.describe())};
      cluster.step();
    }
  cluster.set_faults(test::kCalm);
  for (int i = 0; i < 200 && cluster.moving() > 0; ++i)
    cluster.run_for(std::chrono::milliseconds(500));
  CHECK(cluster.moving() == 0);
  for (Slice slice = 0; slice < 1200; ++slice) CHECK(cluster.owners(slice) == 1);
  test::settle(cluster);
  counts_["volumes.moved"] += cluster.moved();
  test::check_graph(cluster);
  check_nothing_left(cluster);
  for (size_t i = 0; i < cluster.volumes(); ++i) {
    cluster.volume(i).check_replay();
    fingerprint_ = fingerprint_ * 31 + *digest(*cluster.volume(i).store);
  }
}

}  // namespace pairfs::sim
