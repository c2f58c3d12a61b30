#include <doctest/doctest.h>

#include "node/store/memory_store.h"
#include "test/contract/store_contract.h"

namespace pairfs::test {
namespace {

class MemoryWorld final : public StoreWorld {
 public:
  std::unique_ptr<VolumeStore> open(Epoch epoch, BytesView token, std::string* why) override {
    return open_memory_store(disk_, epoch, token, why);
  }
  void fail_next_checkpoint(uint64_t) override { disk_.fail_checkpoints(1, ENOSPC); }
  void stop_failing() override { disk_.fail_checkpoints(0, 0); }

 private:
  MemoryDisk disk_;
};

std::unique_ptr<StoreWorld> make_world() { return std::make_unique<MemoryWorld>(); }

}  // namespace

TEST_CASE("A memory store behaves like the model through random histories") {
  check_random_histories(make_world, 20, 1000);
}
TEST_CASE("A memory store gives the same answers while a consistency point is made") {
  check_reads_during_checkpoint(make_world);
}
TEST_CASE("A failed consistency point of a memory store changes nothing") {
  check_failed_checkpoint_changes_nothing(make_world);
}
TEST_CASE("A deposed executor's memory store does no harm to its successor") {
  check_deposed_store_does_no_harm(make_world);
}

}  // namespace pairfs::test
