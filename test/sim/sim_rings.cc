#include "test/sim/sim_rings.h"

#include <cstring>

namespace pairfs::sim {
namespace {

constexpr size_t kBytes = 4096 + (24 << 10);  // small: many do not fit

class HeapMemory final : public RingMemory {
 public:
  char* data() override { return bytes_; }
  size_t size_bytes() const override { return kBytes; }

 private:
  alignas(64) char bytes_[kBytes] = {};
};

}  // namespace

class SimRings::Place final : public RingPlace {
 public:
  Place(SimRings& rings, std::string node, std::string partner)
      : rings_(rings), node_(std::move(node)), partner_(std::move(partner)) {}
  std::shared_ptr<RingMemory> make(VolumeId volume) override {
    return rings_.rings_[{node_, volume}] = std::make_shared<HeapMemory>();
  }
  std::shared_ptr<RingMemory> own(VolumeId volume) override { return find(node_, volume); }
  std::shared_ptr<RingMemory> partner(VolumeId volume) override { return find(partner_, volume); }

 private:
  std::shared_ptr<RingMemory> find(const std::string& node, VolumeId volume) {
    const auto found = rings_.rings_.find({node, volume});
    return found == rings_.rings_.end() ? nullptr : found->second;
  }
  SimRings& rings_;
  const std::string node_, partner_;
};

std::shared_ptr<RingPlace> SimRings::place_of(std::string node, std::string partner) {
  return std::make_shared<Place>(*this, std::move(node), std::move(partner));
}

// Who has it mapped finds it closed, as it would find its own machine without power.
void SimRings::lose_power(const std::string& node) {
  std::erase_if(rings_, [&](const auto& item) {
    if (item.first.first != node) return false;
    std::memset(item.second->data(), 0, item.second->size_bytes());
    return true;
  });
}

}  // namespace pairfs::sim
