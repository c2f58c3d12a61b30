#include "router/recent_clients.h"

#include <utility>

namespace pairfs {

void RecentClients::heard(SessionId session, const std::vector<Bytes>& envelope) {
  if (session == 0) return;
  if (++messages_ > kGenerationMessages || young_.size() >= kGenerationMax) {
    old_ = std::exchange(young_, {});
    messages_ = 0;
  }
  std::vector<Bytes>& known = young_[session];
  if (known != envelope) known = envelope;
}

}  // namespace pairfs
