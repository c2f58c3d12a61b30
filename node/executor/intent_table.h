// What transactions between volumes hold on this one: a mirror of the intent, decision and finished
// rows, and the locks that follow from the intents. Loop thread.
//
// An intent locks what it is about to change: a name (by its entry row's key) or an inode (by its
// inode row's key). Any other command that meets such a lock is answered kBusy, reads too, since
// the transaction may be decided already. A directory that gains or loses a name is pinned: it
// cannot be removed. kWalkUp freezes the volume: no directory gets another parent here.
#pragma once

#include <map>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "common/commands.h"
#include "node/executor/schema.h"
#include "node/store/volume_store.h"

namespace pairfs {

struct Intent {
  Prepare prepare;
  PrepareReply reply;
};

class IntentTable {
 public:
  void load(const VolumeStore& store);

  // ---- intents ----
  bool empty() const { return intents_.empty(); }
  const Intent* find(const TransactionId& id, uint32_t stage) const;
  // All of an attempt, by stage.
  std::vector<const Intent*> of(const TransactionId& id) const;
  void add(Intent intent);
  void remove(const TransactionId& id);

  // ---- what they hold ----
  // True when an attempt other than `own` (may be nullptr) holds it.
  bool is_locked(BytesView key, const TransactionId* own) const;
  bool is_pinned(uint64_t directory_id, const TransactionId* own) const;
  bool is_frozen(const TransactionId* own) const;

  // ---- outcomes ----
  // An attempt that is over here can never be prepared or committed again.
  bool is_finished(const TransactionId& id) const;
  // By its coordinator, on this volume.
  bool is_concluded(const TransactionId& id) const;
  // False when it, or a newer one, is known already.
  bool set_finished(const FinishedRow& row);
  const std::map<TransactionId, std::vector<VolumeId>>& decisions() const { return decisions_; }
  void add_decision(const TransactionId& id, std::vector<VolumeId> participants);
  void remove_decision(const TransactionId& id) { decisions_.erase(id); }

  // Attempts that hold something here.
  std::vector<TransactionId> attempts() const;
  // True when some attempt holds something of the slice, or may rely on where its directories are.
  bool touches(Slice slice) const;

 private:
  using Key = std::pair<TransactionId, uint32_t>;  // attempt, stage
  void rebuild_locks();
  std::map<Key, Intent> intents_;
  std::map<TransactionId, std::vector<VolumeId>> decisions_;
  using Slot = std::tuple<SessionId, uint32_t, VolumeId>;  // with the attempt's coordinator
  static Slot slot_of(const TransactionId& id) {
    return {id.request.session, id.request.slot, id.coordinator};
  }
  std::map<Slot, FinishedRow> finished_;
  // Few at a time, so they are made anew after each change.
  std::unordered_map<Bytes, TransactionId> locks_;
  std::multimap<uint64_t, TransactionId> pins_;
  std::optional<TransactionId> frozen_by_;
};

}  // namespace pairfs
