// Changes to the bytes of one inode that no consistency point contains yet: an interval map of
// pieces. Written bytes are shared with the message that brought them, not copied. What no piece
// covers is as the layer below says. No locking: many readers or one writer.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "node/store/block.h"

namespace pairfs {

// Blocks [from, to) as one layer sees them.
struct BlockRun {
  uint64_t from = 0;
  uint64_t to = 0;
  BlockState state = BlockState::kHole;  // at least this
  bool opaque = true;                    // exactly this; the layer below does not count
};

class InodePieces {
 public:
  // kWipe and kSoftZero occur in parts of blocks of which the layer below has a say.
  enum class Kind : uint8_t {
    kWipe,      // reads as zeros; the block's state is the lower layer's
    kSoftZero,  // reads as zeros; the block is at least kZero
    kHole,      // zeros; with its neighbours it hides all of the block below
    kZero,      // the same, allocated
    kData,      // bytes, or zeros in a block that was written
  };
  struct Piece {
    uint64_t to = 0;
    Kind kind = Kind::kWipe;
    SharedBytes bytes;          // kData: as long as the piece, or empty for zeros
    uint64_t pinned_bytes = 0;  // size of the message part that `bytes` keeps alive
  };
  using Map = std::map<uint64_t, Piece>;  // by the offset of the first byte

  void write(uint64_t offset_bytes, SharedBytes bytes);
  void zero(uint64_t offset_bytes, uint64_t length_bytes);
  void punch(uint64_t offset_bytes, uint64_t length_bytes);
  // Puts the pieces of a newer layer over these.
  void absorb(const InodePieces& newer);
  // When no layer lies below: forgets what is zeros and leaves its block a hole.
  void forget_holes();
  // Frees pieces for about `effort`: one for a piece, and more for a large one. Gives what it took.
  size_t release_some(size_t effort);

  // Calls on_piece(range, piece, offset in piece) and on_gap(range) for all of [from, to), in
  // order.
  void visit(ByteRange range,
             const std::function<void(ByteRange, const Piece&, uint64_t)>& on_piece,
             const std::function<void(ByteRange)>& on_gap) const;
  // What this layer says of the blocks in [from, to), in order, nothing for untouched blocks.
  std::vector<BlockRun> block_runs(uint64_t from_block, uint64_t to_block) const;
  // True when no block in [from, to) depends on a layer below.
  bool covers(ByteRange range) const;

  const Map& map() const { return pieces_; }
  // Approximate memory, bytes of messages included.
  uint64_t memory_bytes() const { return memory_bytes_; }

 private:
  void set(uint64_t from, Piece piece);
  void soften(ByteRange part, Kind kind);  // kWipe or kSoftZero over what is there
  void cover_blocks(uint64_t offset_bytes, uint64_t length_bytes, Kind whole, Kind part);
  void split(uint64_t at);
  void compact(Map::iterator piece);
  uint64_t cost(const Piece& piece) const;

  Map pieces_;
  uint64_t memory_bytes_ = 0;
};

// The runs of an upper layer over those of a lower one; both in order and within one range.
std::vector<BlockRun> merge_runs(const std::vector<BlockRun>& upper,
                                 const std::vector<BlockRun>& lower);

}  // namespace pairfs
