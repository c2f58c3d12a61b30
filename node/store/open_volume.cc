#include "node/store/open_volume.h"

#include <algorithm>
#include <cstring>
#include <set>

#include "common/crc32c.h"
#include "common/logging.h"
#include "node/store/rocks_table.h"

namespace pairfs {
namespace {

// What is on one element already.
struct Survey {
  std::optional<Superblock> newest;  // valid superblock
  Opening last;                      // the highest opening of any file
  std::set<std::string> directories;
  bool confirmed = false;  // a consistency point was confirmed here once
};

class Opener {
 public:
  Opener(const StoreConfig& config, Epoch epoch, std::string* why)
      : config_(config), epoch_(epoch), why_(why) {}  // config: with_recorded_elements()

  std::optional<VolumeParts> open(std::vector<FoundElement> elements, BytesView token_bytes);

 private:
  template <class... Args>
  bool refuse(fmt::format_string<Args...> format, Args&&... args) {
    *why_ = fmt::format(format, std::forward<Args>(args)...);
    return false;
  }
  bool survey(std::vector<FoundElement>& elements);
  bool check_superblock(size_t index, const std::string& name, const Superblock& superblock);
  bool choose_members();
  MemberState state_of(size_t index, bool* only_cautious) const;
  bool claim();
  bool check_manifests(std::vector<size_t>* sources);
  bool has_current(size_t index, const std::string& directory);
  void note_bad_metadata(size_t index, const std::string& file);
  void mend_superblock(Element& element, size_t index, const std::string& name,
                       const Superblock& superblock);
  bool mend_metadata();
  bool build_directory(const std::vector<size_t>& sources);
  bool fill_directory(size_t member, const std::vector<size_t>& sources,
                      const std::set<std::string>& tables);
  bool copy_table(size_t member, const std::vector<size_t>& sources, const std::string& table);

  const StoreConfig config_;
  const Epoch epoch_;
  std::string* const why_;
  std::optional<Token> token_;
  GroupRecord record_;
  std::vector<Survey> surveys_;
  Opening opening_;
  std::shared_ptr<RaidGroup> group_;
  std::vector<size_t> metadata_members_;
  Bytes manifest_content_;
  std::vector<size_t> bad_metadata_;  // members with a bad manifest or CURRENT
  std::vector<StoreFinding> findings_;
  std::string foreign_why_;  // of the first element that is somebody else's
};

bool Opener::check_superblock(size_t index, const std::string& name, const Superblock& superblock) {
  const auto& element = config_.elements[index];
  if (superblock.version != kStorageVersion) {
    return refuse("{} holds data of storage version {}, this program knows version {}.",
                  element.path, superblock.version, kStorageVersion);
  }
  if (superblock.cluster_id != config_.cluster_id) {
    return refuse(
        "{} belongs to another cluster ({:016x}, not {:016x}): choose another "
        "directory, or empty it if its data are not needed.",
        element.path, superblock.cluster_id, config_.cluster_id);
  }
  if (superblock.volume != config_.volume || superblock.element_id != element.id) {
    return refuse(
        "{} is element {} of volume {}, not element {} of volume {}: were disks or "
        "paths swapped? ({})",
        element.path, superblock.element_id, to_string(superblock.volume), element.id,
        to_string(config_.volume), name);
  }
  if (superblock.raid_level != config_.raid_level ||
      superblock.element_count != config_.elements.size() || superblock.element_index != index) {
    return refuse(
        "{} was element {} of {} at RAID level {}; it is configured as {} of {} at "
        "level {}.",
        element.path, superblock.element_index + 1, superblock.element_count, superblock.raid_level,
        index + 1, config_.elements.size(), config_.raid_level);
  }
  return true;
}

bool Opener::survey(std::vector<FoundElement>& elements) {
  surveys_.resize(elements.size());
  for (size_t i = 0; i < elements.size(); ++i) {
    if (!elements[i].element) continue;
    Element& element = *elements[i].element;
    auto entries = element.list("");
    if (!entries.ok()) {
      elements[i].missing_why = std::strerror(entries.error());
      elements[i].element.reset();
      continue;
    }
    for (const Element::Entry& entry : *entries) {
      const auto owned = parse_owned_name(entry.name);
      if (!owned) continue;
      Survey& found = surveys_[i];
      found.last = std::max(found.last, owned->opening);
      if (owned->kind == "meta") found.directories.insert(entry.name);
      if (owned->kind == "confirmed") found.confirmed = true;
      if (owned->kind != "superblock") continue;
      Bytes bytes(entry.size_bytes, '\0');
      auto count = element.read(entry.name, 0, bytes);
      const auto superblock = count.ok() ? decode_superblock(bytes) : std::nullopt;
      if (!superblock) {
        log_warn("superblock.damaged", "path={} name={}", config_.elements[i].path, entry.name);
        findings_.push_back(
            {"superblock", fmt::format("{} of {}", entry.name, config_.elements[i].id), false});
        continue;
      }
      if (!check_superblock(i, entry.name, *superblock)) {
        log_error("element.foreign", "path={} why=\"{}\"", config_.elements[i].path, *why_);
        if (foreign_why_.empty()) foreign_why_ = *why_;
        elements[i].missing_why = *why_;
        elements[i].element.reset();
        found = {};
        break;
      }
      if (!found.newest || found.newest->opening < superblock->opening) found.newest = superblock;
      if (bytes != encode_superblock(*superblock))
        mend_superblock(element, i, entry.name, *superblock);
    }
  }
  return true;
}

// One of its two copies is bad.
void Opener::mend_superblock(Element& element, size_t index, const std::string& name,
                             const Superblock& superblock) {
  StoreFinding finding{
      "superblock", fmt::format("one copy in {} of {}", name, config_.elements[index].id), false};
  if (config_.mending == StoreConfig::Mending::kAll) {
    const Bytes bytes = encode_superblock(superblock);
    const BytesView part = bytes;
    Status written = element.write(name, 0, {&part, 1});
    if (written.ok()) written = element.sync(name);
    finding.repaired = written.ok();
  }
  findings_.push_back(std::move(finding));
}

// What the element is good for. `only_cautious`: nothing shows that it lacks something, but it was
// away once, or failed.
MemberState Opener::state_of(size_t index, bool* only_cautious) const {
  const Survey& found = surveys_[index];
  MemberState recorded = MemberState::kOk;
  if (record_.change > 0) recorded = record_.members[index].state;
  if (!group_->member(index).element) return MemberState::kMissing;
  if (!token_) {
    if (recorded == MemberState::kFailed) return recorded;
    if (recorded == MemberState::kOk) return recorded;
    return found.newest ? MemberState::kStale : MemberState::kMissing;
  }
  if (recorded == MemberState::kFailed) {
    *only_cautious = found.newest && found.newest->opening >= token_->opening &&
                     (token_->in_sync >> index & 1) != 0;
    return recorded;
  }
  // An empty directory may be where a disk is not mounted: nothing is rebuilt there unasked.
  if (!found.newest) return MemberState::kMissing;
  // A superblock of an older opening: it was away, or is an old copy.
  if (found.newest->opening < token_->opening) return MemberState::kStale;
  if (recorded == MemberState::kRebuilding) return recorded;
  // A record that is newer than the token may say that a rebuild has ended: nothing is lacking
  // then.
  const auto at_token = decode_group_record(token_->group);
  const bool rebuilt_since =
      recorded == MemberState::kOk && at_token && at_token->change < record_.change;
  if ((token_->in_sync >> index & 1) == 0 && !rebuilt_since) return MemberState::kStale;
  *only_cautious = recorded != MemberState::kOk;
  return *only_cautious ? MemberState::kStale : MemberState::kOk;
}

// Who takes part, and as what opening.
bool Opener::choose_members() {
  bool is_new = !token_ && record_.change == 0;
  opening_ = {epoch_, 0};
  for (size_t i = 0; i < surveys_.size(); ++i) {
    const Survey& found = surveys_[i];
    if (found.newest) is_new = false;
    if (found.last.epoch > epoch_) {
      return refuse("{} was opened for epoch {} already; epoch {} is no longer the owner.",
                    config_.elements[i].path, found.last.epoch, epoch_);
    }
    if (found.last.epoch == epoch_ && opening_.number <= found.last.number) {
      opening_.number = found.last.number + 1;
    }
    if (!token_ && found.confirmed) {
      return refuse(
          "{} holds confirmed data of volume {}, but no consistency point was named: "
          "nothing is overwritten.",
          config_.elements[i].path, to_string(config_.volume));
    }
  }
  // Segment names have 12 bits for the opening.
  if (opening_.number >= 4096) {
    return refuse("Volume {} was opened 4096 times in epoch {}.", to_string(config_.volume),
                  epoch_);
  }
  std::vector<size_t> cautious;
  for (size_t i = 0; i < surveys_.size(); ++i) {
    auto& member = group_->member(i);
    if (!member.element && is_new) return refuse("{}", member.missing_why);
    bool only_cautious = false;
    member.state = state_of(i, &only_cautious);
    const bool recorded_ok = record_.change == 0 || record_.members[i].state == MemberState::kOk;
    if (!recorded_ok) {
      member.rebuilt_to = record_.members[i].rebuilt_to;
    } else if (member.state == MemberState::kMissing && token_ && (token_->in_sync >> i & 1) != 0) {
      member.rebuilt_to = make_segment_id(opening_.epoch, opening_.number, 0);
    }
    if (only_cautious) cautious.push_back(i);
    if (member.state != MemberState::kOk) {
      log_warn("element.state", "state={} element={} path={}", to_string(member.state.load()),
               member.name.id, member.name.path);
    }
  }
  // Rather one that was away than one that failed.
  std::stable_partition(cautious.begin(), cautious.end(),
                        [&](size_t i) { return group_->member(i).state != MemberState::kFailed; });
  for (const size_t i : cautious) {
    if (group_->can_serve()) break;
    log_warn("element.taken_back", "element={} path={}", group_->member(i).name.id,
             group_->member(i).name.path);
    group_->member(i).state = MemberState::kOk;
  }
  if (!group_->can_serve()) {
    if (!foreign_why_.empty()) return refuse("{}", foreign_why_);
    return refuse(
        "Volume {} needs more of its elements than are there: RAID level {} can spare "
        "{} of {}.",
        to_string(config_.volume), config_.raid_level, group_->layout().tolerance(),
        group_->size());
  }
  return true;
}

// Takes the opening's name on every member; nobody else can have it then.
bool Opener::claim() {
  for (size_t i = 0; i < group_->size(); ++i) {
    auto& member = group_->member(i);
    if (!member.takes_writes()) continue;
    Superblock superblock;
    superblock.cluster_id = config_.cluster_id;
    superblock.volume = config_.volume;
    superblock.element_id = member.name.id;
    superblock.raid_level = config_.raid_level;
    superblock.element_index = static_cast<uint8_t>(i);
    superblock.element_count = static_cast<uint8_t>(group_->size());
    superblock.opening = opening_;
    // A token is named, so there are data that an opening without one must not overlook.
    const Status done = claim_element(*member.element, superblock, token_.has_value());
    if (done.error() == EEXIST) {
      return refuse("{} is being opened by another process for the same epoch {}.",
                    member.name.path, epoch_);
    }
    if (!done.ok()) group_->fail(i, "write superblock", done.error());
  }
  if (!group_->can_serve()) {
    return refuse("Volume {}: too many elements cannot be written.", to_string(config_.volume));
  }
  for (size_t i = 0; i < group_->size() && metadata_members_.size() <= group_->layout().tolerance();
       ++i) {
    if (group_->member(i).ok()) metadata_members_.push_back(i);
  }
  return true;
}

// Which members have the manifest that the token names, complete.
bool Opener::check_manifests(std::vector<size_t>* sources) {
  const std::string directory = metadata_directory(token_->opening);
  FramedFiles files(*group_, {});
  for (size_t i = 0; i < group_->size(); ++i) {
    if (!group_->member(i).ok() || !surveys_[i].directories.contains(directory)) continue;
    auto content =
        files.read_unchecked(i, directory + "/" + token_->manifest, token_->manifest_bytes);
    if (content.ok() && crc32c(*content) == token_->manifest_crc) {
      manifest_content_ = std::move(*content);
      sources->push_back(i);
      // Only a check looks at what nobody needs.
      if (config_.mending != StoreConfig::Mending::kWhatIsRead && !has_current(i, directory))
        note_bad_metadata(i, "CURRENT");
    } else {
      log_warn("manifest.unusable", "element={} directory={}", group_->member(i).name.id,
               directory);
      note_bad_metadata(i, token_->manifest);
    }
  }
  if (!sources->empty()) return config_.mending != StoreConfig::Mending::kAll || mend_metadata();
  return refuse("No element of volume {} has the metadata of consistency point {} ({}/{}).",
                to_string(config_.volume), token_->sequence, directory, token_->manifest);
}

bool Opener::has_current(size_t index, const std::string& directory) {
  char content[kFrameContentBytes];
  FramedFiles files(*group_, {index});
  const std::string name = directory + "/CURRENT";
  const auto bytes = files.size(name);
  return bytes.ok() && *bytes > 0 && *bytes <= sizeof content &&
         files.read(name, *bytes, 0, content).ok();
}

// A file of the directory that the volume is opened from. An opening that serves has good ones of
// its own, and no more need of these; a check comes back to them.
void Opener::note_bad_metadata(size_t index, const std::string& file) {
  findings_.push_back({"metadata",
                       fmt::format("{}/{} of {}", metadata_directory(token_->opening), file,
                                   group_->member(index).name.id),
                       config_.mending == StoreConfig::Mending::kWhatIsRead});
  if (bad_metadata_.empty() || bad_metadata_.back() != index) bad_metadata_.push_back(index);
}

// Puts good ones in the place of bad ones.
bool Opener::mend_metadata() {
  const std::string directory = metadata_directory(token_->opening);
  for (const size_t i : bad_metadata_) {
    FramedFiles files(*group_, {i});
    bool mended = true;
    for (const auto& [name, content] : {std::pair{token_->manifest, manifest_content_},
                                        {std::string("CURRENT"), token_->manifest + "\n"}}) {
      auto writer = files.create(directory + "/" + name);
      mended = mended && writer.ok() && (*writer)->append(content).ok() && (*writer)->sync().ok();
    }
    mended = mended && group_->member(i).element->sync_directory(directory).ok();
    for (StoreFinding& finding : findings_)
      finding.repaired |= mended && finding.kind == "metadata" &&
                          finding.where.ends_with(" of " + group_->member(i).name.id);
  }
  return true;
}

bool Opener::copy_table(size_t member, const std::vector<size_t>& sources,
                        const std::string& table) {
  FramedFiles from(*group_, sources), to(*group_, {member});
  const std::string source = metadata_directory(token_->opening) + "/" + table;
  const auto size = from.size(source);
  auto writer = to.create(metadata_directory(opening_) + ".tmp/" + table);
  if (!size.ok() || !writer.ok()) return false;
  std::vector<char> buffer(1 << 20);
  for (uint64_t at = 0; at < *size;) {
    auto count = from.read(source, *size, at, buffer);
    if (!count.ok() || !(*writer)->append({buffer.data(), *count}).ok()) return false;
    at += *count;
  }
  return (*writer)->sync().ok();
}

bool Opener::fill_directory(size_t index, const std::vector<size_t>& sources,
                            const std::set<std::string>& tables) {
  auto& member = group_->member(index);
  Element& element = *member.element;
  const std::string temporary = metadata_directory(opening_) + ".tmp";
  auto ended = [&](const Status& done) {
    if (!done.ok()) group_->fail(index, "build metadata directory", done.error());
    return done.ok();
  };
  if (!ended(element.make_directory(temporary))) return false;
  if (token_) {
    for (const std::string& table : tables) {
      const std::string source = metadata_directory(token_->opening) + "/" + table;
      const Status linked = element.link(source, temporary + "/" + table);
      if (linked.ok()) continue;
      if (linked.error() != ENOENT) return ended(linked);
      // A table that no member can give may be one that the manifest does not name.
      const bool copied = copy_table(index, sources, table);
      if (!copied) (void)element.unlink(temporary + "/" + table);
      if (std::find(sources.begin(), sources.end(), index) == sources.end()) continue;
      bool put_back = copied && config_.mending == StoreConfig::Mending::kAll;
      if (put_back) {
        const Status linked_back = element.link(temporary + "/" + table, source);
        put_back = linked_back.ok() || linked_back.error() == EEXIST;  // reading it mended it
      }
      findings_.push_back({"metadata", fmt::format("{} of {} is gone", source, member.name.id),
                           put_back || config_.mending == StoreConfig::Mending::kWhatIsRead});
    }
    FramedFiles files(*group_, {index});
    for (const auto& [name, content] : {std::pair{token_->manifest, manifest_content_},
                                        {std::string("CURRENT"), token_->manifest + "\n"}}) {
      auto writer = files.create(temporary + "/" + name);
      if (!writer.ok()) return ended(writer.failure());
      if (!ended((*writer)->append(content)) || !ended((*writer)->sync())) return false;
    }
  }
  return ended(element.sync_directory(temporary)) &&
         ended(element.rename(temporary, metadata_directory(opening_))) &&
         ended(element.sync_directory(""));
}

bool Opener::build_directory(const std::vector<size_t>& sources) {
  std::set<std::string> tables;
  for (const size_t i : sources) {  // none for a new volume
    auto entries = group_->member(i).element->list(metadata_directory(token_->opening));
    if (!entries.ok()) continue;
    for (const auto& entry : *entries) {
      if (entry.name.ends_with(".sst")) tables.insert(entry.name);
    }
  }
  std::erase_if(metadata_members_, [&](size_t i) { return !fill_directory(i, sources, tables); });
  if (!metadata_members_.empty() && group_->can_serve()) return true;
  return refuse("The metadata directory of volume {} cannot be written.",
                to_string(config_.volume));
}

std::optional<VolumeParts> Opener::open(std::vector<FoundElement> elements, BytesView token_bytes) {
  const auto layout = RaidGroup::layout_of(config_.raid_level, elements.size(), why_);
  if (!layout) return std::nullopt;
  if (!token_bytes.empty()) {
    token_ = decode_token(token_bytes);
    if (!token_) {
      refuse("The consistency point's token cannot be understood.");
      return std::nullopt;
    }
  }
  if (auto record = newest_group_record(config_, token_bytes)) record_ = std::move(*record);
  if (!survey(elements)) return std::nullopt;
  RaidGroup::Members members;
  for (size_t i = 0; i < elements.size(); ++i) {
    auto member = std::make_unique<RaidGroup::Member>();
    member->name = {config_.elements[i].id, config_.elements[i].path, config_.elements[i].reach};
    member->missing_why = elements[i].missing_why;
    if (elements[i].element) member->element.put(std::move(elements[i].element));
    members.push_back(std::move(member));
  }
  group_ = std::make_shared<RaidGroup>(config_.raid_level, *layout, std::move(members));
  if (config_.mending == StoreConfig::Mending::kNothing) group_->leave_as_it_is();
  std::vector<size_t> sources;
  if (!choose_members()) return std::nullopt;
  if (token_ && !check_manifests(&sources)) return std::nullopt;
  if (!claim() || !build_directory(sources)) return std::nullopt;
  VolumeParts parts;
  parts.opening = opening_;
  parts.config = config_;
  parts.record = record_;
  if (token_) parts.opened_from = metadata_directory(token_->opening);
  parts.opened_from_members = sources;
  parts.has_data = token_.has_value();
  parts.in_sync = group_->in_sync();
  parts.findings = std::move(findings_);
  parts.group = group_;
  parts.files = std::make_shared<FramedFiles>(*group_, metadata_members_);
  parts.file_system = std::make_shared<MirrorFileSystem>(parts.files);
  parts.table = open_rocks_table(parts.file_system, metadata_directory(opening_),
                                 config_.block_cache_bytes, why_);
  if (!parts.table) return std::nullopt;
  return parts;
}

}  // namespace

std::optional<GroupRecord> newest_group_record(const StoreConfig& config, BytesView token) {
  std::optional<GroupRecord> newest;
  const auto named = decode_token(token);
  for (const BytesView bytes :
       {named ? BytesView(named->group) : BytesView(), BytesView(config.group_record)}) {
    auto record = decode_group_record(bytes);
    if (!record || record->change == 0 || record->members.size() != config.elements.size())
      continue;
    if (!newest || newest->change < record->change) newest = std::move(record);
  }
  return newest;
}

StoreConfig with_recorded_elements(StoreConfig config, BytesView token) {
  if (const auto record = newest_group_record(config, token)) {
    for (size_t i = 0; i < config.elements.size(); ++i) {
      const ElementName& name = record->members[i].name;
      config.elements[i] = {name.id, name.path, name.reach};
    }
  }
  return config;
}

std::optional<VolumeParts> open_volume(const StoreConfig& config,
                                       std::vector<FoundElement> elements, Epoch epoch,
                                       BytesView token, std::string* why) {
  return Opener(with_recorded_elements(config, token), epoch, why).open(std::move(elements), token);
}

}  // namespace pairfs
