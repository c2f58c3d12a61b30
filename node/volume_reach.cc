// VolumeRuntime and the elements that only one of the two nodes reaches, as when a path to a
// dual-ported disk breaks. The logger looks now and then which elements it could open, and says so
// with its acknowledgements; an executor that misses one that its partner reaches lets it execute.
#include <algorithm>

#include "common/logging.h"
#include "node/store/open_volume.h"
#include "node/store/volume_files.h"
#include "node/volume_runtime.h"

namespace pairfs {
namespace {

constexpr auto kLookPeriod = std::chrono::seconds(2);
constexpr auto kMissingMin = std::chrono::seconds(1);    // before the partner is made executor
constexpr auto kExecutorMin = std::chrono::seconds(10);  // of one that was made it just now
constexpr auto kAloneMin = std::chrono::seconds(20);  // a partner that comes back soon would do it

bool has_superblock_of(Element& element, const StoreConfig& config, const std::string& id) {
  const auto entries = element.list("");
  if (!entries.ok()) return false;
  return std::any_of(entries->begin(), entries->end(), [&](const Element::Entry& entry) {
    const auto owned = parse_owned_name(entry.name);
    if (!owned || owned->kind != "superblock") return false;
    Bytes bytes(entry.size_bytes, '\0');
    const auto count = element.read(entry.name, 0, bytes);
    const auto superblock = count.ok() ? decode_superblock(bytes) : std::nullopt;
    return superblock && superblock->cluster_id == config.cluster_id &&
           superblock->volume == config.volume && superblock->element_id == id;
  });
}

// Bit i: element i can be opened here. Elements that one node reaches through the other count as
// reached: they say nothing about paths.
uint64_t reached_elements(const StoreConfig& config) {
  uint64_t reached = 0;
  for (size_t i = 0; i < config.elements.size(); ++i) {
    const StoreConfig::Element& e = config.elements[i];
    std::string why;
    const auto element = e.reach == "dir" ? open_directory_element(e.path, false, &why) : nullptr;
    if (e.reach != "dir" || (element != nullptr && has_superblock_of(*element, config, e.id)))
      reached |= uint64_t{1} << i;
  }
  return reached;
}

}  // namespace

// As a logger.
void VolumeRuntime::look_at_reach() {
  const Instant now = services_.now();
  if (looking_at_reach_ || now < reach_at_ || core_.role() != PairCore::Role::kLogger) return;
  reach_at_ = now + kLookPeriod;
  looking_at_reach_ = true;
  StoreConfig config = config_.store;
  config.group_record = log_->newest_elements();
  config = with_recorded_elements(std::move(config), log_->newest_checkpoint().token);
  auto reached = std::make_shared<uint64_t>(0);
  services_.run_on_worker([config, reached] { *reached = reached_elements(config); },
                          [this, reached] {
                            looking_at_reach_ = false;
                            reached_ = *reached;
                          });
}

// As an executor.
void VolumeRuntime::compare_reach() {
  const Instant now = services_.now();
  if (store_ == nullptr || !core_.may_execute() || core_.solo() || now < compare_reach_at_) return;
  compare_reach_at_ = now + kMissingMin;
  const StoreStatus status = store_->status();
  uint64_t mine = 0, missing = 0;
  for (size_t i = 0; i < status.elements.size(); ++i) {
    const std::string& state = status.elements[i].state;
    if (state == "missing")
      missing |= uint64_t{1} << i;
    else if (state != "failed")
      mine |= uint64_t{1} << i;
  }
  const bool partner_has_more =
      (partner_reached_ & missing) != 0 && (partner_reached_ & mine) == mine;
  if (!partner_has_more || now - opened_at_ < kExecutorMin) {
    reach_differs_since_ = Instant::max();
    return;
  }
  reach_differs_since_ = std::min(reach_differs_since_, now);
  if (now - reach_differs_since_ < kMissingMin) return;
  if (status.raid_state == "failed") {
    services_.fail_stop(
        fmt::format("volume {} cannot go on here, and its other node reaches more of its elements",
                    to_string(config_.pair.volume)));
    return;
  }
  if (!core_.takeover_obstacle().empty()) return;
  log_warn("volume.moves", "volume={} why=\"the partner reaches more elements\"",
           to_string(config_.pair.volume));
  compare_reach_at_ = now + kExecutorMin;
  hand_over();
}

// A group that had lost too many of its elements does not take them back by itself: what it holds
// in memory goes by what it could read. Whoever opens the volume anew has the last consistency
// point and the log behind it, and so all that was answered: the partner, or this node when it is
// alone.
void VolumeRuntime::reopen_if_elements_returned() {
  const Instant now = services_.now();
  if (store_ == nullptr || !core_.may_execute() || !store_->wants_reopening()) {
    returned_since_ = Instant::max();
    return;
  }
  returned_since_ = std::min(returned_since_, now);
  if (now - returned_since_ < kMissingMin || now - opened_at_ < kExecutorMin) return;
  log_warn("volume.reopens", "volume={} why=\"enough of its elements are back\"",
           to_string(config_.pair.volume));
  returned_since_ = Instant::max();
  if (core_.takeover_obstacle().empty())
    hand_over();
  else if (now - opened_at_ >= kAloneMin)
    services_.fail_stop(
        fmt::format("volume {} has to be opened anew, as enough of its elements are back",
                    to_string(config_.pair.volume)));
}

}  // namespace pairfs
