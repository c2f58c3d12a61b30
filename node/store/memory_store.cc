#include "node/store/memory_store.h"

#include <cstring>

#include "node/store/layered_store.h"

namespace pairfs {
namespace {

class OverlayCursor final : public RowCursor {
 public:
  OverlayCursor(std::shared_ptr<const Overlay> state, BytesView from)
      : state_(std::move(state)), at_(state_->rows().lower_bound(from)) {
    skip_erased();
  }
  bool valid() const override { return at_ != state_->rows().end(); }
  BytesView key() const override { return at_->first; }
  BytesView value() const override { return *at_->second; }
  void next() override {
    ++at_;
    skip_erased();
  }

 private:
  void skip_erased() {
    while (valid() && !at_->second) ++at_;
  }
  std::shared_ptr<const Overlay> state_;
  Overlay::Rows::const_iterator at_;
};

class MemoryRead final : public BaseRead {
 public:
  MemoryRead(std::shared_ptr<const Overlay> state, const InodePieces* pieces, ByteRange range)
      : state_(std::move(state)), pieces_(pieces), range_(range) {}
  bool in_memory() const override { return true; }
  Status run(char* into) override {
    pieces_->visit(
        range_,
        [&](ByteRange part, const InodePieces::Piece& piece, uint64_t skip) {
          if (piece.bytes.empty()) return;
          std::memcpy(into + (part.from - range_.from), piece.bytes.view().data() + skip,
                      part.to - part.from);
        },
        [](ByteRange) {});
    return success();
  }

 private:
  std::shared_ptr<const Overlay> state_;
  const InodePieces* pieces_;
  ByteRange range_;
};

}  // namespace

void MemoryDisk::fail_checkpoints(int count, int error) {
  std::lock_guard lock(mutex_);
  failures_ = count;
  failure_error_ = error;
}

size_t MemoryDisk::snapshot_count() const {
  std::lock_guard lock(mutex_);
  return snapshots_.size();
}

// A consistency point is a whole Overlay; write() copies the last one and absorbs the frozen one.
class MemoryBase final : public BaseStore {
 public:
  static std::shared_ptr<MemoryBase> open(MemoryDisk& disk, Epoch epoch, BytesView token,
                                          std::string* why) {
    auto fail = [&](std::string text) -> std::shared_ptr<MemoryBase> {
      if (why != nullptr) *why = std::move(text);
      return nullptr;
    };
    std::lock_guard lock(disk.mutex_);
    if (disk.opened_by_ > epoch) {
      return fail(fmt::format("epoch {} has already been here, epoch {} is too late",
                              disk.opened_by_, epoch));
    }
    disk.opened_by_ = epoch;
    auto base = std::shared_ptr<MemoryBase>(new MemoryBase(disk, epoch));
    if (token.empty()) return base;
    MemoryDisk::Name name;
    if (token.size() != sizeof(name)) return fail("this is not a consistency point's token");
    std::memcpy(&name, token.data(), sizeof(name));
    auto it = disk.snapshots_.find(name);
    if (it == disk.snapshots_.end()) {
      return fail(
          fmt::format("consistency point {} of epoch {} is not there", name.number, name.epoch));
    }
    it->second.needed_by = std::max(it->second.needed_by, epoch);
    base->state_ = it->second.state;
    base->sequence_ = it->second.sequence;
    return base;
  }

  Sequence sequence() const override { return sequence_; }

  std::optional<Bytes> get(BytesView key) const override {
    const auto now = state();
    const Overlay::Row* row = now->find(key);
    return row != nullptr ? *row : std::nullopt;
  }
  std::unique_ptr<RowCursor> rows(BytesView from, BytesView) const override {
    return std::make_unique<OverlayCursor>(state(), from);
  }
  std::vector<BlockRun> block_runs(uint64_t inode_id, uint64_t from_block,
                                   uint64_t to_block) const override {
    const auto now = state();
    std::vector<BlockRun> runs;
    const InodePieces* pieces = now->find_inode(inode_id);
    if (pieces == nullptr) return runs;
    for (BlockRun run : pieces->block_runs(from_block, to_block)) {
      run.opaque = true;
      if (run.state != BlockState::kHole) runs.push_back(run);
    }
    return runs;
  }
  std::unique_ptr<BaseRead> plan_read(uint64_t inode_id, uint64_t from_block,
                                      uint64_t to_block) const override {
    auto now = state();
    const InodePieces* pieces = now->find_inode(inode_id);
    if (pieces == nullptr) return nullptr;
    return std::make_unique<MemoryRead>(std::move(now), pieces,
                                        ByteRange{block_start(from_block), block_start(to_block)});
  }

  Result<Bytes> write(const Overlay& frozen, Sequence sequence) override {
    auto next = std::make_shared<Overlay>();
    auto add = [&next](const Overlay& layer) {
      for (const auto& [key, row] : layer.rows()) next->put(key, row);
      for (const auto& [inode_id, pieces] : layer.inodes()) next->absorb_inode(inode_id, pieces);
    };
    add(*state());
    add(frozen);
    next->forget_erased();
    std::lock_guard lock(disk_.mutex_);
    if (disk_.failures_ > 0) {
      --disk_.failures_;
      return Errno{disk_.failure_error_};
    }
    const MemoryDisk::Name name{epoch_, disk_.next_number_++};
    disk_.snapshots_[name] = {next, sequence, 0};
    state_ = next;
    return Bytes(reinterpret_cast<const char*>(&name), sizeof(name));
  }

  void confirm(BytesView token) override {
    MemoryDisk::Name name;
    if (token.size() != sizeof(name)) return;
    std::memcpy(&name, token.data(), sizeof(name));
    std::lock_guard lock(disk_.mutex_);
    std::erase_if(disk_.snapshots_, [&](const auto& entry) {
      return entry.first < name && entry.second.needed_by <= epoch_;
    });
  }

  StoreStatus status() const override {
    // Made as a whole: an assignment looks to GCC 12 at -O3 like an overlapping copy.
    StoreStatus status{std::string("1"), std::string("optimal"), {}, 0, 0, 0};
    status.capacity_bytes = status.available_bytes = uint64_t{1} << 40;
    status.used_bytes = state()->memory_bytes();
    return status;
  }

 private:
  MemoryBase(MemoryDisk& disk, Epoch epoch)
      : disk_(disk), epoch_(epoch), state_(std::make_shared<const Overlay>()) {}

  // write() on a worker changes state_ while the loop reads it.
  std::shared_ptr<const Overlay> state() const {
    std::lock_guard lock(disk_.mutex_);
    return state_;
  }

  MemoryDisk& disk_;
  const Epoch epoch_;
  std::shared_ptr<const Overlay> state_;  // guarded by disk_.mutex_
  Sequence sequence_ = 0;
};

std::unique_ptr<VolumeStore> open_memory_store(MemoryDisk& disk, Epoch epoch, BytesView token,
                                               std::string* why) {
  auto base = MemoryBase::open(disk, epoch, token, why);
  return base ? make_layered_store(std::move(base)) : nullptr;
}

}  // namespace pairfs
