#include "node/store/layered_read.h"

#include <cstring>
#include <vector>

namespace pairfs {
namespace {

// Bytes of an overlay, or zeros when `bytes` is empty.
struct Part {
  ByteRange range;
  SharedBytes bytes;
};

class LayeredRead final : public ReadPlan {
 public:
  LayeredRead(ByteRange range, std::vector<Part> parts, std::unique_ptr<BaseRead> base,
              uint64_t base_from)
      : range_(range), parts_(std::move(parts)), base_(std::move(base)), base_from_(base_from) {}

  bool in_memory() const override { return !base_ || base_->in_memory(); }

  Result<SharedBytes> run() override {
    if (range_.from == range_.to) return SharedBytes();
    if (parts_.size() == 1 && parts_[0].range == range_ && !parts_[0].bytes.empty()) {
      return parts_[0].bytes;
    }
    // Whole blocks, so that the base can read and check them in place.
    const uint64_t start = block_start(block_floor(range_.from));
    const size_t size = block_start(block_ceil(range_.to)) - start;
    std::shared_ptr<char[]> buffer(new char[size]());
    if (base_) PAIRFS_TRY(base_->run(buffer.get() + (base_from_ - start)));
    for (const Part& part : parts_) {
      char* at = buffer.get() + (part.range.from - start);
      if (part.bytes.empty()) {
        std::memset(at, 0, part.range.to - part.range.from);
      } else {
        std::memcpy(at, part.bytes.view().data(), part.bytes.size());
      }
    }
    const BytesView view(buffer.get() + (range_.from - start), range_.to - range_.from);
    return SharedBytes(std::move(buffer), view);
  }

 private:
  ByteRange range_;
  std::vector<Part> parts_;
  std::unique_ptr<BaseRead> base_;
  uint64_t base_from_;  // offset of what base_ reads, block-aligned
};

// Collects the pieces that show through, and the hull of what none of the layers has.
class Collector {
 public:
  explicit Collector(std::span<const InodePieces* const> layers) : layers_(layers) {}

  void collect(size_t layer, ByteRange range) {
    while (layer < layers_.size() && layers_[layer] == nullptr) ++layer;
    if (layer == layers_.size()) {
      if (gap.from == gap.to) gap = range;
      gap.to = range.to;
      return;
    }
    layers_[layer]->visit(
        range,
        [&](ByteRange part, const InodePieces::Piece& piece, uint64_t skip) {
          SharedBytes bytes;
          if (!piece.bytes.empty()) bytes = piece.bytes.part(skip, part.to - part.from);
          parts.push_back({part, std::move(bytes)});
        },
        [&](ByteRange part) { collect(layer + 1, part); });
  }

  std::vector<Part> parts;
  ByteRange gap;

 private:
  std::span<const InodePieces* const> layers_;
};

}  // namespace

std::unique_ptr<ReadPlan> plan_layered_read(const BaseStore& base,
                                            std::span<const InodePieces* const> layers,
                                            uint64_t inode_id, uint64_t offset_bytes,
                                            uint64_t length_bytes) {
  const ByteRange range{offset_bytes, range_end(offset_bytes, length_bytes)};
  Collector collector(layers);
  if (range.from < range.to) collector.collect(0, range);
  std::unique_ptr<BaseRead> below;
  const uint64_t from_block = block_floor(collector.gap.from);
  if (collector.gap.from < collector.gap.to) {
    below = base.plan_read(inode_id, from_block, block_ceil(collector.gap.to));
  }
  return std::make_unique<LayeredRead>(range, std::move(collector.parts), std::move(below),
                                       block_start(from_block));
}

}  // namespace pairfs
