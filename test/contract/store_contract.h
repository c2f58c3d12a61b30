// The contract of VolumeStore as a suite that every implementation runs: give it a world, it
// opens stores in it and compares them with the model.
#pragma once

#include <functional>
#include <memory>

#include "node/store/volume_store.h"

namespace pairfs::test {

// Where a store's durable state lives. One world holds one volume.
class StoreWorld {
 public:
  virtual ~StoreWorld() = default;
  virtual std::unique_ptr<VolumeStore> open(Epoch epoch, BytesView token, std::string* why) = 0;
  // What a power loss does to what was not synced.
  virtual void lose_power() {}
  // The next consistency point fails somewhere on its way, at a place drawn from `draw`.
  virtual void fail_next_checkpoint(uint64_t draw) = 0;
  virtual void stop_failing() = 0;
  // After some more calls, as drawn, nothing that the process does reaches the disks any more:
  // it crashes. stop_failing() starts the machine again.
  virtual void stop_machine(uint64_t) {}
};
using MakeWorld = std::function<std::unique_ptr<StoreWorld>()>;

// Each runs one part of the contract in fresh worlds.
void check_random_histories(const MakeWorld& make_world, int histories, int steps);
void check_reads_during_checkpoint(const MakeWorld& make_world);
void check_failed_checkpoint_changes_nothing(const MakeWorld& make_world);
void check_deposed_store_does_no_harm(const MakeWorld& make_world);

}  // namespace pairfs::test
