#include "node/store/keeper.h"

#include <algorithm>
#include <cstring>

#include "common/logging.h"
#include "common/map_store.h"

namespace pairfs {
namespace {

using namespace std::chrono_literals;

constexpr Duration kLookPeriod = 1s;
constexpr Duration kNotePeriod = 2s;      // how often progress is worth a record in the log
constexpr Duration kReturnDelay = 2s;     // a missing element is looked for after this
constexpr Duration kSpareDelay = 30s;     // and replaced by a spare after this
constexpr Duration kCopyAgainDelay = 5s;  // metadata that no member has whole now

}  // namespace

Keeper::Keeper(VolumeParts& parts, const SegmentUses& uses)
    : parts_(parts),
      group_(*parts.group),
      uses_(uses),
      first_change_(parts.record.change),
      gone_since_(parts.group->size()),
      trusted_(parts.group->size()),
      spares_(parts.record.spares),
      scrub_(parts.record.scrub),
      scrubbed_to_(parts.record.scrubbed_to) {
  if (scrub_ == ScrubState::kRunning) scrub_progress_.state = "running";
  if (scrub_ == ScrubState::kPaused) scrub_progress_.state = "paused";
  // What was found may not be what was recorded.
  bool differs = false;
  for (size_t i = 0; i < group_.size(); ++i) {
    const MemberState recorded =
        parts.record.change == 0 ? MemberState::kOk : parts.record.members[i].state;
    differs |= recorded != group_.member(i).state.load();
  }
  if (differs) group_.note_change();
}

uint64_t Keeper::version() const { return first_change_ + group_.changes(); }

GroupRecord Keeper::describe() const {
  GroupRecord record;
  record.change = version();
  for (size_t i = 0; i < group_.size(); ++i) {
    const auto& member = group_.member(i);
    record.members.push_back({group_.name_of(i), member.state.load(), member.rebuilt_to.load()});
  }
  std::lock_guard lock(mutex_);
  record.spares = spares_;
  record.scrub = scrub_;
  record.scrubbed_to = scrubbed_to_;
  return record;
}

Bytes Keeper::record() const { return encode_group_record(describe()); }

void Keeper::add_status(StoreStatus* status) const {
  std::lock_guard lock(mutex_);
  for (const ElementName& spare : spares_)
    status->spares.push_back({spare.id, spare.path, spare.reach, "spare", 0, 0, 0});
  status->rebuild = rebuild_progress_;
  status->scrub = scrub_progress_;
}

bool Keeper::run(Duration budget) {
  const Instant deadline = boot_now() + budget;
  if (boot_now() >= look_at_) {
    look_at_ = boot_now() + kLookPeriod;
    look();
  }
  clean(deadline);
  work(deadline);
  return (walk_ != nullptr && !parts_.table_ahead) || scan_ != nullptr;
}

// ---- who is there -----------------------------------------------------------------------------

void Keeper::look() {
  group_.look_at_elements(false);
  for (size_t i = 0; i < group_.size(); ++i) {
    const MemberState state = group_.member(i).state.load();
    if (state == MemberState::kOk || state == MemberState::kRebuilding) {
      gone_since_[i] = {};
      look_whether_emptied(i);
      continue;
    }
    if (gone_since_[i] == Instant{}) gone_since_[i] = boot_now();
    if (state == MemberState::kMissing && boot_now() - gone_since_[i] >= kReturnDelay) look_for(i);
  }
  use_spares();
  start_rebuilds();
  keep_metadata_copies();
  returned_enough_ = !group_.can_serve() && group_.can_serve_with(group_.in_sync() | returned());
}

// Stale members that have all of the newest consistency point.
uint64_t Keeper::returned() const {
  uint64_t members = 0;
  for (size_t i = 0; i < group_.size(); ++i) {
    if (group_.member(i).state.load() == MemberState::kStale) members |= uint64_t{1} << i;
  }
  return members & parts_.in_sync;
}

// Files that somebody removed are still read and written through their descriptors, in vain.
void Keeper::look_whether_emptied(size_t index) {
  Element& element = *group_.member(index).element;
  if (element.size(superblock_name(parts_.opening)).error() != ENOENT) return;
  const auto entries = element.list("");
  if (!entries.ok()) return;
  const bool has_files = std::any_of(entries->begin(), entries->end(), [](const auto& entry) {
    const auto owned = parse_owned_name(entry.name);
    return owned && (owned->kind == "segment" || owned->kind == "meta");
  });
  if (has_files)
    (void)write_superblock(index);
  else
    group_.fail(index, "find its files", ENOENT);
}

// An empty directory may be where a disk is not mounted.
bool Keeper::is_ours(Element& element, const std::string& id) const {
  const auto entries = element.list("");
  if (!entries.ok()) return false;
  for (const Element::Entry& entry : *entries) {
    const auto owned = parse_owned_name(entry.name);
    if (!owned || owned->kind != "superblock") continue;
    Bytes bytes(entry.size_bytes, '\0');
    const auto count = element.read(entry.name, 0, bytes);
    const auto superblock = count.ok() ? decode_superblock(bytes) : std::nullopt;
    if (superblock && superblock->cluster_id == parts_.config.cluster_id &&
        superblock->volume == parts_.config.volume && superblock->element_id == id)
      return true;
  }
  return false;
}

// A missing element may be there again; what it missed it gets by a rebuild.
void Keeper::look_for(size_t index) {
  if (!parts_.config.open_element) return;
  const ElementName name = group_.name_of(index);
  std::string why;
  auto element = parts_.config.open_element({name.id, name.path, name.reach}, false, &why);
  if (!element || !is_ours(*element, name.id)) return;
  group_.member(index).element.put(std::move(element));
  group_.set_state(index, MemberState::kStale);
}

void Keeper::use_spares() {
  for (size_t i = 0; i < group_.size(); ++i) {
    const MemberState state = group_.member(i).state.load();
    const bool lost = state == MemberState::kFailed || (state == MemberState::kMissing &&
                                                        boot_now() - gone_since_[i] >= kSpareDelay);
    if (!lost || !group_.can_serve()) continue;
    ElementName spare;
    {
      std::lock_guard lock(mutex_);
      if (spares_.empty()) return;
      spare = spares_.front();
      spares_.erase(spares_.begin());
    }
    log_warn("element.spare_used", "place={} path={}", group_.name_of(i).id, spare.path);
    spare.id = group_.name_of(i).id;
    if (const std::string why = replace(i, spare, true); !why.empty())
      log_error("element.spare_unusable", "why=\"{}\"", why);
  }
}

std::string Keeper::replace(size_t index, const ElementName& name, bool create) {
  if (!parts_.config.open_element) return "This volume's elements cannot be replaced.";
  std::string why;
  auto element = parts_.config.open_element({name.id, name.path, name.reach}, create, &why);
  if (!element) return why;
  if (walk_ && rebuilding_ == index) walk_.reset();
  parts_.files->drop(index);
  std::erase(parts_.opened_from_members, index);
  group_.rename(index, name);
  group_.member(index).element.put(std::move(element));
  group_.member(index).rebuilt_to = 0;
  group_.set_state(index, MemberState::kStale);
  gone_since_[index] = boot_now();
  return "";
}

Superblock Keeper::superblock_of(size_t index) const {
  Superblock superblock;
  superblock.cluster_id = parts_.config.cluster_id;
  superblock.volume = parts_.config.volume;
  superblock.element_id = group_.name_of(index).id;
  superblock.raid_level = group_.level();
  superblock.element_index = static_cast<uint8_t>(index);
  superblock.element_count = static_cast<uint8_t>(group_.size());
  superblock.opening = parts_.opening;
  return superblock;
}

// Files of earlier openings and of segments that are no more.
void Keeper::remove_leftovers(size_t index) {
  Element& element = *group_.member(index).element;
  const auto entries = element.list("");
  if (!entries.ok()) return;
  for (const Element::Entry& entry : *entries) {
    const auto owned = parse_owned_name(entry.name);
    if (!owned) continue;
    if (owned->kind == "segment") {
      const SegmentId id = make_segment_id(owned->opening.epoch, owned->opening.number,
                                           std::strtoull(owned->rest.c_str(), nullptr, 10));
      if (owned->opening < parts_.opening && !uses_.contains(id)) (void)element.unlink(entry.name);
    } else if (owned->kind == "meta") {
      if (owned->opening <= parts_.opening) (void)remove_tree(element, entry.name);
    } else if (owned->opening < parts_.opening) {
      (void)element.unlink(entry.name);
    }
  }
}

void Keeper::start_rebuilds() {
  for (size_t i = 0; i < group_.size(); ++i) {
    auto& member = group_.member(i);
    if (member.state.load() != MemberState::kStale || !group_.can_serve()) continue;
    parts_.files->drop(i);
    std::erase(parts_.opened_from_members, i);
    remove_leftovers(i);
    const Status claimed = claim_element(*member.element, superblock_of(i), parts_.has_data);
    if (!claimed.ok() && claimed.error() != EEXIST) {
      group_.fail(i, "write superblock", claimed.error());
      continue;
    }
    trusted_[i] = member.rebuilt_to.exchange(0);
    group_.set_state(i, MemberState::kRebuilding);
  }
}

// As many as the level can lose, and one more. Of mirrors, all copies of a set that is whole: then
// whatever can serve without some elements has the metadata, too, as when a machine takes half of
// them.
bool Keeper::wants_metadata(size_t index) const {
  const auto& layout = group_.layout();
  const std::vector<size_t> members = parts_.files->members();
  const auto has = [&](size_t i) {
    return group_.member(i).ok() && std::find(members.begin(), members.end(), i) != members.end();
  };
  if (has(index)) return false;
  size_t copies = 0;
  for (size_t i = 0; i < group_.size(); ++i) copies += has(i);
  if (copies <= layout.tolerance()) return true;
  if (layout.copies == 1) return false;
  size_t chosen = group_.size(), most = 0;
  for (size_t set = 0; set < group_.size(); set += layout.copies) {
    size_t there = 0, with = 0;
    for (size_t i = set; i < set + layout.copies; ++i) {
      there += group_.member(i).ok() || i == index;
      with += has(i);
    }
    if (there < layout.copies || (chosen < group_.size() && with <= most)) continue;
    chosen = set;
    most = with;
  }
  return chosen == index / layout.copies * layout.copies;
}

bool Keeper::copy_metadata(size_t index) {
  Status done = success();
  // The log may still name the consistency point that this opening began with.
  auto& sources = parts_.opened_from_members;
  const bool has = std::find(sources.begin(), sources.end(), index) != sources.end();
  if (!has && std::any_of(sources.begin(), sources.end(),
                          [&](size_t i) { return group_.member(i).ok(); })) {
    done = FramedFiles(group_, sources).adopt(index, parts_.opened_from);
    if (done.ok()) sources.push_back(index);
  }
  if (done.ok()) {
    parts_.table->quietly(
        [&] { done = parts_.files->adopt(index, metadata_directory(parts_.opening)); });
  }
  if (done.ok()) {
    log_info("element.has_metadata", "element={}", group_.name_of(index).id);
  } else {
    copy_at_ = boot_now() + kCopyAgainDelay;
    log_warn("element.metadata_not_copied", "element={} error=\"{}\"", group_.name_of(index).id,
             std::strerror(done.error()));
  }
  return done.ok();
}

void Keeper::keep_metadata_copies() {
  if (boot_now() < copy_at_) return;
  for (size_t i = 0; i < group_.size(); ++i) {
    if (group_.member(i).ok() && wants_metadata(i)) (void)copy_metadata(i);
  }
}

// ---- rebuild and scrub ------------------------------------------------------------------------

void Keeper::work(Instant deadline) {
  if (walk_ && rebuilding_ && group_.member(*rebuilding_).state != MemberState::kRebuilding) {
    walk_.reset();
    std::lock_guard lock(mutex_);
    rebuild_progress_.state = "idle";
  }
  // A rebuild comes first.
  if ((!walk_ || !rebuilding_) && boot_now() >= copy_at_) {
    for (size_t i = 0; i < group_.size(); ++i) {
      if (group_.member(i).state.load() != MemberState::kRebuilding) continue;
      walk_ = std::make_unique<StripeWalk>(*parts_.table, uses_, group_, uint64_t{1} << i,
                                           group_.member(i).rebuilt_to, trusted_[i]);
      rebuilding_ = i;
      walk_began_ = boot_now();
      walk_began_bytes_ = walk_->done_bytes();
      break;
    }
  }
  bool scrubbing = false;
  {
    std::lock_guard lock(mutex_);
    scrubbing = scrub_ == ScrubState::kRunning;
  }
  if (walk_ && !rebuilding_ && !scrubbing) walk_.reset();
  if (!walk_ && scrubbing) {
    walk_ = std::make_unique<StripeWalk>(*parts_.table, uses_, group_, ~uint64_t{0}, scrubbed_to_);
    rebuilding_.reset();
    walk_began_ = boot_now();
    walk_began_bytes_ = walk_->done_bytes();
    metadata_left_.clear();
    const auto files = parts_.files->list(metadata_directory(parts_.opening));
    if (files.ok()) {
      for (const auto& file : *files) metadata_left_.push_back(file.name);
    }
  }
  if (!walk_) return;
  if (!rebuilding_ && !scrub_metadata(deadline)) return;
  const bool done = walk_->step(deadline);
  {
    std::lock_guard lock(mutex_);
    StoreProgress& progress = rebuilding_ ? rebuild_progress_ : scrub_progress_;
    note_progress(*walk_, walk_began_, &progress);
    progress.element = rebuilding_ ? group_.name_of(*rebuilding_).id : std::string();
    if (rebuilding_) {
      group_.member(*rebuilding_).rebuilt_to = walk_->done_to();
    } else {
      scrubbed_to_ = walk_->done_to();
    }
  }
  if (boot_now() - noted_at_ >= kNotePeriod) {
    noted_at_ = boot_now();
    group_.note_change();
  }
  if (!done) return;
  // What only the last consistency point names cannot be seen in rows that are ahead of it.
  if (rebuilding_ && parts_.table_ahead) return;
  if (rebuilding_) {
    finish_rebuild();
  } else {
    std::lock_guard lock(mutex_);
    scrub_ = ScrubState::kIdle;
    scrubbed_to_ = 0;
    scrub_progress_.state = "idle";
    ++scrub_progress_.finished_count;
    group_.note_change();
    log_info("scrub.finished", "checked={} repaired={} lost={}", scrub_progress_.checked_blocks,
             scrub_progress_.repaired_blocks, scrub_progress_.lost_blocks);
  }
  walk_.reset();
}

void Keeper::note_progress(const StripeWalk& walk, Instant begun, StoreProgress* progress) {
  progress->state = "running";
  progress->done_bytes = walk.done_bytes();
  progress->total_bytes = walk.total_bytes();
  const double seconds = std::chrono::duration<double>(boot_now() - begun).count();
  progress->bytes_per_second =
      seconds <= 0 ? 0 : static_cast<double>(walk.done_bytes() - walk_began_bytes_) / seconds;
  const auto& sum = walk.sum();
  const uint64_t metadata = rebuilding_ ? 0 : metadata_checked_;
  progress->checked_blocks = sum.read_blocks + metadata;
  progress->repaired_blocks = sum.mended_blocks + (rebuilding_ ? 0 : metadata_mended_);
  progress->lost_blocks = sum.lost_blocks + (rebuilding_ ? 0 : metadata_lost_);
}

void Keeper::finish_rebuild() {
  const size_t index = *rebuilding_;
  auto& member = group_.member(index);
  Status synced = member.element->settle();
  if (synced.ok()) synced = member.element->sync_directory("");
  if (!synced.ok()) {
    group_.fail(index, "sync directory", synced.error());
    return;
  }
  // Before anybody reads that it is ok: from then on it may be all that is left.
  if (wants_metadata(index) && !copy_metadata(index)) return;
  const uint64_t lost = walk_->sum().lost_blocks;
  group_.set_state(index, MemberState::kOk);
  log_info("rebuild.finished", "element={} written={} lost={}", group_.name_of(index).id,
           walk_->sum().mended_blocks, lost);
  {
    std::lock_guard lock(mutex_);
    rebuild_progress_.state = "idle";
    ++rebuild_progress_.finished_count;
  }
  rebuilding_.reset();
  keep_metadata_copies();
}

// True when all metadata files were read.
bool Keeper::scrub_metadata(Instant deadline) {
  if (metadata_left_.empty()) return true;
  const std::string directory = metadata_directory(parts_.opening);
  parts_.table->quietly([&] {
    while (!metadata_left_.empty() && boot_now() < deadline) {
      const auto checked = parts_.files->check(directory + "/" + metadata_left_.back());
      metadata_left_.pop_back();
      metadata_checked_ += checked.read_frames;
      metadata_mended_ += checked.mended_frames;
      metadata_lost_ += checked.lost_frames;
    }
  });
  if (!metadata_left_.empty()) return false;
  for (size_t i = 0; i < group_.size(); ++i) {
    if (!group_.member(i).ok()) continue;
    ++metadata_checked_;
    metadata_mended_ += !has_superblock(i) && write_superblock(i);
  }
  return true;
}

bool Keeper::has_superblock(size_t index) const {
  const Bytes expected = encode_superblock(superblock_of(index));
  Bytes found(expected.size(), '\0');
  const auto count = group_.member(index).element->read(superblock_name(parts_.opening), 0, found);
  return count.ok() && *count == expected.size() && found == expected;
}

// Anew, in place of a bad one.
bool Keeper::write_superblock(size_t index) {
  auto& member = group_.member(index);
  const std::string name = superblock_name(parts_.opening);
  const Bytes bytes = encode_superblock(superblock_of(index));
  const BytesView part = bytes;
  Status written = member.element->write(name, 0, {&part, 1});
  if (written.ok()) written = member.element->sync(name);
  if (written.ok()) written = member.element->sync_directory("");
  if (!written.ok()) {
    group_.fail(index, "repair superblock", written.error());
    return false;
  }
  ++member.repaired_blocks;
  log_warn("superblock.repaired", "element={}", group_.name_of(index).id);
  return true;
}

}  // namespace pairfs
