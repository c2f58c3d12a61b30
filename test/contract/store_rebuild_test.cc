// Elements that return, are replaced or rot while the volume serves: rebuild, scrub, spares, and
// what operators may ask.
#include <doctest/doctest.h>

#include "test/contract/damaged_volume.h"

namespace pairfs::test {
namespace {

using What = ElementWish::What;

void maintain(DamagedVolume& volume) {
  for (int i = 0; i < 100'000; ++i) {
    if (!volume.store->maintenance()->run(std::chrono::milliseconds(1))) return;
  }
  FAIL("the maintenance does not come to its end");
}

// Every element that the level can spare is taken away but `kept`: what is there must do.
void check_without_others(DamagedVolume& volume, const Shape& shape, size_t kept) {
  volume.checkpoint();
  for (size_t i = 0; i < shape.elements && volume.world.missing.size() < shape.tolerance; ++i) {
    if (i != kept) volume.world.missing.insert(i);
  }
  volume.reopen();
  volume.check();
  volume.world.missing.clear();
  volume.reopen();
}

}  // namespace

TEST_CASE("A stale element is rebuilt while the volume serves, and is as good as the others then") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    CAPTURE(shape.elements);
    for (size_t lost = 0; lost < shape.elements; ++lost) {
      CAPTURE(lost);
      DamagedVolume volume(shape.level, shape.elements, seed_or(31));
      volume.world.missing = {lost};
      volume.reopen();
      for (int i = 0; i < 20; ++i) volume.apply(random_changes(volume.random));
      volume.checkpoint();
      volume.world.missing.clear();
      volume.reopen();
      CHECK(volume.states() == std::set<std::string>{"ok", "stale"});
      volume.store->maintenance()->run(std::chrono::milliseconds(0));
      for (int i = 0; i < 5; ++i) volume.apply(random_changes(volume.random));
      volume.checkpoint();
      maintain(volume);
      CHECK(volume.states() == std::set<std::string>{"ok"});
      CHECK(volume.store->status().raid_state == "optimal");
      volume.check();
      check_without_others(volume, shape, lost);
    }
  }
}

// With each half of the elements on a machine of its own, the other half goes right after a
// rebuild.
TEST_CASE(
    "A rebuilt half does alone as soon as the log says so, before the next consistency point") {
  for (const Shape& shape : {Shape{1, 2, 1}, Shape{10, 4, 2}, Shape{10, 8, 4}}) {
    for (const size_t half : {0, 1}) {
      CAPTURE(int{shape.level});
      CAPTURE(shape.elements);
      CAPTURE(half);
      DamagedVolume volume(shape.level, shape.elements, seed_or(38));
      std::set<size_t> halves[2];
      for (size_t i = 0; i < shape.elements; ++i) halves[i % 2].insert(i);
      volume.world.missing = halves[half];
      volume.reopen();
      for (int i = 0; i < 20; ++i) volume.apply(random_changes(volume.random));
      volume.checkpoint();
      volume.world.missing.clear();
      volume.reopen();
      for (size_t i = 0; i < shape.elements; ++i) maintain(volume);  // one rebuild each
      CHECK(volume.states() == std::set<std::string>{"ok"});
      volume.world.config.group_record = volume.store->group_record();
      volume.store.reset();
      volume.world.lose_power();
      volume.world.missing = halves[1 - half];
      volume.reopen();
      volume.check();
    }
  }
}

TEST_CASE("A rebuild is not over while the rows are ahead of every consistency point") {
  DamagedVolume volume(1, 2, seed_or(39));
  volume.world.missing = {1};
  volume.reopen();
  volume.checkpoint();
  volume.world.missing.clear();
  volume.reopen();
  for (int i = 0; i < 20; ++i) volume.apply(random_changes(volume.random));
  auto point = volume.store->freeze();
  volume.world.disks.fill_after(3);
  CHECK(!point->run().ok());
  volume.world.disks.heal();
  volume.store->finish(point, false);
  for (int i = 0; i < 100; ++i) volume.store->maintenance()->run(std::chrono::milliseconds(5));
  CHECK(volume.states() == std::set<std::string>{"ok", "rebuilding"});
  volume.checkpoint();
  maintain(volume);
  CHECK(volume.states() == std::set<std::string>{"ok"});
  volume.check();
}

TEST_CASE("An element whose disk was wiped is replaced by an empty one") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    DamagedVolume volume(shape.level, shape.elements, seed_or(32));
    const std::string id = volume.world.config.elements[0].id;
    CHECK(volume.store->maintenance()->change({What::kFail, id, ""}) == "");
    CHECK(volume.states() == std::set<std::string>{"failed", "ok"});
    volume.world.disks.wipe(0);
    for (int i = 0; i < 20; ++i) volume.apply(random_changes(volume.random));
    volume.checkpoint();
    volume.check();
    CHECK(volume.store->maintenance()->change({What::kReplace, id, ""}) == "");
    maintain(volume);
    CHECK(volume.store->status().raid_state == "optimal");
    check_without_others(volume, shape, 0);
  }
}

TEST_CASE("What failed stays failed over a restart, and a spare steps in under its name") {
  DamagedVolume volume(5, 4, seed_or(33));
  auto care = volume.store->maintenance();
  CHECK(care->change({What::kFail, "e1", ""}) == "");
  CHECK(care->change({What::kFail, "e2", ""}).find("cannot do without") != std::string::npos);
  volume.checkpoint();
  volume.reopen();
  CHECK(volume.states() == std::set<std::string>{"failed", "ok"});
  volume.world.config.group_record = volume.store->group_record();
  care = volume.store->maintenance();
  CHECK(care->change({What::kAddSpare, "", "disk/spare"}).find("absolute") != std::string::npos);
  CHECK(care->change({What::kAddSpare, "", "/spare"}) == "");
  CHECK(care->change({What::kAddSpare, "", "/spare"}).find("already") != std::string::npos);
  maintain(volume);
  const StoreStatus status = volume.store->status();
  CHECK(status.raid_state == "optimal");
  CHECK(status.elements[1].path == "/spare");
  CHECK(status.elements[1].id == "e1");
  CHECK(status.spares.empty());
  volume.checkpoint();
  volume.reopen();
  CHECK(volume.store->status().elements[1].path == "/spare");
  volume.world.missing = {0};
  volume.reopen();
  volume.check();
}

TEST_CASE("A rebuild goes on where it was after the volume was opened anew") {
  DamagedVolume volume(6, 5, seed_or(34));
  for (int round = 0; round < 4;
       ++round) {  // several stripes, so that there is something to go on with
    for (int i = 0; i < 10; ++i) volume.apply(random_changes(volume.random));
    volume.checkpoint();
  }
  CHECK(volume.store->maintenance()->change({What::kFail, "e3", ""}) == "");
  CHECK(volume.store->maintenance()->change({What::kReplace, "e3", "/spare"}) == "");
  volume.store->maintenance()->run(std::chrono::milliseconds(0));
  CHECK(volume.store->status().raid_state == "rebuilding");
  volume.checkpoint();
  volume.reopen();
  CHECK(volume.states() == std::set<std::string>{"ok", "rebuilding"});
  // A second one is lost meanwhile; level 6 stands that.
  volume.world.disks.break_disk(0);
  maintain(volume);
  for (int i = 0; i < 5; ++i) volume.apply(random_changes(volume.random));
  volume.checkpoint();
  CHECK(volume.states() == std::set<std::string>{"failed", "ok"});
  volume.check();
  volume.world.disks.heal();
}

TEST_CASE("A group that lost too many elements blames no other, and is whole when they are back") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    CAPTURE(shape.elements);
    DamagedVolume volume(shape.level, shape.elements, seed_or(40));
    // Those with the metadata, among others.
    const size_t lost = shape.level == 10 ? 2 : shape.tolerance + 1;
    for (size_t i = 0; i < lost; ++i) volume.world.disks.break_disk(i);
    auto point = volume.store->freeze();
    CHECK(!point->run().ok());
    volume.store->finish(point, false);
    for (int i = 0; i < 3; ++i) volume.store->maintenance()->run(std::chrono::milliseconds(0));
    const StoreStatus status = volume.store->status();
    CHECK(status.raid_state == "failed");
    for (size_t i = lost; i < shape.elements; ++i) CHECK(status.elements[i].state == "ok");
    volume.world.config.group_record = volume.store->group_record();
    volume.world.disks.heal();
    volume.reopen();
    volume.check();
    maintain(volume);
    volume.check();
  }
}

TEST_CASE("A scrub finds and mends every bad block, on whichever element it is") {
  for (const Shape& shape : kShapes) {
    CAPTURE(int{shape.level});
    CAPTURE(shape.elements);
    DamagedVolume volume(shape.level, shape.elements, seed_or(35));
    SimulatedDisks& disks = volume.world.disks;
    size_t flipped = 0;
    for (const std::string& name : disks.files(1)) {
      if (name.starts_with("superblock") || name.starts_with("confirmed")) continue;
      if (disks.size(1, name) < 200) continue;
      disks.flip(1, name, 150);
      ++flipped;
    }
    REQUIRE(flipped > 2);
    CHECK(volume.store->maintenance()->change({What::kStartScrub, "", ""}) == "");
    maintain(volume);
    StoreStatus status = volume.store->status();
    CHECK(status.scrub.finished_count == 1);
    CHECK(status.scrub.state == "idle");
    CHECK(status.scrub.repaired_blocks >= 1);
    CHECK(status.scrub.lost_blocks == 0);
    CHECK(status.elements[1].repaired_blocks >= 1);
    CHECK(volume.store->maintenance()->change({What::kStartScrub, "", ""}) == "");
    maintain(volume);
    status = volume.store->status();
    CHECK(status.scrub.finished_count == 2);
    CHECK(status.scrub.repaired_blocks == 0);
    check_without_others(volume, shape, 1);
  }
}

TEST_CASE("A scrub of a volume without redundancy says what is lost") {
  DamagedVolume volume(0, 2, seed_or(36));
  SimulatedDisks& disks = volume.world.disks;
  for (const std::string& name : disks.files(0)) {
    if (name.starts_with("segment") && disks.size(0, name) > 150) disks.flip(0, name, 150);
  }
  CHECK(volume.store->maintenance()->change({What::kStartScrub, "", ""}) == "");
  maintain(volume);
  CHECK(volume.store->status().scrub.lost_blocks >= 1);
}

TEST_CASE("An old copy of an element is not taken for the element") {
  DamagedVolume volume(1, 2, seed_or(37));
  volume.checkpoint();
  volume.world.missing = {1};  // its disk is as it was from here on
  volume.reopen();
  for (int i = 0; i < 20; ++i) volume.apply(random_changes(volume.random));
  volume.checkpoint();
  volume.world.missing.clear();
  volume.reopen();
  CHECK(volume.states() == std::set<std::string>{"ok", "stale"});
  maintain(volume);
  volume.checkpoint();
  volume.world.missing = {0};
  volume.reopen();
  volume.check();
}

}  // namespace pairfs::test
