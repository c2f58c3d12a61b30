// Worlds of the durable store: real directories, and simulated disks that lose power and fill up.
#pragma once

#include <memory>
#include <set>
#include <string>

#include "node/store/open_volume.h"
#include "test/contract/store_contract.h"
#include "test/support/simulated_disk.h"
#include "test/support/temporary_directory.h"

namespace pairfs::test {

inline StoreConfig make_store_config(uint8_t level, size_t elements, const std::string& root) {
  StoreConfig config;
  config.volume = {1, 0};
  config.cluster_id = 42;
  config.raid_level = level;
  config.block_cache_bytes = 1 << 20;
  for (size_t i = 0; i < elements; ++i) {
    const std::string id = fmt::format("e{}", i);
    config.elements.push_back({id, root + "/" + id, "dir"});
  }
  return config;
}

class DirectoryWorld final : public StoreWorld {
 public:
  DirectoryWorld(uint8_t level, size_t elements)
      : config(make_store_config(level, elements, directory_.path())) {}
  std::unique_ptr<VolumeStore> open(Epoch epoch, BytesView token, std::string* why) override {
    return open_durable_store(config, epoch, token, why);
  }
  void fail_next_checkpoint(uint64_t) override {}
  void stop_failing() override {}

 private:
  TemporaryDirectory directory_;

 public:
  StoreConfig config;
};

class SimulatedWorld final : public StoreWorld {
 public:
  SimulatedWorld(uint8_t level, size_t elements, uint64_t seed)
      : config(make_store_config(level, elements, "disk")), disks(elements + 1, seed) {
    // The disk behind the last one is empty: "disk/spare".
    config.open_element = [this](const StoreConfig::Element& element, bool, std::string* why) {
      const size_t index = disk_of(element.path);
      if (!missing.contains(index)) return disks.element(index);
      *why = "it is missing";
      return std::unique_ptr<Element>();
    };
  }
  size_t disk_of(const std::string& path) const {
    for (size_t i = 0; i < config.elements.size(); ++i) {
      if (config.elements[i].path == path) return i;
    }
    return config.elements.size();
  }
  std::unique_ptr<VolumeStore> open(Epoch epoch, BytesView token, std::string* why) override {
    const StoreConfig recorded = with_recorded_elements(config, token);
    std::vector<FoundElement> elements(config.elements.size());
    for (size_t i = 0; i < elements.size(); ++i) {
      elements[i].element =
          config.open_element(recorded.elements[i], false, &elements[i].missing_why);
    }
    return open_store(config, std::move(elements), epoch, token, why);
  }
  void lose_power() override { disks.lose_power(); }
  void fail_next_checkpoint(uint64_t draw) override { disks.fill_after(draw % 40); }
  void stop_failing() override { disks.heal(); }
  void stop_machine(uint64_t draw) override { disks.stop_after(draw % 60); }

  StoreConfig config;
  SimulatedDisks disks;
  std::set<size_t> missing;
};

}  // namespace pairfs::test
