#include <doctest/doctest.h>

#include "node/store/volume_store.h"
#include "test/contract/store_contract.h"
#include "test/contract/temporary_directory.h"

namespace pairfs::testing {
namespace {

class DirectoryWorld final : public StoreWorld {
 public:
  DirectoryWorld(uint8_t level, int elements) {
    config_.volume = {1, 0};
    config_.cluster_id = 42;
    config_.raid_level = level;
    config_.block_cache_bytes = 1 << 20;
    for (int i = 0; i < elements; ++i) {
      const std::string id = "e" + std::to_string(i);
      config_.elements.push_back({id, directory_.path(id), "dir"});
    }
  }
  std::unique_ptr<VolumeStore> open(Epoch epoch, BytesView token, std::string* why) override {
    return open_durable_store(config_, epoch, token, why);
  }
  void fail_next_checkpoint(uint64_t) override {}
  void stop_failing() override {}

 private:
  TemporaryDirectory directory_;
  StoreConfig config_;
};

std::unique_ptr<StoreWorld> make_mirror() { return std::make_unique<DirectoryWorld>(1, 2); }

}  // namespace

TEST_CASE("A store on directories behaves like the model through random histories") {
  check_random_histories(make_mirror, 3, 600);
}
TEST_CASE("A store on directories gives the same answers while a consistency point is made") {
  check_reads_during_checkpoint(make_mirror);
}
TEST_CASE("A deposed executor's store on directories does no harm to its successor") {
  check_deposed_store_does_no_harm(make_mirror);
}

}  // namespace pairfs::testing
