// Which sessions hold leases on which inodes of the volume, and which of them are wanted back. A
// lease is per inode and covers all that can be asked about it: attributes, ACLs, extended
// attributes, a directory's names (absent ones too). Many sessions may hold one.
//
// A command that changes an inode is executed at once; its answer, and every other answer that saw
// the inode since, waits until each other holder gave the lease back or ran out. So a session that
// answers from what it holds is never older than a change that anybody was told of.
//
// All leases of a session run out together, a term after the last command of it that was answered
// with Renewal::lease_ms: the session counts from its send, this table from the execution, with a
// margin for the clocks' rates. What earlier executors of the volume granted is not known here:
// until a session says that it holds nothing of it (a recall of inode 0), or its term is over, it
// may hold anything.
//
// In memory only, no clock, no I/O; the volume's loop.
#pragma once

#include <deque>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "common/types.h"

namespace pairfs {

inline constexpr Duration kLeaseTerm = std::chrono::seconds(10);
// More than two clocks can drift apart within a term.
constexpr Duration lease_margin(Duration term) { return term / 50 + std::chrono::milliseconds(10); }

class LeaseTable {
 public:
  // Of a recall; never used twice in a volume, whatever the epoch.
  using Number = uint64_t;
  static constexpr size_t kPerSessionMax = 1 << 17;  // inodes; beyond: the oldest are wanted back
  // An inode whose lease was just wanted back is not granted for this long: who passes it to and
  // fro is better off asking.
  static constexpr Duration kContended = std::chrono::milliseconds(200);
  static constexpr Duration kRecallAgain = std::chrono::milliseconds(200);
  // A session that does not answer a recall for so long is not renewed any more, alive or not.
  static constexpr Duration kPatience = std::chrono::seconds(2);

  LeaseTable(Epoch epoch, Duration term)
      : term_(term), term_with_margin_(term + lease_margin(term)), next_number_(epoch << 32 | 1) {}

  // An executor begins: these sessions may hold leases of earlier epochs.
  void begin(const std::vector<SessionId>& sessions, Instant now);

  // ---- sessions ----
  // A command of the session is being executed. True: the answer renews its leases by term().
  bool heard(SessionId session, Instant now);
  void forget(SessionId session);

  // ---- leases ----
  // True: the session holds a lease on the inode from now on, or still.
  bool grant(SessionId session, uint64_t inode_id, Instant now);
  // The inode changed, by the session's command (0: of nobody who could know): others' leases on it
  // are wanted back.
  void change(uint64_t inode_id, SessionId by, Instant now);
  // The inode is gone, by the session's command, and its id is never used again.
  void erased(uint64_t inode_id, SessionId by) { drop(inode_id, by); }
  // All leases in a slice are wanted back, and none is granted there until allow().
  void withdraw(Slice slice, Instant now);
  void allow(Slice slice) { withdrawn_.erase(slice); }
  // True while somebody may hold a lease in the slice.
  bool may_be_held(Slice slice) const;

  // ---- writers ----
  // A session that is alone with a file may be let to answer its own writes of it before they are
  // executed. Others' commands on the file must then not be executed before the session has given
  // the lease back, which it does once all that it answered is executed.
  //
  // The session has written. True: it is alone with the inode, nobody waits for it, and the write
  // before this one was its own, too.
  bool writes_alone(SessionId session, uint64_t inode_id);
  // writes_alone() was true.
  void set_writer(SessionId session, uint64_t inode_id) { writers_[inode_id] = session; }
  // It has closed the file: what it answered is executed.
  void end_writer(SessionId session, uint64_t inode_id);
  SessionId writer_of(uint64_t inode_id) const;  // 0: nobody
  // Somebody else needs the inode. There is a writer.
  void recall_writer(uint64_t inode_id, Instant now);
  const std::unordered_map<uint64_t, SessionId>& writers() const { return writers_; }
  // The session may hold leases of earlier epochs.
  bool is_unknown(SessionId session) const;

  // ---- recalls ----
  // Appends the recalls that an answer to `asker` waits for, which saw or changed the inode. A
  // session's own recalls never hold up its answers, as its kernel may need them before it can give
  // anything back.
  void add_waits(uint64_t inode_id, SessionId asker, std::vector<Number>& waits) const;
  // The same for what earlier executors granted.
  void add_unknown_waits(SessionId asker, std::vector<Number>& waits) const;
  bool has_unknown() const { return unknown_ != 0; }
  std::vector<uint64_t> recalled_inodes() const;
  bool is_waited_for(Number number) const { return recalls_.contains(number); }
  // The session answered. False: nothing waited for that.
  bool given_back(SessionId session, Number number);
  struct Recall {
    SessionId session = 0;
    Number number = 0;
    uint64_t inode_id = 0;  // 0: all that earlier epochs granted
  };
  // Recalls to be sent now, for the first time or again; and lets those go whose holder ran out.
  std::vector<Recall> take_recalls(Instant now);
  // When take_recalls() has something to do.
  Instant next_wake() const { return next_look_; }

  Duration term() const { return term_; }
  size_t leases() const { return held_; }
  size_t recalls() const { return recalls_.size(); }

 private:
  struct Holder {
    SessionId session = 0;
    Number recall = 0;  // 0: not wanted back
  };
  struct Lease {
    std::vector<Holder> holders;
    Instant contended_until{};
    SessionId wrote_last = 0;
  };
  struct Open {  // a recall that is not answered
    SessionId session = 0;
    uint64_t inode_id = 0;
    Instant since{};
    Instant send_at{};
  };
  struct SessionLeases {
    Instant until{};            // of what this executor granted
    Instant unknown_until{};    // of what earlier ones may have
    Number unknown_recall = 0;  // 0: it holds nothing of theirs
    Instant oldest_recall = Instant::max();
    std::unordered_set<uint64_t> inodes;
    size_t recalled = 0;         // of these
    std::deque<uint64_t> order;  // in which they were granted; some are gone
  };

  void recall(uint64_t inode_id, Holder& holder, Instant now);
  void drop(uint64_t inode_id, SessionId session);
  void end_recall(Number number);
  void drop_all(SessionId session, SessionLeases& leases);
  void keep_within_limit(SessionId session, SessionLeases& leases, Instant now);

  Duration term_, term_with_margin_;
  Number next_number_;
  std::unordered_map<uint64_t, Lease> leases_;
  std::unordered_map<SessionId, SessionLeases> sessions_;
  std::unordered_map<Number, Open> recalls_;
  std::unordered_map<uint64_t, SessionId> writers_;  // each holds its inode, alone
  std::unordered_set<Slice> withdrawn_;
  size_t held_ = 0;
  size_t unknown_ = 0;  // sessions that may hold leases of earlier epochs
  Instant next_look_ = Instant::max();
};

}  // namespace pairfs
