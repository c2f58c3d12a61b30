#include "node/store/ballast.h"

#include <algorithm>

#include "common/logging.h"

namespace pairfs {
namespace {

constexpr const char* kName = "ballast";
constexpr uint64_t kBytesMin = 1 << 20, kBytesMax = 8 << 20;
constexpr uint64_t kShare = 256;  // of the filesystem
constexpr uint64_t kPlenty = 8;   // times as much must be free

uint64_t bytes_for(const Element::Space& space) {
  return std::clamp(space.capacity_bytes / kShare, kBytesMin, kBytesMax) / kBlockBytes *
         kBlockBytes;
}

Status fill(Element& element, uint64_t bytes) {
  const Bytes piece(kBytesMin, 'b');
  for (uint64_t at = 0; at < bytes; at += piece.size()) {
    const BytesView part = BytesView(piece).substr(0, std::min<uint64_t>(piece.size(), bytes - at));
    PAIRFS_TRY(element.write(kName, at, {&part, 1}));
  }
  return element.sync(kName);
}

}  // namespace

void Ballast::keep() {
  for (size_t i = 0; i < group_.size(); ++i) {
    auto& member = group_.member(i);
    if (!member.takes_writes() || known_[i] == member.element.get()) continue;
    Element& element = *member.element;
    const auto space = element.space();
    if (!space.ok()) continue;
    const uint64_t bytes = bytes_for(*space);
    const auto there = element.size(kName);
    if (there.ok() && *there >= bytes) {
      known_[i] = &element;
    } else if (space->available_bytes < kPlenty * bytes) {
      group_.keep_back(i, bytes);
      continue;
    } else if (const Status filled = fill(element, bytes); !filled.ok()) {
      (void)element.unlink(kName);
      continue;
    }
    known_[i] = &element;
    group_.keep_back(i, 0);
  }
}

bool Ballast::release() {
  bool any = false;
  for (size_t i = 0; i < group_.size(); ++i) {
    auto& member = group_.member(i);
    if (!member.takes_writes()) continue;
    known_[i] = nullptr;
    const auto space = member.element->space();
    if (space.ok()) group_.keep_back(i, bytes_for(*space));
    any |= member.element->unlink(kName).ok();
  }
  if (any) log_warn("ballast.released", "elements={}", group_.size());
  return any;
}

}  // namespace pairfs
