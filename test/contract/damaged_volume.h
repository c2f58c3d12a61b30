// A volume on simulated disks with data in it and a model of what it holds, to be damaged.
#pragma once

#include <doctest/doctest.h>

#include <set>

#include "test/contract/durable_worlds.h"
#include "test/contract/store_model.h"

namespace pairfs::test {

// A volume with a consistency point, and the model of what it holds.
class DamagedVolume {
 public:
  DamagedVolume(uint8_t level, size_t elements, uint64_t seed)
      : world(level, elements, seed), random(seed) {
    reopen();
    // Nothing inline, so that segments have something to lose.
    for (uint64_t inode_id = 1; inode_id <= 12; ++inode_id) {
      Changes changes;
      Bytes bytes(kModelBytes, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random());
      changes.data.push_back({Changes::Data::What::kWrite, inode_id, 0, bytes.size(),
                              SharedBytes::from(std::move(bytes))});
      apply(std::move(changes));
    }
    for (int i = 0; i < 60; ++i) apply(random_changes(random));
    checkpoint();
    reopen();
  }
  void apply(Changes changes) {
    model.apply(changes, model.sequence + 1);
    store->apply(std::move(changes), model.sequence);
  }
  void checkpoint() {
    auto point = store->freeze();
    auto made = point->run();
    REQUIRE(made.error() == 0);
    token = *made;
    store->finish(point, true);
    store->confirm(token);
  }
  void reopen() {
    store.reset();
    std::string why;
    store = world.open(++epoch, token, &why);
    REQUIRE_MESSAGE(store != nullptr, why);
  }
  void check() { check_equal(*store, model, random, true); }
  std::set<std::string> states() const {
    std::set<std::string> all;
    for (const auto& element : store->status().elements) all.insert(element.state);
    return all;
  }

  SimulatedWorld world;
  Random random;
  StoreModel model;
  Bytes token;
  Epoch epoch = 0;
  std::unique_ptr<VolumeStore> store;
};

struct Shape {
  uint8_t level;
  size_t elements;
  size_t tolerance;
};
inline constexpr Shape kShapes[] = {{1, 2, 1}, {1, 3, 2}, {5, 3, 1}, {5, 4, 1},
                                    {6, 4, 2}, {6, 6, 2}, {10, 4, 1}};

}  // namespace pairfs::test
