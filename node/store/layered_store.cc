#include "node/store/layered_store.h"

#include <cstring>
#include <deque>

#include "node/store/layered_read.h"

namespace pairfs {
namespace {

constexpr size_t kReleasedPerApply = 64;

class LayeredCheckpoint final : public Checkpoint {
 public:
  LayeredCheckpoint(std::shared_ptr<BaseStore> base, std::shared_ptr<Overlay> frozen,
                    Sequence sequence)
      : base_(std::move(base)), frozen_(std::move(frozen)), sequence_(sequence) {}
  Result<Bytes> run() override { return base_->write(*frozen_, sequence_); }

 private:
  std::shared_ptr<BaseStore> base_;
  std::shared_ptr<Overlay> frozen_;
  Sequence sequence_;
};

class LayeredStore final : public VolumeStore {
 public:
  explicit LayeredStore(std::shared_ptr<BaseStore> base)
      : base_(std::move(base)), applied_(base_->sequence()) {}

  std::optional<Bytes> get(BytesView key) const override {
    if (const Overlay::Row* row = active_->find(key)) return *row;
    if (frozen_) {
      if (const Overlay::Row* row = frozen_->find(key)) return *row;
    }
    return base_->get(key);
  }

  void scan(BytesView from, BytesView to, const Visit& visit) const override;

  std::unique_ptr<ReadPlan> plan_read(uint64_t inode_id, uint64_t offset_bytes,
                                      uint64_t length_bytes) const override {
    const InodePieces* layers[] = {active_->find_inode(inode_id),
                                   frozen_ ? frozen_->find_inode(inode_id) : nullptr};
    return plan_layered_read(*base_, layers, inode_id, offset_bytes, length_bytes);
  }

  uint64_t allocated_bytes(uint64_t inode_id, uint64_t offset_bytes,
                           uint64_t length_bytes) const override;
  std::optional<uint64_t> seek(uint64_t inode_id, uint64_t from_bytes,
                               bool want_data) const override;

  void apply(Changes changes, Sequence sequence) override {
    ENSURE(sequence >= applied_, "sequence {} after {}", sequence, applied_);
    for (Changes::Row& row : changes.rows) active_->put(std::move(row.key), std::move(row.value));
    for (Changes::Data& data : changes.data) active_->change(std::move(data));
    applied_ = sequence;
    release_garbage();
  }
  Sequence applied_sequence() const override { return applied_; }
  uint64_t dirty_bytes() const override {
    return active_->memory_bytes() + (frozen_ ? frozen_->memory_bytes() : 0);
  }

  std::shared_ptr<Checkpoint> freeze() override {
    ENSURE(!frozen_, "a consistency point is already being made");
    frozen_ = std::exchange(active_, std::make_shared<Overlay>());
    checkpoint_ = std::make_shared<LayeredCheckpoint>(base_, frozen_, applied_);
    return checkpoint_;
  }

  void finish(const std::shared_ptr<Checkpoint>& checkpoint, bool success) override {
    ENSURE(checkpoint && checkpoint == checkpoint_, "finish() of another consistency point");
    if (success) {
      garbage_.push_back(std::move(frozen_));
    } else {
      frozen_->absorb(std::move(*active_));
      active_ = std::move(frozen_);
    }
    frozen_.reset();
    checkpoint_.reset();
    release_garbage();
  }

  void confirm(BytesView token) override { base_->confirm(token); }
  StoreStatus status() const override {
    StoreStatus out = base_->status();
    // What is still in memory needs its room too, and parity or copies for small pieces of it.
    const uint64_t withheld = dirty_bytes() + dirty_bytes() / 4;
    out.available_bytes -= std::min(out.available_bytes, withheld);
    out.used_bytes += dirty_bytes();
    out.space.used_bytes += dirty_bytes();
    out.space.withheld_bytes += withheld;
    return out;
  }
  uint64_t elements_version() const override { return base_->elements_version(); }
  Bytes group_record() const override { return base_->group_record(); }
  bool wants_checkpoint() const override { return base_->wants_checkpoint(); }
  bool wants_reopening() const override { return base_->wants_reopening(); }
  std::shared_ptr<Maintenance> maintenance() override { return base_->maintenance(); }

 private:
  std::vector<BlockRun> block_runs(uint64_t inode_id, uint64_t from_block, uint64_t to_block) const;

  void release_garbage() {
    if (garbage_.empty()) return;
    garbage_.front()->release_some(kReleasedPerApply);
    if (garbage_.front()->empty()) garbage_.pop_front();
  }

  std::shared_ptr<BaseStore> base_;
  std::shared_ptr<Overlay> active_ = std::make_shared<Overlay>();
  std::shared_ptr<Overlay> frozen_;                // null unless a consistency point is made
  std::shared_ptr<LayeredCheckpoint> checkpoint_;  // the one of frozen_
  std::deque<std::shared_ptr<Overlay>> garbage_;   // durable ones, freed a few rows at a time
  Sequence applied_;
};

void LayeredStore::scan(BytesView from, BytesView to, const Visit& visit) const {
  if (from >= to) return;
  using Iterator = Overlay::Rows::const_iterator;
  std::pair<Iterator, Iterator> layers[2];
  size_t count = 0;
  for (const Overlay* overlay : {active_.get(), frozen_.get()}) {
    if (overlay == nullptr) continue;
    layers[count++] = {overlay->rows().lower_bound(from), overlay->rows().lower_bound(to)};
  }
  auto base = base_->rows(from, to);
  while (true) {
    std::optional<BytesView> key;
    if (base->valid() && base->key() < to) key = base->key();
    for (size_t i = 0; i < count; ++i) {
      if (layers[i].first == layers[i].second) continue;
      const Bytes& candidate = layers[i].first->first;
      if (!key || candidate < *key) key = candidate;
    }
    if (!key) return;
    const Overlay::Row* row = nullptr;  // of the highest layer that has the key
    for (size_t i = 0; i < count; ++i) {
      auto& [at, end] = layers[i];
      if (at == end || at->first != *key) continue;
      if (row == nullptr) {
        row = &at->second;
        key = at->first;
      }
      ++at;
    }
    const bool in_base = base->valid() && base->key() == *key;
    if (row == nullptr ? !visit(*key, base->value()) : (*row && !visit(*key, **row))) return;
    if (in_base) base->next();
  }
}

std::vector<BlockRun> LayeredStore::block_runs(uint64_t inode_id, uint64_t from_block,
                                               uint64_t to_block) const {
  std::vector<BlockRun> runs;
  const InodePieces* active = active_->find_inode(inode_id);
  const InodePieces* frozen = frozen_ ? frozen_->find_inode(inode_id) : nullptr;
  const ByteRange range{block_start(from_block), block_start(to_block)};
  if (active != nullptr && active->covers(range)) return active->block_runs(from_block, to_block);
  runs = base_->block_runs(inode_id, from_block, to_block);
  if (frozen != nullptr) runs = merge_runs(frozen->block_runs(from_block, to_block), runs);
  if (active != nullptr) runs = merge_runs(active->block_runs(from_block, to_block), runs);
  return runs;
}

uint64_t LayeredStore::allocated_bytes(uint64_t inode_id, uint64_t offset_bytes,
                                       uint64_t length_bytes) const {
  const uint64_t end = range_end(offset_bytes, length_bytes);
  if (offset_bytes >= end) return 0;
  uint64_t blocks = 0;
  const uint64_t to_block = end == Changes::kToEnd ? kEndBlock : block_ceil(end);
  for (const BlockRun& run : block_runs(inode_id, block_floor(offset_bytes), to_block)) {
    if (run.state != BlockState::kHole) blocks += run.to - run.from;
  }
  return blocks * kBlockBytes;
}

std::optional<uint64_t> LayeredStore::seek(uint64_t inode_id, uint64_t from_bytes,
                                           bool want_data) const {
  uint64_t from = block_floor(from_bytes);
  uint64_t window = 1 << 14;  // grows, so that a small answer is cheap and a huge hole is, too
  while (from < kEndBlock) {
    const uint64_t to = window > kEndBlock - from ? kEndBlock : from + window;
    uint64_t at = from;  // what lies before it is data throughout
    for (const BlockRun& run : block_runs(inode_id, from, to)) {
      if (run.state != BlockState::kData) continue;
      if (want_data) return std::max(from_bytes, block_start(run.from));
      if (run.from > at) break;
      at = run.to;
    }
    if (!want_data && at < to) return std::max(from_bytes, block_start(at));
    from = to;
    window *= 8;
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<VolumeStore> make_layered_store(std::shared_ptr<BaseStore> base) {
  return std::make_unique<LayeredStore>(std::move(base));
}

}  // namespace pairfs
