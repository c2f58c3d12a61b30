// What the two nodes of a pair tell each other about one volume (op kLinkOp). The records
// themselves travel as the message's bulk frame, encoded as the log holds them. Every message names
// volume, epoch and both incarnations (P1).
#pragma once

#include "common/commands.h"
#include "common/types.h"

namespace pairfs {

// What a partner must know of a log to choose between two.
struct LogSummary {
  Sequence base = 0;  // records base+1 .. last are here
  uint32_t base_chain = 0;
  Sequence last = 0;
  uint32_t last_chain = 0;
  Epoch last_epoch = 0;     // of record `last`; 0: no record
  bool power_kept = false;  // everything was written since the machine's last start
  bool damaged = false;     // a record that was once synced is unreadable
  template <class A>
  void serialize(A& ar) {
    ar(base, base_chain, last, last_chain, last_epoch, power_kept, damaged);
  }
};

// A process among all of a machine: which kernel runs it, since when, and its pid there.
struct ProcessIdentity {
  uint64_t kernel = 0;  // of the boot id
  uint64_t pid_namespace = 0;
  uint32_t pid = 0;  // 0: not known
  uint64_t start_ticks = 0;
  template <class A>
  void serialize(A& ar) {
    ar(kernel, pid_namespace, pid, start_ticks);
  }
};

struct LinkMessage {
  enum class Kind : uint8_t {
    kHello = 1,    // who I am and what my log holds; sent on connecting and when the map changed
    kRecords = 2,  // executor to logger: records in the bulk frame (maybe none), lease request
    kHeld = 3,     // logger to executor: what it holds, what it synced, lease grant
    kJoin = 4,     // a node without a role asks the executor to be its logger
    kAccept = 5,   // executor to joiner: stream begins; with `reset` it starts from `base`
  };
  uint8_t kind = 0;
  VolumeId volume;
  Epoch epoch = 0;
  Incarnation sender = 0;
  Incarnation receiver = 0;  // 0 only in kHello
  // kRecords: [first, last] are in the bulk frame; first = last + 1: none.
  Sequence first = 0;
  Sequence last = 0;
  Sequence trim_through = 0;    // a confirmed consistency point contains these
  Sequence synced_through = 0;  // kRecords: at the executor; kHeld: at the logger
  Sequence sync_wanted = 0;     // kRecords: the logger is to sync through here now
  // kRecords: when it was sent, by the executor's clock; kHeld: the stamp that is granted.
  int64_t lease_stamp_ns = 0;
  Sequence held = 0;    // kHeld
  bool resend = false;  // kHeld: something is missing behind `held`
  bool reset = false;   // kAccept
  // kHello, kJoin: the sender's log. kHeld: last_chain, of record `held`. kAccept: base and
  // base_chain to go on from, last and last_chain of the kJoin that it answers.
  LogSummary log;
  ProcessIdentity process;        // kHello: the sender's
  uint64_t log_room_bytes = 0;    // what may still be appended to the sender's log
  uint64_t reached_elements = 0;  // kHeld: bit i: the logger could open element i; 0: not known
  template <class A>
  void serialize(A& ar) {
    ar(kind, volume, epoch, sender, receiver, first, last, trim_through, synced_through,
       sync_wanted, lease_stamp_ns, held, resend, reset, log, process, log_room_bytes,
       reached_elements);
  }
};

}  // namespace pairfs
