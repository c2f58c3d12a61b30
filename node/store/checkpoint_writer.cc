#include "node/store/checkpoint_writer.h"

#include <cstring>

#include "common/logging.h"
#include "node/store/fields.h"

namespace pairfs {

Status CheckpointWriter::write(const Overlay& frozen, Sequence sequence,
                               const std::vector<Move>& moves) {
  batch_ = rows_.make_batch();
  freed_blocks_.clear();
  moved_blocks_ = 0;
  carry_.reset();
  segments_.begin([this](uint64_t inode_id, Extent extent) { put_extent(inode_id, extent); });
  for (const auto& [inode_id, pieces] : frozen.inodes()) {
    PAIRFS_TRY(flatten(inode_id, pieces));
  }
  for (const Move& wanted : moves) {
    if (frozen.find_inode(wanted.inode_id) == nullptr) PAIRFS_TRY(move(wanted));
  }
  PAIRFS_TRY(segments_.finish());
  std::vector<Stripe> newly_dead = write_stripe_uses();
  Bytes value;
  put_little(&value, sequence);
  batch_->put(sequence_key(), value);
  for (const auto& [key, row] : frozen.rows()) {
    if (row) {
      batch_->put(key, *row);
    } else {
      batch_->erase(key);
    }
  }
  // One write: so a failure anywhere leaves the rows as they were, or all of this.
  PAIRFS_TRY(rows_.write(*batch_));
  dead_.insert(dead_.end(), newly_dead.begin(), newly_dead.end());
  for (const Stripe& stripe : segments_.stripes()) live_blocks_ += stripe.blocks;
  for (const auto& [name, blocks] : freed_blocks_) live_blocks_ -= blocks;
  batch_.reset();
  return success();
}

Status CheckpointWriter::move(const Move& move) {
  std::vector<char> bytes;
  for (const Extent& extent : table_.extents(move.inode_id, move.from_block, move.to_block)) {
    if (extent.kind != Extent::Kind::kStored || extent.stripe.segment != move.segment ||
        extent.stripe.row != move.row) {
      continue;
    }
    // What cannot be read stays where it is.
    bytes.resize(extent.count * kBlockBytes);
    if (!table_.read({extent}, extent.from, bytes.data()).ok()) continue;
    PAIRFS_ASSIGN(char* const into, segments_.append(move.inode_id, extent.from, extent.count));
    std::memcpy(into, bytes.data(), bytes.size());
    clear(move.inode_id, extent.from, extent.to());
    moved_blocks_ += extent.count;
  }
  settle_carry(move.inode_id);
  return success();
}

Status CheckpointWriter::flatten(uint64_t inode_id, const InodePieces& pieces) {
  const auto runs = pieces.block_runs(0, kEndBlock);
  // An inode with nothing but block 0 keeps it in its row.
  bool small = !runs.empty() && runs.front().from == 0;
  for (const BlockRun& run : runs) small &= run.to == 1 || run.state == BlockState::kHole;
  if (small) {
    const ExtentCursor behind(table_.rows(), inode_id, 1);
    small = !behind.valid();
  }
  for (const BlockRun& run : runs) PAIRFS_TRY(flatten_run(inode_id, pieces, run, small));
  settle_carry(inode_id);
  return success();
}

Status CheckpointWriter::flatten_run(uint64_t inode_id, const InodePieces& pieces,
                                     const BlockRun& run, bool small) {
  if (run.state == BlockState::kData) {
    return write_data(inode_id, pieces, run.from, run.to, small);
  }
  if (run.opaque) {
    clear(inode_id, run.from, run.to);
    if (run.state == BlockState::kZero) {
      Extent zero;
      zero.kind = Extent::Kind::kZero;
      zero.from = run.from;
      zero.count = run.to - run.from;
      put_extent(inode_id, zero);
    }
    return success();
  }
  // Parts of blocks were zeroed: data stay data, and a hole becomes zeros where `state` says so.
  const auto below = table_.block_runs(inode_id, run.from, run.to);
  uint64_t at = run.from;
  auto fill = [&](uint64_t to) {
    if (run.state == BlockState::kZero && at < to) {
      Extent zero;
      zero.kind = Extent::Kind::kZero;
      zero.from = at;
      zero.count = to - at;
      put_extent(inode_id, zero);
    }
  };
  for (const BlockRun& lower : below) {
    fill(lower.from);
    if (lower.state == BlockState::kData) {
      PAIRFS_TRY(write_data(inode_id, pieces, lower.from, lower.to, small));
    }
    at = lower.to;
  }
  fill(run.to);
  return success();
}

Status CheckpointWriter::write_data(uint64_t inode_id, const InodePieces& pieces, uint64_t from,
                                    uint64_t to, bool small) {
  Bytes inline_block;
  for (uint64_t step; from < to; from += step) {
    step = std::min(to - from, kExtentBlocksMax);
    char* into = nullptr;
    if (small) {
      inline_block.assign(kBlockBytes, '\0');
      into = inline_block.data();
    } else {
      PAIRFS_ASSIGN(into, segments_.append(inode_id, from, step));
      std::memset(into, 0, step * kBlockBytes);
    }
    const uint64_t start = block_start(from);
    Status below = success();
    pieces.visit(
        {start, block_start(from + step)}, [](ByteRange, const InodePieces::Piece&, uint64_t) {},
        [&](ByteRange gap) {
          // A gap lies in the edges of what was written; it is never more than one block each.
          const uint64_t first = block_floor(gap.from), end = block_ceil(gap.to);
          if (!below.ok()) return;
          below = table_.read(table_.extents(inode_id, first, end), first,
                              into + (first - from) * kBlockBytes);
        });
    PAIRFS_TRY(below);
    pieces.visit(
        {start, block_start(from + step)},
        [&](ByteRange part, const InodePieces::Piece& piece, uint64_t skip) {
          char* at = into + (part.from - start);
          if (piece.bytes.empty()) {
            std::memset(at, 0, part.to - part.from);
          } else {
            std::memcpy(at, piece.bytes.view().data() + skip, part.to - part.from);
          }
        },
        [](ByteRange) {});
    clear(inode_id, from, from + step);
  }
  if (small) {
    Extent extent;
    extent.kind = Extent::Kind::kInline;
    extent.count = 1;
    extent.bytes = inline_block.substr(0, inline_block.find_last_not_of('\0') + 1);
    put_extent(inode_id, extent);
  }
  return success();
}

void CheckpointWriter::put_extent(uint64_t inode_id, const Extent& extent) {
  batch_->put(extent_key(inode_id, extent.from), encode_extent(extent));
}

void CheckpointWriter::settle_carry(uint64_t inode_id) {
  if (carry_) put_extent(inode_id, *carry_);
  carry_.reset();
}

void CheckpointWriter::clear(uint64_t inode_id, uint64_t from, uint64_t to) {
  auto take = [&](const Extent& extent, bool is_row) {
    if (is_row) batch_->erase(extent_key(inode_id, extent.from));
    const uint64_t cut_from = std::max(from, extent.from), cut_to = std::min(to, extent.to());
    if (extent.kind == Extent::Kind::kStored) {
      freed_blocks_[{extent.stripe.segment, extent.stripe.row}] += cut_to - cut_from;
    }
    if (extent.from < from) put_extent(inode_id, extent.cut(extent.from, from));
    if (extent.to() > to) carry_ = extent.cut(to, extent.to());
  };
  uint64_t unseen = from;  // table rows that begin before it are dealt with
  if (carry_) {
    if (carry_->to() > from) {
      const Extent carried = *std::exchange(carry_, std::nullopt);
      unseen = carried.to();
      take(carried, false);
    } else {
      settle_carry(inode_id);
    }
  }
  if (unseen >= to) return;
  for (ExtentCursor at(table_.rows(), inode_id, unseen); at.valid(); at.next()) {
    if (at.extent().from >= to) break;
    take(at.extent(), true);
  }
}

std::vector<Stripe> CheckpointWriter::write_stripe_uses() {
  std::vector<Stripe> newly_dead;
  for (const Stripe& stripe : segments_.stripes()) {
    batch_->put(stripe_key(stripe.segment, stripe.row), encode_stripe_use({stripe, stripe.blocks}));
  }
  for (const auto& [name, blocks] : freed_blocks_) {
    const Bytes key = stripe_key(name.first, name.second);
    const auto row = rows_.get(key);
    auto use = row ? decode_stripe_use(key, *row) : std::nullopt;
    if (!use || use->live_blocks < blocks) {
      // Nothing says that it is dead, so it stays until a check counts it anew.
      log_error("stripe.not_accounted_for", "segment={} row={}",
                RaidGroup::segment_name(name.first), name.second);
      continue;
    }
    use->live_blocks -= static_cast<uint32_t>(blocks);
    if (use->live_blocks > 0) {
      batch_->put(key, encode_stripe_use(*use));
    } else {
      batch_->erase(key);
      newly_dead.push_back(use->stripe);
    }
  }
  return newly_dead;
}

}  // namespace pairfs
