// Keeper: what operators change about a volume's elements.
#include <algorithm>

#include "common/logging.h"
#include "common/map_store.h"
#include "node/store/keeper.h"

namespace pairfs {
namespace {
constexpr size_t kSparesMax = 16;
}  // namespace

std::optional<size_t> Keeper::find(const std::string& id) const {
  for (size_t i = 0; i < group_.size(); ++i) {
    if (group_.name_of(i).id == id) return i;
  }
  return std::nullopt;
}

// "" when a new element may be at the path.
std::string Keeper::check_place(const std::string& path, const std::string& except_id) {
  if (!path.starts_with('/')) return fmt::format("\"{}\" is not an absolute path.", path);
  for (size_t i = 0; i < group_.size(); ++i) {
    const ElementName name = group_.name_of(i);
    if (name.path == path && name.id != except_id)
      return fmt::format("{} is element {} already.", path, name.id);
  }
  {
    std::lock_guard lock(mutex_);
    for (const ElementName& spare : spares_) {
      if (spare.path == path) return fmt::format("{} is spare {} already.", path, spare.id);
    }
  }
  std::string why;
  const auto element = parts_.config.open_element({"", path, "dir"}, true, &why);
  if (!element) return why;
  const auto entries = element->list("");
  if (!entries.ok())
    return fmt::format("{} cannot be read: {}.", path, std::strerror(entries.error()));
  for (const Element::Entry& entry : *entries) {
    const auto owned = parse_owned_name(entry.name);
    if (!owned || owned->kind != "superblock") continue;
    Bytes bytes(entry.size_bytes, '\0');
    const auto count = element->read(entry.name, 0, bytes);
    const auto superblock = count.ok() ? decode_superblock(bytes) : std::nullopt;
    if (!superblock) continue;
    if (superblock->cluster_id != parts_.config.cluster_id ||
        superblock->volume != parts_.config.volume || superblock->element_id != except_id) {
      return fmt::format(
          "{} holds element {} of volume {}: empty it first if its data are not "
          "needed.",
          path, superblock->element_id, to_string(superblock->volume));
    }
  }
  return "";
}

std::string Keeper::change(const ElementWish& wish) {
  using What = ElementWish::What;
  if (wish.what == What::kStartScrub || wish.what == What::kPauseScrub) {
    std::lock_guard lock(mutex_);
    if (wish.what == What::kPauseScrub) {
      if (scrub_ != ScrubState::kRunning) return "No scrub is running.";
      scrub_ = ScrubState::kPaused;
      scrub_progress_.state = "paused";
    } else if (scrub_ != ScrubState::kRunning) {
      if (scrub_ == ScrubState::kIdle) {
        metadata_checked_ = metadata_mended_ = metadata_lost_ = 0;
        const uint64_t finished = scrub_progress_.finished_count;
        scrub_progress_ = {};
        scrub_progress_.finished_count = finished;
      }
      scrub_ = ScrubState::kRunning;
      scrub_progress_.state = "running";
    }
    group_.note_change();
    return "";
  }
  if (wish.what == What::kAddSpare) {
    if (!parts_.config.open_element) return "This volume's elements cannot be changed.";
    if (const std::string why = check_place(wish.path, ""); !why.empty()) return why;
    std::lock_guard lock(mutex_);
    if (spares_.size() >= kSparesMax)
      return fmt::format("There are {} spares already; that is the most.", kSparesMax);
    size_t number = 0;
    const auto name = [&] {
      return fmt::format("{}-s{}", to_string(parts_.config.volume), number);
    };
    const auto taken = [&](const ElementName& spare) { return spare.id == name(); };
    while (std::any_of(spares_.begin(), spares_.end(), taken)) ++number;
    spares_.push_back({name(), wish.path, "dir"});
    group_.note_change();
    look_at_ = {};
    return "";
  }
  if (wish.what == What::kRemoveSpare) {
    std::lock_guard lock(mutex_);
    const size_t count = std::erase_if(spares_, [&](const auto& s) { return s.id == wish.id; });
    if (count > 0) {
      group_.note_change();
      return "";
    }
  }
  const auto index = find(wish.id);
  if (!index)
    return fmt::format("Volume {} has no element \"{}\".", to_string(parts_.config.volume),
                       wish.id);
  switch (wish.what) {
    case What::kRemoveSpare:
      return fmt::format(
          "{} is in use, and RAID level {} needs all of its elements: replace it, or "
          "add a spare and fail it.",
          wish.id, group_.level());
    case What::kFail:
      if (group_.member(*index).state.load() == MemberState::kFailed) return "";
      if (!group_.can_serve_without(*index))
        return fmt::format(
            "Volume {} cannot do without {} now: too many of its elements are not "
            "ok.",
            to_string(parts_.config.volume), wish.id);
      group_.set_state(*index, MemberState::kFailed);
      look_at_ = {};
      return "";
    case What::kReplace: {
      const MemberState state = group_.member(*index).state.load();
      if (state == MemberState::kRebuilding)
        return fmt::format("{} is being rebuilt already.", wish.id);
      if (!group_.can_serve_without(*index))
        return fmt::format(
            "Volume {} cannot do without {} now: too many of its elements are not "
            "ok.",
            to_string(parts_.config.volume), wish.id);
      ElementName name = group_.name_of(*index);
      const bool moves = !wish.path.empty() && wish.path != name.path;
      if (!moves && state == MemberState::kOk)
        return fmt::format("{} is ok; name another path to move it, or fail it first.", wish.id);
      if (moves) {
        if (const std::string why = check_place(wish.path, wish.id); !why.empty()) return why;
        name.path = wish.path;
      }
      const std::string why = replace(*index, name, true);
      look_at_ = {};
      return why;
    }
    default:
      return "That cannot be asked.";
  }
}

}  // namespace pairfs
