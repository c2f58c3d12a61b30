// What the client knows of one volume: its session there, the session's slots, and the requests
// that wait for one or the other. State only; ClientCore acts on it.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <optional>

#include "common/ensure.h"
#include "common/types.h"

namespace pairfs {

// A request inside ClientCore, from submit to completion. Never 0.
using Ticket = uint64_t;

struct VolumeChannel {
  enum class Session {
    kNone,     // not asked for yet
    kOpening,  // OpenSession is under way
    kOpen,
    kChecking,  // silent for so long that it may have expired: RenewSession is under way
    kClosed,    // by close_sessions
  };

  Session session_state = Session::kNone;
  SessionId session = 0;
  bool had_session = false;  // an earlier one expired
  Instant heard_from{};      // when the newest answered request of the session was sent
  Instant next_renew{};
  bool renewing = false;
  Duration lease_term{};

  Epoch epoch = 0;              // the newest that a reply named
  bool declare_wanted = false;  // the executor must be told what is open here
  bool declare_sent = false;
  unsigned open_commands = 0;  // sent and unanswered commands that change the open table

  Duration smoothed_round_trip{};

  // Slot 0 is for OpenSession and CloseSession.
  std::array<bool, kSlotsPerSession> slot_busy{};
  std::deque<Ticket> for_session;  // oldest first, as the next two
  std::deque<Ticket> for_slot;
  std::deque<Ticket> for_declare;

  // Commands that change the open table wait until a declaration is answered.
  bool declaring() const { return declare_wanted || declare_sent; }

  // A slot from 1 on.
  std::optional<uint32_t> take_slot() {
    for (uint32_t slot = 1; slot < kSlotsPerSession; ++slot) {
      if (slot_busy[slot]) continue;
      slot_busy[slot] = true;
      return slot;
    }
    return std::nullopt;
  }
  void give_slot(uint32_t slot) {
    ENSURE(slot < kSlotsPerSession && slot_busy[slot], "slot {}", slot);
    slot_busy[slot] = false;
  }
};

}  // namespace pairfs
