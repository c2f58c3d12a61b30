// The store's part of fsck finds each kind of damage that is planted here, says what it is, changes
// nothing unless asked to, and then mends what is good elsewhere.
#include <doctest/doctest.h>

#include "node/store/extent.h"
#include "test/contract/damaged_volume.h"

namespace pairfs::test {
namespace {

using Plant = std::function<void(DamagedVolume&)>;

std::vector<std::string> files_like(DamagedVolume& volume, size_t disk, const std::string& part) {
  std::vector<std::string> found;
  for (const std::string& name : volume.world.disks.files(disk)) {
    if (name.find(part) != std::string::npos && volume.world.disks.size(disk, name) > 60)
      found.push_back(name);
  }
  REQUIRE_MESSAGE(!found.empty(), part);
  return found;
}
// Of the opening that is in use, the newest by name.
std::string newest(DamagedVolume& volume, const std::string& part) {
  return files_like(volume, 0, part).back();
}

// A row of the store's own, as of the next consistency point.
void plant_row(DamagedVolume& volume, Bytes key, std::optional<Bytes> value) {
  Changes changes;
  changes.rows.push_back({std::move(key), std::move(value)});
  volume.store->apply(std::move(changes), volume.model.sequence);
  volume.checkpoint();
}

struct Kind {
  const char* name;
  const char* found_as;
  bool mended;
  Plant plant;
};

const Kind kKinds[] = {
    {"one superblock copy", "superblock", true,
     [](auto& v) { v.world.disks.flip(0, newest(v, "superblock"), 100); }},
    {"both superblock copies", "superblock", true,
     [](auto& v) {
       v.world.disks.flip(0, newest(v, "superblock"), 100);
       v.world.disks.flip(0, newest(v, "superblock"), 4196);
     }},
    {"a superblock that is gone", "superblock", true,
     [](auto& v) { v.world.disks.remove(0, newest(v, "superblock")); }},
    {"a manifest frame", "metadata", true,
     [](auto& v) { v.world.disks.flip(0, newest(v, "MANIFEST"), 50); }},
    {"a table frame", "metadata", true,
     [](auto& v) { v.world.disks.flip(0, newest(v, ".sst"), 50); }},
    {"a cut table", "metadata", true,
     [](auto& v) {
       const std::string name = newest(v, ".sst");
       v.world.disks.truncate(0, name, v.world.disks.size(0, name) / 2);
     }},
    {"a table that is gone", "metadata", true,
     [](auto& v) { v.world.disks.remove(0, newest(v, ".sst")); }},
    {"a block of data or parity", "data", true,
     [](auto& v) { v.world.disks.flip(0, newest(v, "segment"), 50); }},
    {"a cut segment", "data", true,
     [](auto& v) {
       for (const auto& name : files_like(v, 0, "segment"))
         v.world.disks.truncate(0, name, v.world.disks.size(0, name) / 2);
     }},
    {"a segment that is gone", "data", true,
     [](auto& v) {
       for (const auto& name : files_like(v, 0, "segment")) v.world.disks.remove(0, name);
     }},
    {"a misdirected block", "data", true,
     [](auto& v) { v.world.disks.swap_contents(0, newest(v, "segment"), 0, 8192, 4096); }},
    {"blocks that are bad everywhere", "lost", false,
     [](auto& v) {
       for (size_t disk = 0; disk < v.world.config.elements.size(); ++disk)
         for (const auto& name : files_like(v, disk, "segment"))
           for (uint64_t at = 0; at < v.world.disks.size(disk, name); at += 4096)
             v.world.disks.flip(disk, name, at);
     }},
    {"an element that is failed", "element", false,
     [](auto& v) {
       v.store->maintenance()->change({ElementWish::What::kFail, "e3", ""});
     }},
    {"a stripe without a row", "stripe", true,
     [](auto& v) {
       std::optional<Bytes> key;
       Bytes end = stripe_prefix();
       ++end.back();
       v.store->scan(stripe_prefix(), end, [&](BytesView found, BytesView) {
         key = Bytes(found);
         return false;
       });
       REQUIRE(key);
       plant_row(v, *key, std::nullopt);
     }},
    {"a stripe that counts wrong", "stripe", true,
     [](auto& v) {
       std::optional<StripeUse> use;
       Bytes key, end = stripe_prefix();
       ++end.back();
       v.store->scan(stripe_prefix(), end, [&](BytesView found, BytesView value) {
         key = Bytes(found);
         use = decode_stripe_use(found, value);
         return false;
       });
       REQUIRE(use);
       ++use->live_blocks;
       plant_row(v, key, encode_stripe_use(*use));
     }},
    {"two extents with one block", "extent", false,
     [](auto& v) {
       Extent zeros;
       zeros.kind = Extent::Kind::kZero;
       zeros.count = 9;
       // Before the inode's own first extent, so that it covers that one.
       zeros.from = 0;
       plant_row(v, extent_key(77, 0), encode_extent(zeros));
       plant_row(v, extent_key(77, 3), encode_extent(zeros));
     }},
};

}  // namespace

TEST_CASE("fsck finds each kind of damage, and with repair leaves only what no element has") {
  for (const Kind& kind : kKinds) {
    CAPTURE(kind.name);
    DamagedVolume volume(5, 4, seed_or(41));
    volume.checkpoint();
    auto care = volume.store->maintenance();
    CHECK(care->check(false).empty());
    kind.plant(volume);
    const auto says = [&](const std::vector<StoreFinding>& findings) {
      for (const StoreFinding& finding : findings)
        if (finding.kind == kind.found_as) return true;
      return false;
    };
    CHECK(says(care->check(false)));
    CHECK(says(care->check(false)));  // nothing was changed
    CHECK(says(care->check(true)));
    if (kind.mended) volume.checkpoint();
    CHECK(care->check(false).empty() == kind.mended);
  }
}

}  // namespace pairfs::test
