#include "node/store/durable_base.h"

#include "common/logging.h"
#include "node/store/fields.h"
#include "node/store/keeper.h"
#include "node/store/layered_store.h"
#include "node/store/stripe_count.h"

namespace pairfs {
namespace {

class DurableRead final : public BaseRead {
 public:
  DurableRead(const ExtentTable& table, ReadEras::Era era, std::vector<Extent> extents,
              uint64_t from_block, std::shared_ptr<const BaseStore> keep)
      : table_(table),
        era_(std::move(era)),
        extents_(std::move(extents)),
        from_block_(from_block),
        keep_(std::move(keep)) {}
  bool in_memory() const override {
    for (const Extent& extent : extents_) {
      if (extent.kind == Extent::Kind::kStored) return false;
    }
    return true;
  }
  Status run(char* into) override { return table_.read(extents_, from_block_, into); }

 private:
  const ExtentTable& table_;
  const ReadEras::Era era_;  // keeps what the extents name from being punched
  const std::vector<Extent> extents_;
  const uint64_t from_block_;
  const std::shared_ptr<const BaseStore> keep_;  // the table lives in it
};

}  // namespace

DurableBase::DurableBase(VolumeParts parts)
    : parts_(std::move(parts)),
      extents_(*parts_.table, *parts_.group),
      segments_(*parts_.group, parts_.opening.epoch, parts_.opening.number),
      writer_(extents_, *parts_.table, segments_),
      ballast_(*parts_.group) {
  if (const auto row = parts_.table->get(sequence_key())) {
    sequence_ = FieldReader(*row).little<uint64_t>();
  }
  parts_.group->note_synced(make_segment_id(parts_.opening.epoch, parts_.opening.number, 0));
  load_segments();
  note_space();
  keeper_ = std::make_unique<Keeper>(parts_, segment_uses_);
}

DurableBase::~DurableBase() = default;

// Keeps the base alive while a worker is at it.
class DurableBase::Upkeep final : public Maintenance {
 public:
  explicit Upkeep(std::shared_ptr<DurableBase> base) : base_(std::move(base)) {}
  bool run(Duration budget) override {
    try {
      base_->give_back();
      base_->ballast_.keep();
      return base_->keeper_->run(budget);
    } catch (const RowsUnreadable& unreadable) {
      log_error("maintenance.failed", "why=\"{}\"", unreadable.what());
      return false;
    }
  }
  std::string change(const ElementWish& wish) override { return base_->keeper_->change(wish); }
  std::vector<StoreFinding> check(bool repair) override {
    try {
      return base_->keeper_->check(repair);
    } catch (const RowsUnreadable& unreadable) {
      return {{"lost", unreadable.what(), false}};
    }
  }
  std::vector<StoreFinding> opening_findings() override { return base_->parts_.findings; }
  std::unique_ptr<VolumeStore> last_state() override { return make_layered_store(base_); }

 private:
  const std::shared_ptr<DurableBase> base_;
};

std::shared_ptr<Maintenance> DurableBase::maintenance() {
  return std::make_shared<Upkeep>(std::static_pointer_cast<DurableBase>(shared_from_this()));
}
uint64_t DurableBase::elements_version() const { return keeper_->version(); }
Bytes DurableBase::group_record() const { return keeper_->record(); }
bool DurableBase::wants_checkpoint() const { return keeper_->has_moves(); }
bool DurableBase::wants_reopening() const { return keeper_->returned_enough(); }

void DurableBase::load_segments() {
  Bytes end = stripe_prefix();
  ++end.back();
  uint64_t live = 0;
  for (auto row = parts_.table->rows(stripe_prefix(), end); row->valid(); row->next()) {
    const auto use = decode_stripe_use(row->key(), row->value());
    if (!use) {
      log_error("stripe.row_damaged", "volume={}", to_string(parts_.config.volume));
      return count_segments();
    }
    segment_uses_[use->stripe.segment].stripes[use->stripe.row] = {use->stripe, use->live_blocks};
    live += use->live_blocks;
  }
  writer_.set_live_blocks(live);
}

// With a row of stripes damaged, a segment in use might look unused: all are counted and written
// anew, durable with the next consistency point.
void DurableBase::count_segments() {
  parts_.findings.push_back({"stripe", "a stripe row cannot be understood", false});
  segment_uses_.clear();
  uint64_t live = 0;
  auto batch = parts_.table->make_batch();
  Bytes end = stripe_prefix();
  ++end.back();
  for (auto row = parts_.table->rows(stripe_prefix(), end); row->valid(); row->next())
    batch->erase(row->key());
  for (const auto& [name, counted] : count_stripes(*parts_.table, [](const std::string&) {})) {
    const auto blocks = static_cast<uint32_t>(counted.blocks);
    segment_uses_[name.first].stripes[name.second] = {counted.stripe, blocks};
    live += blocks;
    batch->put(stripe_key(name.first, name.second), encode_stripe_use({counted.stripe, blocks}));
  }
  if (!parts_.table->write(*batch).ok()) throw RowsUnreadable("stripes cannot be counted anew");
  writer_.set_live_blocks(live);
}

std::unique_ptr<BaseRead> DurableBase::plan_read(uint64_t inode_id, uint64_t from_block,
                                                 uint64_t to_block) const {
  auto era = eras_.current();  // before the lookup: see give_back()
  auto found = extents_.extents(inode_id, from_block, to_block);
  if (found.empty()) return nullptr;
  return std::make_unique<DurableRead>(extents_, std::move(era), std::move(found), from_block,
                                       shared_from_this());
}

Result<Bytes> DurableBase::write(const Overlay& frozen, Sequence sequence) {
  try {
    return write_checkpoint(frozen, sequence);
  } catch (const RowsUnreadable& unreadable) {
    log_error("checkpoint.failed", "why=\"{}\"", unreadable.what());
    return Errno{EIO};
  }
}

// What opening the volume deferred must be durable before a consistency point names it.
Status DurableBase::settle_opening() {
  if (settled_) return success();
  for (size_t i = 0; i < parts_.group->size(); ++i) {
    auto& member = parts_.group->member(i);
    if (!member.ok()) continue;
    if (const Status done = member.element->settle(); !done.ok())
      parts_.group->fail(i, "sync the opening", done.error());
  }
  if (!parts_.group->can_serve()) return Errno{EIO};
  settled_ = true;
  return success();
}

Result<Bytes> DurableBase::write_checkpoint(const Overlay& frozen, Sequence sequence) {
  PAIRFS_TRY(settle_opening());
  give_back();
  std::vector<Move> moves = keeper_->take_moves();
  parts_.table_ahead = true;
  auto written = writer_.write(frozen, sequence, moves);
  // Without room nothing is moved.
  if (written.error() == ENOSPC && (ballast_.release() || !moves.empty())) {
    punch(segments_.stripes());
    written = writer_.write(frozen, sequence, {});
  }
  if (!written.ok()) {
    punch(segments_.stripes());  // nothing names them
    return written.failure();
  }
  uint64_t written_blocks = 0;
  for (const Stripe& stripe : segments_.stripes()) {
    segment_uses_[stripe.segment].stripes[stripe.row] = {stripe, stripe.blocks};
    written_blocks += stripe.blocks;
  }
  keeper_->note_written(written_blocks - std::min(written_blocks, writer_.moved_blocks()));
  for (const auto& [name, blocks] : writer_.freed_blocks()) {
    const auto use = segment_uses_.find(name.first);
    if (use == segment_uses_.end()) continue;
    const auto stripe = use->second.stripes.find(name.second);
    if (stripe != use->second.stripes.end()) {
      auto& live = stripe->second.live_blocks;
      live -= std::min(live, static_cast<uint32_t>(blocks));
    }
  }
  if (segments_.current_segment() != 0) parts_.group->note_synced(segments_.current_segment());
  // Before the flush: what RocksDB deletes from here on may be part of this consistency point.
  const uint64_t number = parts_.file_system->point_made();
  auto flushed = parts_.table->flush();
  if (flushed.error() == ENOSPC && ballast_.release()) flushed = parts_.table->flush();
  PAIRFS_ASSIGN(const RowTable::Manifest manifest, std::move(flushed));
  Token token;
  token.opening = parts_.opening;
  token.number = number;
  token.sequence = sequence;
  token.manifest = manifest.name;
  token.manifest_bytes = manifest.length_bytes;
  const auto crc = parts_.file_system->manifest_crc(
      metadata_directory(parts_.opening) + "/" + manifest.name, manifest.length_bytes);
  if (!crc) return Errno{EIO};
  token.manifest_crc = *crc;
  token.in_sync = parts_.group->in_sync();
  if (keeper_->version() > 0) token.group = keeper_->record();
  {
    std::lock_guard lock(mutex_);
    unconfirmed_[number] = {eras_.advance(), writer_.take_dead()};
  }
  note_space();
  parts_.table_ahead = false;
  parts_.in_sync = token.in_sync;
  return encode_token(token);
}

void DurableBase::confirm(BytesView bytes) {
  const auto token = decode_token(bytes);
  if (!token || token->opening != parts_.opening) return;
  std::lock_guard lock(mutex_);
  confirmed_number_ = std::max(confirmed_number_, token->number);
  while (!unconfirmed_.empty() && unconfirmed_.begin()->first <= token->number) {
    confirmed_.push_back(std::move(unconfirmed_.begin()->second));
    unconfirmed_.erase(unconfirmed_.begin());
  }
}

// Carries out what confirmed consistency points allow. A read that began before stripes were
// freed may still want them, so those wait for their era to be over.
void DurableBase::give_back() {
  std::vector<Stripe> due;
  uint64_t confirmed;
  {
    std::lock_guard lock(mutex_);
    confirmed = confirmed_number_;
    std::erase_if(confirmed_, [&](Freed& freed) {
      if (!eras_.over(freed.era)) return false;
      due.insert(due.end(), freed.stripes.begin(), freed.stripes.end());
      return true;
    });
  }
  punch(due);
  if (confirmed == carried_out_number_) return;
  parts_.has_data = true;
  parts_.opened_from_members.clear();
  if (carried_out_number_ == 0) remove_older_openings();
  parts_.file_system->point_confirmed(confirmed);
  carried_out_number_ = confirmed;
}

void DurableBase::punch(const std::vector<Stripe>& stripes) {
  const RaidLayout& layout = parts_.group->layout();
  for (const Stripe& stripe : stripes) {
    auto use = segment_uses_.find(stripe.segment);
    if (use != segment_uses_.end()) {
      use->second.stripes.erase(stripe.row);
      if (use->second.stripes.empty() && stripe.segment != segments_.current_segment()) {
        parts_.group->remove_segment(stripe.segment);
        segment_uses_.erase(use);
        continue;
      }
    }
    parts_.group->punch(stripe.segment, stripe.row, layout.rows(stripe));
  }
}

// The first confirmed consistency point of this opening: nothing that only earlier openings
// need is needed any more. A deposed executor that is still there loses its files; so be it.
void DurableBase::remove_older_openings() {
  for (size_t i = 0; i < parts_.group->size(); ++i) {
    auto& member = parts_.group->member(i);
    if (!member.takes_writes()) continue;
    Element& element = *member.element;
    (void)element.write(confirmed_name(parts_.opening), 0, {});
    (void)element.sync_directory("");
    auto entries = element.list("");
    if (!entries.ok()) continue;
    for (const Element::Entry& entry : *entries) {
      const auto owned = parse_owned_name(entry.name);
      if (!owned || owned->opening >= parts_.opening) continue;
      if (owned->kind == "meta") {
        (void)remove_tree(element, entry.name);
      } else if (owned->kind != "segment") {
        (void)element.unlink(entry.name);
      } else {
        const SegmentId id = make_segment_id(owned->opening.epoch, owned->opening.number,
                                             std::strtoull(owned->rest.c_str(), nullptr, 10));
        auto use = segment_uses_.find(id);
        if (use == segment_uses_.end()) {
          (void)element.unlink(entry.name);
          continue;
        }
        // What lies between stripes in use was freed or never finished.
        uint32_t at = 0;
        for (const auto& [row, in_use] : use->second.stripes) {
          if (row > at) {
            (void)element.punch(entry.name, at * kBlockBytes, (row - at) * kBlockBytes);
          }
          at = row + parts_.group->layout().rows(in_use.stripe);
        }
        if (entry.size_bytes > at * kBlockBytes) {
          (void)element.punch(entry.name, at * kBlockBytes, entry.size_bytes - at * kBlockBytes);
        }
      }
    }
  }
}

void DurableBase::note_space() {
  table_bytes_ = parts_.table->size_bytes();
  live_blocks_ = writer_.live_blocks();
  parts_.group->look_at_elements(true);
}

StoreStatus DurableBase::status() const {
  StoreStatus out = parts_.group->status();
  out.used_bytes = live_blocks_ * kBlockBytes + table_bytes_;
  out.space.garbage_bytes = keeper_->garbage_blocks() * kBlockBytes;
  out.space.used_bytes = out.used_bytes;
  out.capacity_bytes = out.used_bytes + out.available_bytes;
  keeper_->add_status(&out);
  return out;
}

}  // namespace pairfs
