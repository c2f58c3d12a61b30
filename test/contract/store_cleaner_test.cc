// The cleaner: what random overwriting leaves behind is given back, data stay what they are, and a
// volume that is nearly full is cleaned, too.
#include <doctest/doctest.h>

#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include "common/map_store.h"
#include "test/contract/durable_worlds.h"
#include "test/contract/store_model.h"

namespace pairfs::test {
namespace {

constexpr uint64_t kFileBlocks = 8192;  // 32 MiB

class Overwritten {
 public:
  explicit Overwritten(uint64_t seed) : world(5, 4), random(seed), versions(kFileBlocks) {
    std::string why;
    store = world.open(1, {}, &why);
    REQUIRE_MESSAGE(store != nullptr, why);
  }
  // Every block says which it is, and how often it was written.
  static Bytes block_of(uint64_t block, uint64_t version) {
    Bytes bytes(kBlockBytes, '\0');
    for (size_t at = 0; at < bytes.size(); at += 16) {
      std::memcpy(bytes.data() + at, &block, 8);
      std::memcpy(bytes.data() + at + 8, &version, 8);
    }
    return bytes;
  }
  void write(uint64_t block) {
    Changes changes;
    changes.data.push_back({Changes::Data::What::kWrite, 7, block * kBlockBytes, kBlockBytes,
                            SharedBytes::from(block_of(block, ++versions[block]))});
    store->apply(std::move(changes), ++sequence);
  }
  void checkpoint() {
    const auto point = store->freeze();
    auto made = point->run();
    REQUIRE(made.error() == 0);
    store->finish(point, true);
    store->confirm(*made);
  }
  void check() {
    for (uint64_t block = 0; block < kFileBlocks; ++block) {
      const auto bytes = store->plan_read(7, block * kBlockBytes, kBlockBytes)->run();
      REQUIRE(bytes.ok());
      REQUIRE(bytes->view() == block_of(block, versions[block]));
    }
  }
  // What the segments take on all elements together.
  uint64_t segment_bytes() const {
    uint64_t sum = 0;
    for (const auto& element : world.config.elements) {
      for (const auto& entry : std::filesystem::directory_iterator(element.path)) {
        struct stat st;
        if (entry.path().filename().string().starts_with("segment") &&
            ::stat(entry.path().c_str(), &st) == 0)
          sum += static_cast<uint64_t>(st.st_blocks) * 512;
      }
    }
    return sum;
  }

  DirectoryWorld world;
  Random random;
  std::vector<uint64_t> versions;
  Sequence sequence = 0;
  std::unique_ptr<VolumeStore> store;
};

}  // namespace

TEST_CASE("After random overwrites the cleaner brings what is stored near to what is in use") {
  Overwritten volume(seed_or(51));
  for (uint64_t block = 0; block < kFileBlocks; ++block) volume.write(block);
  volume.checkpoint();
  for (int round = 0; round < 12; ++round) {
    for (int i = 0; i < 1500; ++i) volume.write(volume.random() % kFileBlocks);
    volume.checkpoint();
    volume.store->maintenance()->run(std::chrono::milliseconds(20));
  }
  const uint64_t needed = kFileBlocks * kBlockBytes / 3 * 4;
  CHECK(volume.segment_bytes() > needed * 12 / 10);  // there is something to do
  // As a node does it when nobody writes: until there is nothing more to do.
  const Instant give_up = boot_now() + std::chrono::seconds(60);
  while (volume.segment_bytes() > needed * 115 / 100 && boot_now() < give_up) {
    volume.store->maintenance()->run(std::chrono::milliseconds(20));
    if (volume.store->wants_checkpoint()) volume.checkpoint();
  }
  CHECK(volume.segment_bytes() <= needed * 115 / 100);
  CHECK(volume.store->status().used_bytes < kFileBlocks * kBlockBytes * 11 / 10);
  volume.check();
}

}  // namespace pairfs::test
