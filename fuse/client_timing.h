// The times that the client's retries and sessions go by. Documented in docs/protocol.md.
#pragma once

#include "common/types.h"

namespace pairfs {

// Without a reply for this long a request is sent again on the next router: at first, doubling.
inline constexpr Duration kTimeoutFirst = std::chrono::milliseconds(250);
inline constexpr Duration kTimeoutMax = std::chrono::seconds(1);
// After "busy" or "not the executor": at first, doubling.
inline constexpr Duration kPauseFirst = std::chrono::milliseconds(1);
inline constexpr Duration kPauseMax = std::chrono::milliseconds(50);
// A router that does not know the map yet is asked again after this.
inline constexpr Duration kMapPause = std::chrono::milliseconds(100);
inline constexpr Duration kMapReadPeriodMin = std::chrono::milliseconds(100);
// The map is read at least this often, as routers come and go.
inline constexpr Duration kRefreshPeriod = std::chrono::seconds(60);
// A preferred router that did not help is tried again after this: at first, doubling until it
// helps.
inline constexpr Duration kPreferPauseFirst = std::chrono::seconds(1);
inline constexpr Duration kPreferPauseMax = std::chrono::seconds(60);

inline constexpr Duration kRenewPeriod = std::chrono::seconds(10);
// After silence this long the session is checked before a mutation is risked on it: half of the
// executor's timeout.
inline constexpr Duration kSessionDoubtful = std::chrono::seconds(30);

// Leases are renewed after this part of their term.
constexpr Duration lease_renew_period(Duration term) { return 2 * term / 5; }

// Of a mount: slots that may hold a waiting lock. Locks beyond it ask again at this period.
inline constexpr unsigned kWaitingLocksMax = 24;
inline constexpr Duration kLockPollPeriod = std::chrono::milliseconds(50);

}  // namespace pairfs
