#include "node/store/pieces.h"

#include <algorithm>

namespace pairfs {
namespace {

constexpr uint64_t kPieceOverheadBytes = 128;
constexpr size_t kReleaseUnitBytes = 16 * 1024;  // as long to give back as a small piece

using Kind = InodePieces::Kind;

// What a piece becomes when part of its block is wiped or zeroed.
Kind softened(Kind old_kind, Kind how) {
  if (old_kind == Kind::kData) return Kind::kData;
  if (how == Kind::kWipe) return old_kind;
  return old_kind == Kind::kHole || old_kind == Kind::kZero ? Kind::kZero : Kind::kSoftZero;
}

BlockState state_of(Kind kind) {
  switch (kind) {
    case Kind::kData:
      return BlockState::kData;
    case Kind::kZero:
    case Kind::kSoftZero:
      return BlockState::kZero;
    default:
      return BlockState::kHole;
  }
}
bool is_opaque(Kind kind) { return kind >= Kind::kHole; }

void append_run(std::vector<BlockRun>* runs, BlockRun run) {
  if (run.from >= run.to) return;
  if (!runs->empty()) {
    BlockRun& last = runs->back();
    if (last.to == run.from && last.state == run.state && last.opaque == run.opaque) {
      last.to = run.to;
      return;
    }
  }
  runs->push_back(run);
}

}  // namespace

uint64_t InodePieces::cost(const Piece& piece) const {
  return kPieceOverheadBytes + piece.bytes.size();
}

// A rest that is small beside the message it keeps alive gets memory of its own.
void InodePieces::compact(Map::iterator it) {
  Piece& piece = it->second;
  if (piece.bytes.empty() || piece.bytes.size() * 4 > piece.pinned_bytes) return;
  piece.pinned_bytes = piece.bytes.size();
  piece.bytes = SharedBytes::from(Bytes(piece.bytes.view()));
}

// Makes `at` a border between pieces, when it is inside one.
void InodePieces::split(uint64_t at) {
  auto it = pieces_.upper_bound(at);
  if (it == pieces_.begin()) return;
  --it;
  Piece& left = it->second;
  if (it->first == at || left.to <= at) return;
  Piece right = left;
  memory_bytes_ -= cost(left);
  left.to = at;
  if (!left.bytes.empty()) {
    const size_t keep = at - it->first;
    right.bytes = right.bytes.part(keep, right.bytes.size() - keep);
    left.bytes = left.bytes.part(0, keep);
  }
  memory_bytes_ += cost(left) + cost(right);
  auto right_it = pieces_.emplace_hint(std::next(it), at, std::move(right));
  compact(it);
  compact(right_it);
}

void InodePieces::set(uint64_t from, Piece piece) {
  if (from >= piece.to) return;
  split(from);
  split(piece.to);
  auto it = pieces_.lower_bound(from);
  while (it != pieces_.end() && it->first < piece.to) {
    memory_bytes_ -= cost(it->second);
    it = pieces_.erase(it);
  }
  memory_bytes_ += cost(piece);
  pieces_.emplace_hint(it, from, std::move(piece));
}

void InodePieces::write(uint64_t offset_bytes, SharedBytes bytes) {
  Piece piece;
  piece.to = offset_bytes + bytes.size();
  piece.kind = Kind::kData;
  piece.pinned_bytes = bytes.size();
  piece.bytes = std::move(bytes);
  set(offset_bytes, std::move(piece));
}

void InodePieces::soften(ByteRange part, Kind kind) {
  if (part.from >= part.to) return;
  std::vector<std::pair<uint64_t, Piece>> out;
  visit(
      part,
      [&](ByteRange range, const Piece& piece, uint64_t) {
        const Kind becomes = softened(piece.kind, kind);
        if (becomes == piece.kind && piece.bytes.empty()) return;
        out.push_back({range.from, Piece{range.to, becomes, {}, 0}});
      },
      [&](ByteRange range) {
        out.push_back({range.from, Piece{range.to, kind, {}, 0}});
      });
  for (auto& [from, piece] : out) set(from, std::move(piece));
}

void InodePieces::cover_blocks(uint64_t offset_bytes, uint64_t length_bytes, Kind whole,
                               Kind part) {
  const uint64_t end = range_end(offset_bytes, length_bytes);
  if (offset_bytes >= end) return;
  const uint64_t inner_from = block_start(block_ceil(offset_bytes));
  const uint64_t inner_to = end == Changes::kToEnd ? end : block_start(block_floor(end));
  if (inner_from >= inner_to) {  // within one block, or parts of two neighbours
    soften({offset_bytes, std::min(end, inner_from)}, part);
    if (end > inner_from) soften({inner_from, end}, part);
    return;
  }
  soften({offset_bytes, inner_from}, part);
  set(inner_from, Piece{inner_to, whole, {}, 0});
  soften({inner_to, end}, part);
}

void InodePieces::zero(uint64_t offset_bytes, uint64_t length_bytes) {
  cover_blocks(offset_bytes, length_bytes, Kind::kZero, Kind::kSoftZero);
}

void InodePieces::punch(uint64_t offset_bytes, uint64_t length_bytes) {
  cover_blocks(offset_bytes, length_bytes, Kind::kHole, Kind::kWipe);
}

void InodePieces::absorb(const InodePieces& newer) {
  for (const auto& [from, piece] : newer.pieces_) {
    if (is_opaque(piece.kind)) {
      set(from, piece);
    } else {
      soften({from, piece.to}, piece.kind);
    }
  }
}

void InodePieces::forget_holes() {
  for (auto it = pieces_.begin(); it != pieces_.end();) {
    if (it->second.kind == Kind::kHole || it->second.kind == Kind::kWipe) {
      memory_bytes_ -= cost(it->second);
      it = pieces_.erase(it);
    } else {
      ++it;
    }
  }
}

size_t InodePieces::release_some(size_t effort) {
  size_t spent = 1;
  while (!pieces_.empty() && spent < effort) {
    spent += 1 + pieces_.begin()->second.bytes.size() / kReleaseUnitBytes;
    pieces_.erase(pieces_.begin());
  }
  if (!pieces_.empty() && spent == 1) pieces_.erase(pieces_.begin());  // always some progress
  return spent;
}

void InodePieces::visit(ByteRange range,
                        const std::function<void(ByteRange, const Piece&, uint64_t)>& on_piece,
                        const std::function<void(ByteRange)>& on_gap) const {
  uint64_t at = range.from;
  auto it = pieces_.upper_bound(at);
  if (it != pieces_.begin() && std::prev(it)->second.to > at) --it;
  for (; it != pieces_.end() && it->first < range.to && at < range.to; ++it) {
    if (it->first > at) on_gap({at, it->first});
    at = std::max(at, it->first);
    const uint64_t to = std::min(range.to, it->second.to);
    on_piece({at, to}, it->second, at - it->first);
    at = to;
  }
  if (at < range.to) on_gap({at, range.to});
}

std::vector<BlockRun> InodePieces::block_runs(uint64_t from_block, uint64_t to_block) const {
  std::vector<BlockRun> runs;
  BlockRun open;  // the block that pieces seen so far cover in part
  auto close = [&] {
    append_run(&runs, open);
    open = BlockRun{};
  };
  auto add_part = [&](uint64_t block, Kind kind) {
    if (open.from >= open.to || open.from != block) {
      close();
      open = {block, block + 1, BlockState::kHole, false};
    }
    open.state = std::max(open.state, state_of(kind));
    open.opaque = open.opaque || is_opaque(kind);
  };
  visit(
      {block_start(from_block), block_start(to_block)},
      [&](ByteRange range, const Piece& piece, uint64_t) {
        const uint64_t first = block_floor(range.from);
        const uint64_t inner_from = block_ceil(range.from);
        const uint64_t inner_to = range.to == Changes::kToEnd ? kEndBlock : block_floor(range.to);
        if (first < inner_from) add_part(first, piece.kind);
        if (inner_from < inner_to) {
          close();
          append_run(&runs, {inner_from, inner_to, state_of(piece.kind), is_opaque(piece.kind)});
        }
        if (inner_to >= inner_from && block_start(inner_to) < range.to) {
          add_part(inner_to, piece.kind);
        }
      },
      [](ByteRange) {});
  close();
  return runs;
}

bool InodePieces::covers(ByteRange range) const {
  uint64_t at = block_floor(range.from);
  for (const BlockRun& run : block_runs(at, block_ceil(range.to))) {
    if (run.from != at || (!run.opaque && run.state != BlockState::kData)) return false;
    at = run.to;
  }
  return at >= block_ceil(range.to);
}

std::vector<BlockRun> merge_runs(const std::vector<BlockRun>& upper,
                                 const std::vector<BlockRun>& lower) {
  std::vector<BlockRun> out;
  auto low = lower.begin();
  // Copies the lower runs of blocks before `to`, from `at` on, at least of `state`.
  auto take_lower = [&](uint64_t at, uint64_t to, BlockState state, bool fill) {
    while (at < to) {
      while (low != lower.end() && low->to <= at) ++low;
      const bool inside = low != lower.end() && low->from <= at;
      const uint64_t next = std::min(to, inside ? low->to : (low != lower.end() ? low->from : to));
      if (inside) {
        append_run(&out, {at, next, std::max(state, low->state), low->opaque});
      } else if (fill) {
        append_run(&out, {at, next, state, false});
      }
      at = next;
    }
  };
  uint64_t at = lower.empty() ? 0 : lower.front().from;
  for (const BlockRun& run : upper) {
    if (run.from > at) take_lower(at, run.from, BlockState::kHole, false);
    if (run.opaque || run.state == BlockState::kData) {
      append_run(&out, {run.from, run.to, run.state, true});
    } else {
      take_lower(run.from, run.to, run.state, true);
    }
    at = run.to;
  }
  if (!lower.empty()) take_lower(at, std::max(at, lower.back().to), BlockState::kHole, false);
  return out;
}

}  // namespace pairfs
