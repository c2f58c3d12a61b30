// The clients that a router heard of lately, and the way to each. A hint and no state that matters:
// who is forgotten here is told by executors. No I/O; one thread.
#pragma once

#include <unordered_map>
#include <vector>

#include "common/types.h"

namespace pairfs {

class RecentClients {
 public:
  // At most twice this many are remembered; who was not heard of for longest is forgotten.
  static constexpr size_t kGenerationMax = 4096;
  static constexpr size_t kGenerationMessages = 1 << 20;

  void heard(SessionId session, const std::vector<Bytes>& envelope);
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const auto& [session, envelope] : young_) visit(session, envelope);
    for (const auto& [session, envelope] : old_)
      if (!young_.contains(session)) visit(session, envelope);
  }

 private:
  using Table = std::unordered_map<SessionId, std::vector<Bytes>>;
  Table young_, old_;
  size_t messages_ = 0;  // since the generations changed
};

}  // namespace pairfs
