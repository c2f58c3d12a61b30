// The store's part of fsck finds each kind of damage that is planted here, says what it is, changes
// nothing unless asked to, and then mends what is good elsewhere.
#include <doctest/doctest.h>

#include "node/store/extent.h"
#include "node/store/row_table.h"
#include "node/store/volume_files.h"
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

Bytes first_key_of(DamagedVolume& volume, const Bytes& prefix) {
  Bytes first, end = prefix;
  ++end.back();
  volume.store->scan(prefix, end, [&](BytesView found, BytesView) {
    first = Bytes(found);
    return false;
  });
  REQUIRE(!first.empty());
  return first;
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
     [](auto& v) { plant_row(v, first_key_of(v, stripe_prefix()), std::nullopt); }},
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
    {"a stripe row that cannot be understood", "stripe", true,
     [](auto& v) { plant_row(v, first_key_of(v, stripe_prefix()), Bytes("rubbish")); }},
    {"an extent row that cannot be understood", "extent", false,
     [](auto& v) { plant_row(v, extent_key(77, 0), Bytes("rubbish")); }},
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

TEST_CASE("A damaged stripe row neither ends the process nor gives a segment in use away") {
  DamagedVolume volume(5, 4, seed_or(42));
  plant_row(volume, first_key_of(volume, stripe_prefix()), Bytes("rubbish"));
  volume.reopen();
  volume.check();
  for (int i = 0; i < 20; ++i) volume.apply(random_changes(volume.random));
  volume.checkpoint();  // older openings' files go, segments in use stay
  volume.checkpoint();
  volume.check();
}

TEST_CASE("A damaged extent row makes just its inode unreadable, and a scrub counts it") {
  DamagedVolume volume(5, 4, seed_or(43));
  plant_row(volume, extent_key(77, 0), Bytes("rubbish"));
  volume.reopen();
  CHECK_THROWS_AS((void)volume.store->plan_read(77, 0, 4096), RowsUnreadable);
  volume.check();  // the model has no inode 77
  auto care = volume.store->maintenance();
  CHECK(care->change({ElementWish::What::kStartScrub, "", ""}) == "");
  while (care->run(std::chrono::milliseconds(20))) {
  }
  CHECK(volume.store->status().scrub.lost_blocks == 1);
}

TEST_CASE("A check leaves bad copies as they are, and with repair puts good ones in their place") {
  struct {
    std::string part;
    const char* found_as;
  } const kinds[] = {{"MANIFEST", "metadata"},
                     {"CURRENT", "metadata"},
                     {".sst", "metadata"},
                     {"superblock", "superblock"}};
  using Mending = StoreConfig::Mending;
  for (const auto& kind : kinds) {
    for (const bool gone : {false, true}) {
      if (gone && kind.part == "superblock") continue;  // then it is missing
      CAPTURE(kind.part);
      CAPTURE(gone);
      DamagedVolume volume(5, 4, seed_or(44));
      volume.store.reset();
      const std::string opened_from = metadata_directory(decode_token(volume.token)->opening);
      for (const std::string& name : volume.world.disks.files(0)) {
        if (name.find(kind.part) == std::string::npos) continue;
        if (name.starts_with("meta") && !name.starts_with(opened_from)) continue;
        if (gone)
          volume.world.disks.remove(0, name);
        else
          volume.world.disks.flip(0, name, 8);
      }
      const auto check = [&](Mending mending) {
        volume.world.config.mending = mending;
        std::string why;
        const auto store = volume.world.open(volume.epoch, volume.token, &why);
        REQUIRE_MESSAGE(store != nullptr, why);
        auto care = store->maintenance();
        std::vector<StoreFinding> all = care->opening_findings();
        for (StoreFinding& finding : care->check(mending == Mending::kAll))
          all.push_back(std::move(finding));
        return all;
      };
      for (int i = 0; i < 2; ++i) {
        const auto findings = check(Mending::kNothing);
        REQUIRE(!findings.empty());
        for (const StoreFinding& finding : findings) {
          CHECK(finding.kind == kind.found_as);
          CHECK(!finding.repaired);
        }
      }
      for (const StoreFinding& finding : check(Mending::kAll)) CHECK(finding.repaired);
      CHECK(check(Mending::kNothing).empty());
    }
  }
}

}  // namespace pairfs::test
