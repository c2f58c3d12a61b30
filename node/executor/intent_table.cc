#include "node/executor/intent_table.h"

#include "common/codec.h"
#include "common/ensure.h"
#include "common/test_switch.h"

namespace pairfs {

void IntentTable::load(const VolumeStore& store) {
  *this = {};
  const auto scan_family = [&](Family family, const VolumeStore::Visit& visit) {
    store.scan(family_key(family), after_prefix(family_key(family)), visit);
  };
  scan_family(Family::kIntent, [&](BytesView, BytesView value) {
    const auto row = decode_intent_row(value);
    ENSURE(row, "intent row");
    auto prepare = decode<Prepare>(row->prepare);
    const auto reply = decode<PrepareReply>(row->reply);
    ENSURE(prepare && reply, "intent row");
    const Key key{prepare->id, prepare->stage};
    intents_[key] = {std::move(*prepare), *reply};
    return true;
  });
  scan_family(Family::kDecision, [&](BytesView key, BytesView value) {
    const auto id = decode_decision_key(key);
    auto participants = decode_participants(value);
    ENSURE(id && participants, "decision row");
    decisions_[*id] = std::move(*participants);
    return true;
  });
  scan_family(Family::kFinished, [&](BytesView key, BytesView value) {
    const auto row = decode_finished(key, value);
    ENSURE(row, "finished row");
    set_finished(*row);
    return true;
  });
  rebuild_locks();
}

const Intent* IntentTable::find(const TransactionId& id, uint32_t stage) const {
  const auto found = intents_.find({id, stage});
  return found == intents_.end() ? nullptr : &found->second;
}

std::vector<const Intent*> IntentTable::of(const TransactionId& id) const {
  std::vector<const Intent*> found;
  for (auto it = intents_.lower_bound({id, 0}); it != intents_.end() && it->first.first == id; ++it)
    found.push_back(&it->second);
  return found;
}

void IntentTable::add(Intent intent) {
  const Key key{intent.prepare.id, intent.prepare.stage};
  intents_[key] = std::move(intent);
  rebuild_locks();
}

void IntentTable::remove(const TransactionId& id) {
  std::erase_if(intents_, [&](const auto& item) { return item.first.first == id; });
  rebuild_locks();
}

void IntentTable::rebuild_locks() {
  locks_.clear();
  pins_.clear();
  frozen_by_.reset();
  for (const auto& [key, intent] : intents_) {
    const TransactionPart& part = intent.prepare.part;
    const TransactionId& id = key.first;
    switch (part.what) {
      case TransactionPart::kTakeName:
      case TransactionPart::kGiveName:
      case TransactionPart::kHoldName:
      case TransactionPart::kSwapName:
        locks_.emplace(entry_key(part.inode.id, part.name), id);
        pins_.emplace(part.inode.id, id);
        break;
      case TransactionPart::kMakeInode:
        locks_.emplace(inode_key(intent.reply.inode.id), id);
        break;
      case TransactionPart::kWalkUp:
        frozen_by_ = id;
        break;
      default:
        locks_.emplace(inode_key(part.inode.id), id);
    }
  }
}

bool IntentTable::is_locked(BytesView key, const TransactionId* own) const {
  if (locks_.empty()) return false;
  if (own == nullptr ? PAIRFS_MUTANT(read_under_intent) : PAIRFS_MUTANT(prepare_ignores_locks))
    return false;
  const auto found = locks_.find(Bytes(key));
  return found != locks_.end() && (own == nullptr || found->second != *own);
}
bool IntentTable::is_pinned(uint64_t directory_id, const TransactionId* own) const {
  const auto [first, last] = pins_.equal_range(directory_id);
  for (auto it = first; it != last; ++it)
    if (own == nullptr || it->second != *own) return true;
  return false;
}
bool IntentTable::is_frozen(const TransactionId* own) const {
  return frozen_by_ && (own == nullptr || *frozen_by_ != *own);
}

bool IntentTable::is_finished(const TransactionId& id) const {
  const auto found = finished_.find(slot_of(id));
  return found != finished_.end() && found->second.id >= id;
}
bool IntentTable::is_concluded(const TransactionId& id) const {
  const auto found = finished_.find(slot_of(id));
  return found != finished_.end() && found->second.id == id && found->second.concluded;
}
bool IntentTable::set_finished(const FinishedRow& row) {
  if (is_finished(row.id)) return false;
  finished_[slot_of(row.id)] = row;
  return true;
}

void IntentTable::add_decision(const TransactionId& id, std::vector<VolumeId> participants) {
  decisions_[id] = std::move(participants);
}

std::vector<TransactionId> IntentTable::attempts() const {
  std::vector<TransactionId> found;
  for (const auto& [key, intent] : intents_)
    if (found.empty() || found.back() != key.first) found.push_back(key.first);
  return found;
}

bool IntentTable::touches(Slice slice) const {
  if (PAIRFS_MUTANT(move_under_intent)) return false;
  // A way up passes slices that no intent names.
  if (frozen_by_ && !PAIRFS_MUTANT(move_under_walk)) return true;
  for (const auto& [key, intent] : intents_)
    if (intent.prepare.slice == slice) return true;
  return false;
}

}  // namespace pairfs
