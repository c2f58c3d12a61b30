// Damage to the elements: bytes that rot, files that are cut or gone, elements that are missing,
// foreign or swapped. What the RAID level can mend is mended while it is read.
#include <doctest/doctest.h>

#include "test/contract/damaged_volume.h"

namespace pairfs::test {
TEST_CASE("Rotten bytes in segments and metadata are mended while they are read") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    CAPTURE(shape.elements);
    for (size_t bad = 0; bad < shape.elements; ++bad) {
      CAPTURE(bad);
      DamagedVolume volume(shape.level, shape.elements, seed_or(11));
      SimulatedDisks& disks = volume.world.disks;
      for (const std::string& name : disks.files(bad)) {
        const uint64_t size = disks.size(bad, name);
        for (uint64_t at = volume.random() % 4000; at < size; at += 1 + volume.random() % 20000) {
          if (name.starts_with("superblock") && at >= 4096) break;  // one of two copies
          disks.flip(bad, name, at);
        }
      }
      volume.reopen();
      volume.check();
      volume.checkpoint();
      CHECK(volume.store->status().raid_state == "optimal");
    }
  }
}

TEST_CASE("Level 6 mends a block when a second element is missing") {
  DamagedVolume volume(6, 5, seed_or(12));
  volume.world.missing = {1};
  SimulatedDisks& disks = volume.world.disks;
  for (const std::string& name : disks.files(3)) {
    if (!name.starts_with("segment")) continue;
    for (uint64_t at = 100; at < disks.size(3, name); at += 9000) disks.flip(3, name, at);
  }
  volume.reopen();
  volume.check();
}

TEST_CASE("Level 6 finds the bad ones when two columns of a row are rotten") {
  DamagedVolume volume(6, 5, seed_or(13));
  SimulatedDisks& disks = volume.world.disks;
  for (size_t bad : {0, 2}) {
    for (const std::string& name : disks.files(bad)) {
      if (!name.starts_with("segment")) continue;
      for (uint64_t at = 100; at < disks.size(bad, name); at += 4096) disks.flip(bad, name, at);
    }
  }
  volume.check();
}

TEST_CASE("Cut, missing and misdirected pieces of segments are mended") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    DamagedVolume volume(shape.level, shape.elements, seed_or(14));
    SimulatedDisks& disks = volume.world.disks;
    for (const std::string& name : disks.files(0)) {
      if (!name.starts_with("segment")) continue;
      disks.swap_contents(0, name, 0, 8192, 4096);
      disks.truncate(0, name, disks.size(0, name) / 2 + 100);
    }
    volume.check();
    for (const std::string& name : disks.files(0)) {
      if (name.starts_with("segment")) disks.remove(0, name);
    }
    volume.check();
    CHECK(volume.store->status().raid_state == "optimal");
  }
}

TEST_CASE("Cut metadata files are mended") {
  DamagedVolume volume(1, 2, seed_or(15));
  SimulatedDisks& disks = volume.world.disks;
  for (const std::string& name : disks.files(0)) {
    if (name.find('/') != std::string::npos) disks.truncate(0, name, disks.size(0, name) / 2);
  }
  volume.reopen();
  volume.check();
  CHECK(volume.store->status().raid_state == "optimal");
}

TEST_CASE("A volume serves without as many elements as its level can spare, and not without more") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    for (size_t missing = 0; missing < shape.elements; ++missing) {
      DamagedVolume volume(shape.level, shape.elements, seed_or(16));
      volume.world.missing = {missing};
      volume.reopen();
      volume.check();
      CHECK(volume.store->status().raid_state == "degraded");
      for (int i = 0; i < 20; ++i) volume.apply(random_changes(volume.random));
      volume.checkpoint();
      volume.check();
      // What it missed makes it stale when it is back.
      volume.world.missing.clear();
      volume.reopen();
      volume.check();
      CHECK(volume.states() == std::set<std::string>{"ok", "stale"});
      for (size_t i = 0; i <= shape.tolerance; ++i) volume.world.missing.insert(i);
      volume.store.reset();
      std::string why;
      CHECK(volume.world.open(++volume.epoch, volume.token, &why) == nullptr);
      CHECK(why.find("needs more of its elements") != std::string::npos);
    }
  }
}

TEST_CASE("An element that fails while the volume runs is left out, and the rest goes on") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    DamagedVolume volume(shape.level, shape.elements, seed_or(17));
    volume.world.disks.break_disk(shape.elements - 1);
    volume.check();
    for (int i = 0; i < 20; ++i) volume.apply(random_changes(volume.random));
    volume.checkpoint();
    volume.check();
    CHECK(volume.store->status().raid_state == "degraded");
  }
}

TEST_CASE("Too much damage is EIO for the bytes concerned, never wrong data") {
  DamagedVolume volume(1, 2, seed_or(18));
  SimulatedDisks& disks = volume.world.disks;
  for (size_t bad : {0, 1}) {
    for (const std::string& name : disks.files(bad)) {
      if (name.starts_with("segment")) disks.flip(bad, name, 5000);
    }
  }
  size_t good = 0, lost = 0;
  for (uint64_t inode_id = 1; inode_id <= 12; ++inode_id) {
    for (uint64_t block = 0; block < kModelBlocks; ++block) {
      auto bytes = volume.store->plan_read(inode_id, block_start(block), kBlockBytes)->run();
      if (!bytes.ok()) {
        CHECK(bytes.error() == EIO);
        ++lost;
        continue;
      }
      const auto& expected = volume.model.inodes[inode_id].bytes;
      REQUIRE(bytes->view() == BytesView(expected.data() + block_start(block), kBlockBytes));
      ++good;
    }
  }
  CHECK(lost <= 2);
  CHECK(good >= 12 * kModelBlocks - 2);
}

TEST_CASE("Foreign, swapped and wrongly configured elements are refused with a sentence") {
  DamagedVolume volume(1, 2, seed_or(19));
  volume.store.reset();
  std::string why;
  auto refused = [&] {
    why.clear();
    return volume.world.open(++volume.epoch, volume.token, &why) == nullptr && why.size() > 20;
  };
  StoreConfig& config = volume.world.config;
  const StoreConfig good = config;
  config.cluster_id = 43;
  CHECK(refused());
  CHECK(why.find("another cluster") != std::string::npos);
  config = good;
  std::swap(config.elements[0].id, config.elements[1].id);
  CHECK(refused());
  CHECK(why.find("swapped") != std::string::npos);
  config = good;
  config.volume = {2, 0};
  CHECK(refused());
  config = good;
  config.raid_level = 0;
  CHECK(refused());
  config.raid_level = 7;
  CHECK(refused());
  config = good;
  CHECK(volume.world.open(++volume.epoch, Bytes("rubbish"), &why) == nullptr);
  CHECK(volume.world.open(++volume.epoch, Bytes(), &why) == nullptr);  // data, but no token
  CHECK(why.find("nothing is overwritten") != std::string::npos);
  volume.reopen();
  volume.check();
}

TEST_CASE("Space comes back after consistency points are confirmed") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    DamagedVolume volume(shape.level, shape.elements, seed_or(20));
    for (int round = 0; round < 3; ++round) {
      volume.checkpoint();
      if (round == 1) volume.reopen();
    }
    const uint64_t full = volume.world.disks.allocated_bytes(0);
    for (uint64_t inode_id = 1; inode_id <= 12; ++inode_id) {
      Changes changes;
      changes.data.push_back({Changes::Data::What::kDrop, inode_id, 0, 0, {}});
      volume.apply(std::move(changes));
    }
    for (int round = 0; round < 3; ++round) volume.checkpoint();
    CHECK(volume.world.disks.allocated_bytes(0) < full / 4);
    CHECK(volume.store->status().used_bytes < 200'000);
  }
}

}  // namespace pairfs::test
